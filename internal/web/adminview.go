package web

import (
	"slices"
	"strings"
	"time"
)

// What the templates of the administration pages ask of the view models.

// Bulk reports whether anything can be done with several accounts at once.
func (r AdminRights) Bulk() bool { return r.Several && (r.Reset || r.Revoke || r.Class) }

// adminStates are in the order in which a filter offers them.
var adminStates = []AdminState{StateOn, StateOff, StateGrace, StateRequired, StateMustEnrol, StateUnreadable}

// None reports that there are no factors.
func (m AdminMethods) None() bool { return m.Authenticators+m.Passkeys+m.Plugins == 0 && !m.Codes }

// States are what the list can be filtered by.
func (*AdminList) States() []AdminState { return adminStates }

// Previous and Next are the paths of the pages beside this one; empty: there is none.
func (l *AdminList) Previous() string { return l.beside(l.Page - 1) }

// Next: see Previous.
func (l *AdminList) Next() string { return l.beside(l.Page + 1) }

func (l *AdminList) beside(page int) string {
	if page < 1 || page > l.Pages || l.Address == nil {
		return ""
	}
	return l.Address(page)
}

// Severe reports that the button is red: something ends that nobody can bring back.
func (a *AdminChange) Severe() bool { return severe(a.Action) }

func severe(a AdminAction) bool {
	return a == ActReset || a == ActRevoke || a == ActAll || a == ActSessions || a == ActBypass
}

// Severe is AdminChange's.
func (b *AdminBulk) Severe() bool { return severe(b.Action) }

// Tokens reports whether there are tokens to hand out.
func (d *AdminDone) Tokens() bool {
	for _, r := range d.Done {
		if !r.Token.Empty() {
			return true
		}
	}
	return false
}

// Field is the form of a setting that its page begins with.
func Field(key string, choices []string) AdminField {
	f := AdminField{Key: PolicyWord(key)}
	for _, c := range choices {
		f.Choices = append(f.Choices, PolicyWord(c))
	}
	return f
}

// Word reports that the setting is chosen from words.
func (f AdminField) Word() bool { return len(f.Choices) > 0 }

// Knows reports that a value has a word of its own in each language.
func (f AdminField) Knows(value string) bool { return slices.Contains(f.Choices, PolicyWord(value)) }

// OriginOf reads the origin of a value, as policy.Effective has it.
func OriginOf(origin string) AdminLevel {
	if origin == "built in" {
		return AdminLevel{Level: "builtin"}
	}
	kind, name, _ := strings.Cut(origin, " ")
	return AdminLevel{PolicyWord(kind), name}
}

// The choices of forms.
var (
	totpDigits  = []int{6, 8}
	totpPeriods = []int{30, 60}
	bypassTerms = []int{1, 2, 4, 8, 24} // hours
	actionLooks = map[AdminAction]struct{ icon, tone string }{
		ActReset: {"rotate-ccw-key", "danger"}, ActToken: {"ticket", ""}, ActRevoke: {"trash-2", "danger"}, ActAll: {"ban", "danger"},
		ActSessions: {"log-out", "danger"}, ActClass: {"pencil", ""}, ActCode: {"hash", "warn"}, ActBypass: {"hourglass", "danger"},
		ActEnd: {"hourglass", ""},
	}
)

// DigitsAll are the lengths of codes that authenticators may have.
func (*AdminTOTP) DigitsAll() []int { return totpDigits }

// Periods are how long a code may hold, in seconds.
func (*AdminTOTP) Periods() []int { return totpPeriods }

// Terms are how long a bypass may be, in hours.
func (a *AdminChange) Terms() []int {
	n := 0
	for n < len(bypassTerms) && bypassTerms[n] <= a.Hours {
		n++
	}
	return bypassTerms[:n]
}

func actionIcon(a AdminAction) string { return actionLooks[a].icon }
func actionTone(a AdminAction) string { return actionLooks[a].tone }

func shownIcon(s AdminShown) string {
	return map[AdminShown]string{ShownToken: "ticket", ShownCode: "hash", ShownKey: "smartphone"}[s]
}

// stateTone is the colour of an account's standing, whose word stands beside it.
func stateTone(s AdminState) string {
	switch s {
	case StateOn:
		return "good"
	case StateUnreadable:
		return "bad"
	case StateGrace, StateRequired, StateMustEnrol:
		return "warn"
	case StateOff:
	}
	return ""
}

func kindIcon(k Kind) string {
	switch k { //nolint:exhaustive // the others are no methods
	case KindTOTP:
		return methodIcon(TOTP)
	case KindPasskey:
		return methodIcon(Passkey)
	}
	return "plug"
}

func levelOf(level PolicyWord, of string) AdminLevel { return AdminLevel{level, of} }

func hoursOf(n int) time.Duration { return time.Duration(n) * time.Hour }

// wide are the pages that are lists rather than one card.
var wide = map[string]bool{"security": true, "adminlist": true, "adminaccount": true, "adminpolicy": true, "adminbulk": true, "admindone": true}

func isWide(view string) bool { return wide[view] }
