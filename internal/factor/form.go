package factor

import (
	"fmt"
	"slices"
	"strings"
)

// FormProblem is why something typed cannot be a code.
type FormProblem string

// The closed set of problems.
const (
	FormEmpty      FormProblem = "empty"
	FormShort      FormProblem = "too short"
	FormLong       FormProblem = "too long"
	FormCharacters FormProblem = "characters" // some that no such code has
)

// FormError is an ErrForm, for pages that say it in the user's language.
type FormError struct {
	Problem FormProblem
	// Lengths are those that a code may have, ascending; Got is that of what was
	// typed, without blanks and dashes.
	Lengths []int
	Got     int
	// Backup says that the codes are backup codes: letters and numbers.
	Backup bool
}

func (e *FormError) Error() string {
	want := "the code must be " + either(e.Lengths) + " numbers"
	if e.Backup {
		want = "a backup code has " + either(e.Lengths) + " letters and numbers"
	}
	switch e.Problem {
	case FormEmpty:
		return fmt.Sprintf("%v: %s", ErrForm, want)
	case FormCharacters:
		return fmt.Sprintf("%v: %s and nothing else", ErrForm, want)
	}
	return fmt.Sprintf("%v: %s, not %d: it is %s", ErrForm, want, e.Got, e.Problem)
}

// Unwrap makes it an ErrForm.
func (e *FormError) Unwrap() error { return ErrForm }

func either(lengths []int) string {
	text := make([]string, len(lengths))
	for i, n := range lengths {
		text[i] = fmt.Sprint(n)
	}
	return strings.Join(text, " or ")
}

// form tells a typing error from a wrong code; it costs no try. It returns nil or a
// *FormError.
func form(code, characters string, e FormError) error {
	e.Got = len(code)
	switch {
	case code == "":
		e.Problem = FormEmpty
	case strings.Trim(code, characters) != "":
		e.Problem = FormCharacters
	case slices.Contains(e.Lengths, e.Got):
		return nil
	case e.Got > slices.Max(e.Lengths):
		e.Problem = FormLong
	default:
		e.Problem = FormShort
	}
	return &e
}

// numberForm is form for the codes of authenticators with that many digits.
func numberForm(code string, digits []int) error {
	return form(code, "0123456789", FormError{Lengths: digits})
}
