// Package plugin is for authors of plug-in factors in Go: a second factor that runs as a
// process of its own beside Postern's webhook. A plug-in is a Factor and a main of one
// line; see contrib/plugins/httpcode for a whole one, docs/guides/plugins.md for how it
// is installed, and docs/plugins.md for the protocol that other languages speak.
//
//	func main() { plugin.Serve(plugin.Info{Name: "coin", Version: "1"}, &coin{}) }
//
// What a plug-in need not care about: who may use it (policy), how often somebody may
// guess, that a proof is used once, how pages look, and where its records are stored,
// which is sealed in the directory. What it must care about: its own timeouts, which have
// to be shorter than the webhook's; how many messages it sends; and never to call wrong
// what it could not check.
package plugin

import (
	"context"
	"errors"
	"time"
)

// Purpose is what the factor is asked for.
type Purpose int

// The purposes.
const (
	Login   Purpose = iota + 1 // the second step, after a right password
	Enrol                      // a new record is being added
	Confirm                    // before security settings are changed
)

// Request is one question of the webhook's about one account.
type Request struct {
	Purpose  Purpose
	Account  Account
	Records  []Record // the account's of this plug-in
	Language string   // of the page: en, de, es, fr, ru
	Session  string   // the same in every call of one login, enrolment or confirmation
	Now      time.Time
	Again    bool   // Begin: somebody asked for another message
	State    []byte // Check: Question.State
	Answer   string // Check: what was typed, or the chosen Option.ID; empty if there was nothing to type
}

// Account is whose factor it is.
type Account struct {
	ID     string // never reused
	Name   string // login name: the mail address
	Domain string
}

// Record is what was stored when the factor was enrolled.
type Record struct {
	ID   string
	Body []byte
}

// Question is what the page asks, and what the plug-in wants to know again when it is
// answered.
type Question struct {
	Prompt
	State []byte        // at most MaxState bytes; travels sealed through the browser
	Life  time.Duration // answers that come later are not passed on; 0: MaxLife
}

// Prompt is what the page shows: plain text in Request.Language, and one of Field, Wait
// and Options. What is too long is cut.
type Prompt struct {
	Title   string // empty: the method's label
	Text    string
	Field   *Field
	Wait    time.Duration // the page calls Check by itself, so often, until there is a verdict
	Options []Option
	Again   bool // with a button that calls Begin again
}

// FieldKind is what is typed into a field.
type FieldKind int

// The kinds.
const (
	Text   FieldKind = iota
	Code             // a one-time code
	Tel              // a telephone number
	Secret           // a PIN, which is not shown
)

// Field is the one field of a page.
type Field struct {
	Kind   FieldKind
	Label  string
	Hint   string
	Digits int // of a Code, 4 to 10: others are turned down before Check is called; 0: any
}

// Option is one of several answers.
type Option struct{ ID, Label string }

// Verdict is what Check found, unless it is an error: exactly one of the fields.
type Verdict struct {
	Right    *Right    // with Login and Confirm
	Enrolled []byte    // with Enrol: Body of the new Record, at most MaxBody bytes
	Next     *Question // one more question
}

// Right says that the answer was right.
type Right struct {
	Record string // whose; may be empty if the account has only one
	// Mark is what can be proved once only, such as a code's hash, at most MaxMark bytes:
	// a second proof with the same is refused. Empty: one proof for each Question.
	Mark []byte
}

// Limits of what a plug-in says. Longer texts are cut; the rest is an error.
const (
	MaxState   = 1024
	MaxBody    = 4096
	MaxMark    = 64
	MaxAnswer  = 256 // characters
	MaxTitle   = 80  // characters
	MaxText    = 400 // characters
	MaxLabel   = 80  // characters
	MaxHint    = 200 // characters
	MaxOptions = 12
	MaxID      = 64 // characters of an option's
	MaxLife    = 10 * time.Minute
)

// Errors of a Factor. Every other error means ErrUnavailable: what could not be checked
// is neither wrong nor right.
var (
	ErrWrong       = errors.New("wrong answer, or refused")
	ErrPending     = errors.New("no answer yet")
	ErrForm        = errors.New("cannot be an answer")     // costs no try
	ErrExpired     = errors.New("the question is too old") // costs no try
	ErrUsed        = errors.New("used before")
	ErrNoRecord    = errors.New("the account has none of this")
	ErrUnavailable = errors.New("cannot be checked now")
)

// Factor is what a plug-in implements. Both methods are called by several goroutines, and
// have until their context ends.
type Factor interface {
	// Begin asks. It sends the message, if there is one. Errors: ErrNoRecord,
	// ErrUnavailable.
	Begin(ctx context.Context, r *Request) (*Question, error)
	// Check looks at an answer. It is called any number of times for one Question, perhaps
	// in another process than Begin. Errors: all of the above.
	Check(ctx context.Context, r *Request) (*Verdict, error)
}

// Info is what the webhook's log says about the plug-in.
type Info struct{ Name, Version string }
