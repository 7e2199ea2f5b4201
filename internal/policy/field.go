package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Field is one setting, as a reference shows it.
type Field struct {
	Key    string // in TOML, JSON and on the command line
	Values string // what may be written
	Doc    string

	from, to int // the fields' numbers in Settings and Effective
}

// table lists the fields in the order of Settings.
var table = fields()

func fields() []Field {
	from, to := reflect.TypeFor[Settings](), reflect.TypeFor[Effective]()
	list := make([]Field, from.NumField())
	for i := range list {
		f := from.Field(i)
		into, _ := to.FieldByName(f.Name)
		list[i] = Field{Key: f.Tag.Get("toml"), Values: f.Tag.Get("values"), Doc: f.Tag.Get("doc"), from: i, to: into.Index[0]}
	}
	return list
}

// Fields lists all settings.
func Fields() []Field { return append([]Field(nil), table...) }

// Choices are the values of a field that has only a few; nil for all others.
func (f *Field) Choices() []string {
	switch reflect.TypeFor[Settings]().Field(f.from).Type.Elem() {
	case reflect.TypeFor[bool](), reflect.TypeFor[TwoFactor]():
		return strings.Split(f.Values, ", ")
	}
	return nil
}

// find is the field with that key; nil if there is none.
func find(key string) *Field {
	for i := range table {
		if table[i].Key == key {
			return &table[i]
		}
	}
	return nil
}

// slot is the pointer in Settings that holds the field.
func (f *Field) slot(s *Settings) reflect.Value { return reflect.ValueOf(s).Elem().Field(f.from) }

// Get is the value of a key as it is written; nil if it is not set or there is none.
func (s *Settings) Get(key string) any {
	f := find(key)
	if f == nil || f.slot(s).IsNil() {
		return nil
	}
	return f.slot(s).Elem().Interface()
}

// Get is the value of a key as it is written; nil if there is none, or for a date
// that no level sets.
func (e *Effective) Get(key string) any {
	f := find(key)
	if f == nil {
		return nil
	}
	v := reflect.ValueOf(e).Elem().Field(f.to)
	written := reflect.TypeFor[Settings]().Field(f.from).Type.Elem()
	if written == reflect.TypeFor[Date]() && v.IsZero() {
		return nil
	}
	return v.Convert(written).Interface()
}

// Text is a value that Get returned, as a person reads it.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return "not set"
	case []string:
		if len(v) == 0 {
			return "none"
		}
		return strings.Join(v, ",")
	default:
		return fmt.Sprint(v)
	}
}

// Set reads a value from a command line: lists have commas between. The range of the
// value is for Validate.
func (s *Settings) Set(key, text string) error {
	f := find(key)
	if f == nil {
		return unknownKey(key)
	}
	slot := f.slot(s)
	value, err := f.parse(slot.Type(), text)
	if err != nil {
		return err
	}
	slot.Set(value)
	return nil
}

// parse makes a new value of a pointer type from the text of a command line.
func (f *Field) parse(t reflect.Type, text string) (reflect.Value, error) {
	raw := []byte(text)
	switch t.Elem().Kind() { //nolint:exhaustive // the others are written bare
	case reflect.Slice:
		raw = quoteList(text)
	case reflect.Bool, reflect.Int:
	default:
		raw, _ = json.Marshal(text) // a string always encodes
	}
	return f.decode(t, raw)
}

// quoteList makes a list with commas one of JSON.
func quoteList(text string) []byte {
	list := []string{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	raw, _ := json.Marshal(list) // strings always encode
	return raw
}

// decode makes a new value of a pointer type from JSON.
func (f *Field) decode(t reflect.Type, raw []byte) (reflect.Value, error) {
	v := reflect.New(t.Elem())
	if string(raw) == "null" {
		return v, fmt.Errorf("%s: null is no value; leave the key out", f.Key)
	}
	if err := json.Unmarshal(raw, v.Interface()); err != nil {
		text := string(raw)
		_ = json.Unmarshal(raw, &text) // shown without JSON's quotes, if it is a string
		return v, fmt.Errorf("%s must be %s, not %.80q", f.Key, f.Values, text)
	}
	return v, nil
}

// Unset makes a key not set.
func (s *Settings) Unset(key string) error {
	f := find(key)
	if f == nil {
		return unknownKey(key)
	}
	f.slot(s).SetZero()
	return nil
}

func unknownKey(key string) error {
	return fmt.Errorf("%.40q: there is no such policy setting", key)
}
