package app

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"postern/internal/policy"
)

// Reference returns the commented reference configuration. It is made from the
// Config type and Default, so it cannot be stale; it is itself a valid start: what
// a site must fill in stands uncommented.
func Reference() []byte {
	var b bytes.Buffer
	b.WriteString("# Postern's configuration. Every setting stands here with its default; the lines\n" +
		"# without a comment sign are what a site must fill in. Unknown keys are errors.\n" +
		"# Check with: policyserver -check -config FILE\n")
	def := Default()
	def.Policy = policy.Builtin().Settings
	def.Policy.GraceStart = new(policy.Date(time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)))
	v := reflect.ValueOf(def)
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Tag.Get("toml") != "" {
			section(&b, f, v.Field(i))
		}
	}
	return b.Bytes()
}

// examples are the settings without a usable default.
var examples = map[string]any{
	"directory.bind_dn":            "cn=postern,ou=services,dc=example,dc=test",
	"directory.bind_password_file": "/etc/postern/ldap.password",
	"directory.base":               "dc=example,dc=test",
	"directory.postern_base":       "ou=postern,dc=example,dc=test",
}

// tables are examples of tables with a name of the administrator's choosing.
var tables = map[string]any{
	"plugins": Plugin{Path: "/usr/lib/postern/plugins/NAME", SHA256: strings.Repeat("0", 64), Args: []string{},
		Timeout: defaultPluginTime, StartTimeout: defaultPluginTime},
}

func section(b *bytes.Buffer, f reflect.StructField, v reflect.Value) {
	name := f.Tag.Get("toml")
	if v.Kind() == reflect.Map {
		example(b, f)
		return
	}
	fmt.Fprintf(b, "\n# %s\n[%s]\n", f.Tag.Get("doc"), name)
	for i := range v.NumField() {
		setting(b, name, v.Type().Field(i), v.Field(i))
	}
}

// example is a table of which there may be any number, none by default.
func example(b *bytes.Buffer, f reflect.StructField) {
	fmt.Fprintf(b, "\n# %s\n#[%s.NAME]\n", f.Tag.Get("doc"), f.Tag.Get("toml"))
	one := reflect.ValueOf(tables[f.Tag.Get("toml")])
	for i := range one.NumField() {
		setting(b, f.Tag.Get("toml"), one.Type().Field(i), one.Field(i))
	}
}

func setting(b *bytes.Buffer, table string, f reflect.StructField, v reflect.Value) {
	key := f.Tag.Get("toml")
	if key == "" {
		return
	}
	if doc := f.Tag.Get("doc"); doc != "" {
		fmt.Fprintf(b, "# %s\n", doc)
	}
	if example, ok := examples[table+"."+key]; ok {
		fmt.Fprintf(b, "%s = %s\n", key, tomlValue(reflect.ValueOf(example)))
		return
	}
	fmt.Fprintf(b, "#%s = %s\n", key, tomlValue(v))
}

// short is a duration without the parts that are zero: 2h, not 2h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func tomlValue(v reflect.Value) string {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Map:
		return "{}"
	case v.Kind() == reflect.Slice && v.Len() == 0:
		return "[]"
	case v.Type() == reflect.TypeFor[time.Duration](), v.Type() == reflect.TypeFor[Duration]():
		return `"` + short(time.Duration(v.Int())) + `"`
	}
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(map[string]any{"v": v.Interface()}); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(strings.TrimPrefix(b.String(), "v = "))
}
