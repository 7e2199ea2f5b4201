package doctor

import (
	"strings"
)

// block is what doveconf prints between braces: settings and further blocks, in their
// order, which matters for passdbs.
type block struct {
	kind, name string // "passdb" and, in 2.4, "lua"; "service" and "auth"
	settings   map[string]string
	blocks     []*block
}

// parseDoveconf reads the output of `doveconf -n` of 2.3 and 2.4. Comments are left
// out; a line that is none of what doveconf prints is passed over, as a newer version
// may know more.
func parseDoveconf(text string) *block {
	root := &block{settings: map[string]string{}}
	stack := []*block{root}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		top := stack[len(stack)-1]
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case line == "}":
			if len(stack) > 1 {
				stack = stack[:len(stack)-1]
			}
		case strings.HasSuffix(line, "{") && !strings.Contains(line, " = "):
			kind, name, _ := strings.Cut(strings.TrimSpace(strings.TrimSuffix(line, "{")), " ")
			b := &block{kind: kind, name: strings.TrimSpace(name), settings: map[string]string{}}
			top.blocks = append(top.blocks, b)
			stack = append(stack, b)
		default:
			if key, value, ok := strings.Cut(line, "="); ok {
				top.settings[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
	}
	return root
}

// all are the blocks of a kind directly below.
func (b *block) all(kind string) []*block {
	var list []*block
	for _, c := range b.blocks {
		if c.kind == kind {
			list = append(list, c)
		}
	}
	return list
}

// one is the block of that kind and name; an empty one if there is none.
func (b *block) one(kind, name string) *block {
	for _, c := range b.blocks {
		if c.kind == kind && c.name == name {
			return c
		}
	}
	return &block{kind: kind, name: name, settings: map[string]string{}}
}

// get is a setting, or the default.
func (b *block) get(name, def string) string {
	if v, ok := b.settings[name]; ok {
		return v
	}
	return def
}

// yes reports whether a boolean setting is on.
func (b *block) yes(name string) bool {
	switch strings.ToLower(b.settings[name]) {
	case "yes", "y", "true", "1":
		return true
	}
	return false
}
