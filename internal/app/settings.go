package app

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/BurntSushi/toml"
)

// Settings calls f for every setting as it is in force, whether the file names it or not,
// by its key ("directory.base") in the order of keys. It is for what must know all of
// them, such as a comparison of two hosts.
func (c *Config) Settings(f func(key string, value any)) error {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(c); err != nil {
		return fmt.Errorf("%s: %w", c.path, err)
	}
	var all map[string]any
	if err := toml.Unmarshal(b.Bytes(), &all); err != nil {
		return fmt.Errorf("%s: %w", c.path, err)
	}
	flatten("", all, f)
	return nil
}

func flatten(prefix string, table map[string]any, f func(string, any)) {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if below, ok := table[key].(map[string]any); ok {
			flatten(prefix+key+".", below, f)
			continue
		}
		f(prefix+key, table[key])
	}
}
