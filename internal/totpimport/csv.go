package totpimport

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"strings"

	"postern/internal/factor"
)

// row is a line of a table, by the lower-case names of its columns.
type row struct {
	line   int
	fields map[string]string
}

func (r *row) get(names ...string) string {
	for _, n := range names {
		if v := strings.TrimSpace(r.fields[n]); v != "" {
			return v
		}
	}
	return ""
}

// readCSV: user, secret in base32, and if wanted name, algorithm, digits, period, in this
// order or in that of a header.
func readCSV(data []byte, l *List) error {
	return eachRow(data, l, []string{"user", "secret", "name", "algorithm", "digits", "period"}, func(r *row) {
		l.addRow(r, r.get("user", "username", "mail", "mailbox", "login"), factor.ParseTOTPSecret)
	})
}

// readAxigen: mailbox and secret in base32. Axigen documents no export of its two-factor
// secrets; this is what its command line's listing is brought to by hand or script.
// Codes are those of Google Authenticator: SHA-1, 6 digits, 30 s.
func readAxigen(data []byte, l *List) error {
	return eachRow(data, l, []string{"mailbox", "secret"}, func(r *row) {
		l.addRow(r, r.get("mailbox", "account", "email", "user"), factor.ParseTOTPSecret)
	})
}

// addRow makes an entry of a row.
func (l *List) addRow(r *row, user string, secret func(string) ([]byte, error)) {
	e := Entry{Line: r.line, User: user, Name: r.get("name", "description", "serial")}
	text := r.get("secret", "otpkey", "key", "base32")
	if text == "" {
		l.problem(r.line, "there is no secret")
		return
	}
	var err error
	if e.Options.Secret, err = secret(text); err != nil {
		l.problem(r.line, "%v", err)
		return
	}
	problem := readOptions(&e.Options, r.get("algorithm", "hashlib"), r.get("digits", "otplen"), r.get("period", "timestep"))
	if problem != "" {
		l.problem(r.line, "%s", problem)
		return
	}
	l.add(e)
}

// readOptions reads what may be left out: SHA-1, 6 digits, 30 s.
func readOptions(o *factor.TOTPOptions, algorithm, digits, period string) (problem string) {
	var err error
	if algorithm != "" {
		if o.Algorithm, err = factor.ParseAlgorithm(algorithm); err != nil {
			return "the algorithm must be SHA1, SHA256 or SHA512"
		}
	}
	if digits != "" {
		if o.Digits, err = strconv.Atoi(digits); err != nil || o.Digits != 6 && o.Digits != 8 {
			return "a code must have 6 or 8 digits"
		}
	}
	if period != "" {
		if o.Period, err = strconv.Atoi(period); err != nil || o.Period != 30 && o.Period != 60 {
			return "a code must last 30 or 60 seconds"
		}
	}
	return ""
}

// eachRow reads a table with commas or semicolons between. A first line that names a
// column of a user or a secret is a header; without one the columns are those of order.
func eachRow(data []byte, l *List, order []string, f func(*row)) error {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord, r.TrimLeadingSpace, r.Comment = -1, true, '#'
	if line, _, _ := bytes.Cut(data, []byte("\n")); bytes.IndexByte(line, ';') >= 0 && bytes.IndexByte(line, ',') < 0 {
		r.Comma = ';'
	}
	for first := true; ; first = false {
		fields, err := r.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &wrong):
			l.problem(wrong.StartLine, "%v", wrong.Err)
			continue
		case err != nil:
			return err
		}
		line, _ := r.FieldPos(0)
		if names := lower(fields); first && isHeader(names) {
			order = names
			continue
		}
		if len(fields) > len(order) {
			l.problem(line, "%d columns are more than the %d that there are", len(fields), len(order))
			continue
		}
		one := row{line: line, fields: make(map[string]string)}
		for i, v := range fields {
			one.fields[order[i]] = v
		}
		f(&one)
	}
}

func lower(fields []string) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = strings.ToLower(strings.TrimSpace(f))
	}
	return names
}

func isHeader(names []string) bool {
	for _, n := range names {
		switch n {
		case "secret", "otpkey", "base32":
			return true
		}
	}
	return false
}

// parseHex reads a secret in hexadecimal.
func parseHex(text string) ([]byte, error) {
	b, err := hex.DecodeString(text)
	if err != nil {
		return nil, errors.New("the secret must be hexadecimal")
	}
	return b, nil
}
