package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// maxJSON bounds the text of one level, in bytes.
const maxJSON = 64 << 10

// ParseJSON reads a posternPolicy value. Unknown, repeated and differently written
// keys are errors, as are null and whatever follows the object: what somebody meant
// to set must not silently be something else.
func ParseJSON(origin string, value string) Layer {
	l := Layer{Origin: origin, Text: value}
	if l.Err = l.read(value); l.Err == nil {
		l.Err = l.Validate()
	}
	return l
}

func (s *Settings) read(value string) error {
	if len(value) > maxJSON {
		return fmt.Errorf("longer than %d bytes", maxJSON)
	}
	dec := json.NewDecoder(strings.NewReader(value))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	for dec.More() {
		if err := s.readField(dec); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	if strings.TrimSpace(value[dec.InputOffset():]) != "" {
		return errors.New("data after the JSON object")
	}
	return nil
}

// readField reads one key with its value.
func (s *Settings) readField(dec *json.Decoder) error {
	t, err := dec.Token()
	if err != nil {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	key, _ := t.(string)
	f := find(key)
	if f == nil {
		return unknownKey(key)
	}
	slot := f.slot(s)
	if !slot.IsNil() {
		return fmt.Errorf("%s is there twice", key)
	}
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	v, err := f.decode(slot.Type(), raw)
	if err != nil {
		return err
	}
	slot.Set(v)
	return nil
}

// JSON is the text that ParseJSON reads.
func (s *Settings) JSON() string {
	text, _ := json.Marshal(s) // plain fields always encode
	return string(text)
}

// Empty reports whether nothing is set.
func (s *Settings) Empty() bool { return s.JSON() == "{}" }
