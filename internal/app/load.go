package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

const maxConfig = 1 << 20

// Load reads and checks the configuration file. The error names every problem,
// one a line, each with file and key.
func Load(path string) (*Config, error) {
	f, err := os.Open(path) //nolint:gosec // the administrator names it
	if err != nil {
		return nil, fmt.Errorf("%w; name another file with -config", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxConfig {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxConfig)
	}
	return Parse(path, data)
}

// Parse is Load for data at hand; path is for messages.
func Parse(path string, data []byte) (*Config, error) {
	cfg := Default()
	cfg.path = path
	md, err := toml.NewDecoder(bytes.NewReader(data)).Decode(&cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, explain(err))
	}
	problems := append(keyProblems(md.Keys()), unitProblems(md)...)
	problems = append(problems, cfg.problems()...)
	if len(problems) == 0 {
		return &cfg, nil
	}
	for i, p := range problems {
		problems[i] = fmt.Errorf("%s: %w", path, p)
	}
	return nil, errors.Join(problems...)
}

// explain adds the line to what the TOML library says.
func explain(err error) error {
	var p toml.ParseError
	if errors.As(err, &p) {
		return fmt.Errorf("line %d: %s: %w", p.Position.Line, p.LastKey, errors.New(p.Message))
	}
	return err
}

// keyProblems finds unknown and mis-cased keys. The library matches keys without
// case: "uri" and then "Uri" would silently override each other.
func keyProblems(keys []toml.Key) []error {
	known := make(map[string]bool)
	free := make(map[string]bool) // tables with keys of the administrator's choosing
	collect(reflect.TypeFor[Config](), "", known, free)
	byFold := make(map[string]string)
	for k := range known {
		byFold[strings.ToLower(k)] = k
	}
	var problems []error
	for _, k := range keys {
		name := generic(k, free)
		switch {
		case known[name]:
		case byFold[strings.ToLower(name)] != "":
			problems = append(problems, fmt.Errorf("%s: write it %s", name, byFold[strings.ToLower(name)]))
		default:
			problems = append(problems, fmt.Errorf("%s: there is no such setting; see: posternctl config reference", name))
		}
	}
	return problems
}

// generic is a key's name with a star for what the administrator chose:
// webhook.clients.*.key_file.
func generic(k toml.Key, free map[string]bool) string {
	name := ""
	for i, part := range k {
		switch {
		case i == 0:
			name = part
		case free[name]:
			name += ".*"
		default:
			name += "." + part
		}
	}
	return name
}

// unitProblems finds durations written as bare numbers, which the library takes for
// nanoseconds.
func unitProblems(md toml.MetaData) []error {
	var problems []error
	for _, k := range md.Keys() {
		if durations[k.String()] && md.Type(k...) != "String" {
			problems = append(problems, fmt.Errorf("%s: write it with its unit, like \"2s\" or \"500ms\"", k))
		}
	}
	return problems
}

// durations are the keys of type time.Duration.
var durations = durationKeys(reflect.TypeFor[Config](), "")

func durationKeys(t reflect.Type, prefix string) map[string]bool {
	keys := make(map[string]bool)
	for i := range t.NumField() {
		f := t.Field(i)
		name := prefix + f.Tag.Get("toml")
		switch {
		case f.Tag.Get("toml") == "":
		case f.Type == reflect.TypeFor[time.Duration]():
			keys[name] = true
		case f.Type.Kind() == reflect.Struct:
			maps.Copy(keys, durationKeys(f.Type, name+"."))
		}
	}
	return keys
}

func collect(t reflect.Type, prefix string, known, free map[string]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("toml")
		if tag == "" {
			continue
		}
		name := prefix + tag
		known[name] = true
		switch {
		case f.Type.Kind() == reflect.Struct:
			collect(f.Type, name+".", known, free)
		case f.Type.Kind() == reflect.Map:
			free[name], known[name+".*"] = true, true
			if f.Type.Elem().Kind() == reflect.Struct {
				collect(f.Type.Elem(), name+".*.", known, free)
			}
		}
	}
}
