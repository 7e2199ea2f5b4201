package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"postern/internal/account"
)

// object is what --json prints.
type object map[string]any

// print prints the object with --json, and otherwise the lines.
func (c *ctl) print(o object, lines ...string) error {
	if c.json {
		e := json.NewEncoder(c.out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(o)
	}
	for _, l := range lines {
		if _, err := fmt.Fprintln(c.out, l); err != nil {
			return err
		}
	}
	return nil
}

// table prints the object with --json, and otherwise rows below a header.
func (c *ctl) table(o object, header string, rows [][]string) error {
	if c.json {
		return c.print(o)
	}
	if len(rows) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(header, ",", "\t"))
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	return w.Flush()
}

// say tells a person what was done.
func (c *ctl) say(format string, args ...any) {
	if !c.quiet {
		fmt.Fprintf(c.err, format+"\n", args...)
	}
}

// warn tells what must not be missed.
func (c *ctl) warn(format string, args ...any) {
	fmt.Fprintf(c.err, "posternctl: warning: "+format+"\n", args...)
}

// addTime adds a time unless it is zero.
func (o object) addTime(key string, t time.Time) {
	if !t.IsZero() {
		o[key] = stamp(t)
	}
}

// addUse adds the last use unless there was none.
func (o object) addUse(u account.Use) {
	if u.At.IsZero() {
		return
	}
	use := object{"at": stamp(u.At)}
	if u.Service != "" {
		use["service"] = u.Service
	}
	if u.From.IsValid() {
		use["address"] = u.From
	}
	o["last_used"] = use
}

// stamp is a time in RFC 3339, in UTC and whole seconds.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// when is a time in a table.
func when(t time.Time, zero string) string {
	if t.IsZero() {
		return zero
	}
	return t.Local().Format("2006-01-02 15:04")
}

func used(u account.Use) string {
	text := when(u.At, "never")
	if u.Service != "" {
		text += " " + string(u.Service)
	}
	if u.From.IsValid() {
		text += " " + u.From.String()
	}
	return text
}

func joined[T any](list []T, empty string) string {
	if len(list) == 0 {
		return empty
	}
	text := make([]string, len(list))
	for i, v := range list {
		text[i] = fmt.Sprint(v)
	}
	return strings.Join(text, ",")
}

// prefixes is never null in JSON.
func prefixes(list []netip.Prefix) []netip.Prefix {
	if list == nil {
		return []netip.Prefix{}
	}
	return list
}

// terminal reports whether a stream is one, /dev/null not among them.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS) //nolint:gosec // a file descriptor
	return err == nil
}
