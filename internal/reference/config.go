package main

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"postern/internal/app"
)

// configuration is every table and key of postern.toml.
func configuration() []byte {
	var b bytes.Buffer
	b.WriteString("# postern.toml: every setting\n\n" +
		"One file, `/etc/postern/postern.toml`, read by all programs; another one by `-config FILE`. Unknown and mis-cased keys,\n" +
		"durations without a unit, and values out of bounds are errors, all told at once: `policyserver -check`, `webhook -check`,\n" +
		"`posternctl -check`. Secrets stand in files of their own, of mode 0600 or 0640, or are systemd credentials (`credential:NAME`).\n" +
		"\nThe same as a file to fill in: `posternctl config reference`.\n")
	defaults := referenceValues()
	for f := range fields(reflect.TypeFor[app.Config]()) {
		table(&b, defaults, f.Tag.Get("toml"), f)
	}
	return b.Bytes()
}

// fields are those that a file can set.
func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); f.Tag.Get("toml") != "" && !yield(f) {
				return
			}
		}
	}
}

// table writes a table, and those of which the site chooses the names, behind it.
func table(b *bytes.Buffer, defaults map[string]string, name string, f reflect.StructField) {
	t := f.Type
	if t.Kind() == reflect.Map {
		name, t = name+".NAME", t.Elem()
	}
	fmt.Fprintf(b, "\n## [%s]\n\n%s\n\n", name, f.Tag.Get("doc"))
	var below []reflect.StructField
	for key := range fields(t) {
		if key.Type.Kind() == reflect.Map && key.Type.Elem().Kind() == reflect.Struct && key.Type.Elem().NumField() > 0 && key.Type.Elem().PkgPath() != "time" {
			below = append(below, key)
			continue
		}
		tag := key.Tag.Get("toml")
		fmt.Fprintf(b, "- `%s`%s: %s\n", tag, value(defaults, name+"."+tag), key.Tag.Get("doc"))
	}
	for _, key := range below {
		table(b, defaults, name+"."+key.Tag.Get("toml"), key)
	}
}

func value(defaults map[string]string, key string) string {
	v, known := defaults[key]
	if !known {
		return ""
	}
	return " = `" + v + "`"
}

// referenceValues are the values as the reference configuration writes them, by table and
// key. What a site must fill in is none.
func referenceValues() map[string]string {
	values := make(map[string]string)
	table := ""
	for line := range strings.Lines(string(app.Reference())) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			table = strings.TrimSuffix(name, "]")
		}
		key, v, ok := strings.Cut(line, " = ")
		if name, commented := strings.CutPrefix(key, "#"); ok && commented && !strings.Contains(name, " ") {
			values[table+"."+name] = v
		}
	}
	return values
}
