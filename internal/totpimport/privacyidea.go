package totpimport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// readPrivacyIDEA reads privacyIDEA's tokens: a CSV with a header, or a JSON list of
// objects. Of the columns it takes serial, user (or username) and realm, otpkey in
// hexadecimal, tokentype (or type), hashlib, otplen, timeStep and description; any other
// is left alone. A user without a domain gets the realm's, if that is one.
func readPrivacyIDEA(data []byte, l *List) error {
	take := func(r *row) {
		kind := strings.ToLower(r.get("tokentype", "type"))
		switch {
		case kind == "hotp":
			l.problem(r.line, "this is an HOTP token, which counts instead of following the clock: Postern has none of these; give its owner another")
			return
		case kind != "totp":
			l.problem(r.line, "the token's type is not TOTP")
			return
		}
		user := r.get("user", "username")
		if realm := r.get("realm", "user_realm"); user != "" && !strings.Contains(user, "@") && strings.Contains(realm, ".") {
			user += "@" + realm
		}
		l.addRow(r, user, parseHex)
	}
	if trimmed := bytes.TrimSpace(data); bytes.HasPrefix(trimmed, []byte("[")) {
		return eachObject(trimmed, l, take)
	}
	return eachRow(data, l, []string{"serial", "user", "otpkey", "tokentype", "hashlib", "otplen", "timestep"}, take)
}

// eachObject reads a JSON list; what is nested in tokeninfo or info counts as the
// token's own.
func eachObject(data []byte, l *List, f func(*row)) error {
	var list []map[string]any
	if err := json.Unmarshal(data, &list); err != nil {
		return errors.New("this is no JSON list of objects") // the library's text may quote
	}
	for i, o := range list {
		r := row{line: i + 1, fields: make(map[string]string)}
		for _, inner := range []string{"tokeninfo", "info", "info_list"} {
			if nested, ok := o[inner].(map[string]any); ok {
				r.put(nested)
			}
		}
		r.put(o)
		f(&r)
	}
	return nil
}

func (r *row) put(o map[string]any) {
	for name, v := range o {
		switch v.(type) {
		case string, float64:
			r.fields[strings.ToLower(name)] = fmt.Sprint(v)
		}
	}
}
