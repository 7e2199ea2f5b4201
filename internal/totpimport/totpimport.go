// Package totpimport reads authenticators that other products exported, for
// posternctl totp import. It reads and judges; nothing is written here.
//
// No text that it returns quotes what stands in the file: in a file whose columns are
// mixed up, any of them may be the secret.
package totpimport

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"postern/internal/factor"
)

// Entry is one authenticator to import.
type Entry struct {
	Line    int    // where it stands, from 1; of JSON, which element
	User    string // as the file has it
	Name    string // may be empty
	Options factor.TOTPOptions
}

// Problem is a line that cannot be imported.
type Problem struct {
	Line int
	Text string
}

func (p Problem) Error() string { return fmt.Sprintf("line %d: %s", p.Line, p.Text) }

// List is what a file holds.
type List struct {
	Entries  []Entry
	Problems []Problem
}

func (l *List) problem(line int, format string, args ...any) {
	l.Problems = append(l.Problems, Problem{line, fmt.Sprintf(format, args...)})
}

// add takes an entry if it can be one.
func (l *List) add(e Entry) {
	if strings.TrimSpace(e.User) == "" {
		l.problem(e.Line, "there is no user")
		return
	}
	if _, err := factor.NewTOTP(e.Options); err != nil {
		l.problem(e.Line, "%v", err)
		return
	}
	l.Entries = append(l.Entries, e)
}

// formats are the readers, by the name that --format has.
func formats() map[string]func([]byte, *List) error {
	return map[string]func([]byte, *List) error{
		"csv": readCSV, "otpauth": readURIs, "privacyidea": readPrivacyIDEA, "axigen": readAxigen,
	}
}

// Formats lists the formats there are.
func Formats() []string {
	var names []string
	for name := range formats() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// maxSize bounds a file: a hundred thousand authenticators.
const maxSize = 16 << 20

// Read reads a file of a format. Lines that are wrong are in the List's Problems;
// errors are of the file as a whole.
func Read(format string, in io.Reader) (List, error) {
	read, ok := formats()[format]
	if !ok {
		return List{}, fmt.Errorf("there is no format of that name; there are %s", strings.Join(Formats(), ", "))
	}
	data, err := io.ReadAll(io.LimitReader(in, maxSize+1))
	if err != nil {
		return List{}, err
	}
	if len(data) > maxSize {
		return List{}, fmt.Errorf("the file is larger than %d MB", maxSize>>20)
	}
	var l List
	if err := read([]byte(strings.TrimPrefix(string(data), "\ufeff")), &l); err != nil {
		return List{}, err
	}
	l.findDoubles()
	slices.SortStableFunc(l.Problems, func(a, b Problem) int { return a.Line - b.Line })
	return l, nil
}

// findDoubles makes every second line of one user and secret a problem.
func (l *List) findDoubles() {
	first := make(map[string]int)
	l.Entries = slices.DeleteFunc(l.Entries, func(e Entry) bool {
		key := strings.ToLower(e.User) + "\x00" + string(e.Options.Secret)
		line, seen := first[key]
		if seen {
			l.problem(e.Line, "the same as line %d", line)
			return true
		}
		first[key] = e.Line
		return false
	})
}
