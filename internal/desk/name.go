package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/internal/account"
	"postern/internal/effect"
)

// Errors of names, which come along with ErrInvalid.
var (
	ErrNameEmpty = errors.New("a name is needed")
	ErrNameLong  = fmt.Errorf("a name must have at most %d characters", maxName)
	// ErrNameForm: characters that nobody sees, or what may be a password.
	ErrNameForm = errors.New("a name must not have control characters, nor look like an app password")
)

const maxName = 64 // characters

// CheckName checks the name that somebody wants to give a credential, before anything
// else is asked of them. Errors: ErrNameEmpty, ErrNameLong, ErrNameForm.
func CheckName(name string) error {
	_, err := checkName(name)
	return err
}

// checkName returns the name without blanks around it.
func checkName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", ErrNameEmpty
	case !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName:
		return "", ErrNameLong
	case strings.ContainsFunc(name, unseen), looksLikeCredential(name):
		return "", ErrNameForm
	}
	return name, nil
}

// unseen: control characters, and those that turn the text around them about. Joiners
// are part of what is seen: of emoji, and of Persian and Indic words.
func unseen(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return !unicode.IsGraphic(r) && r != nonJoiner && r != joiner
}

// freeName returns the name, numbered if another of that kind has it.
func (d *draft) freeName(k account.Kind, name string) string {
	free := name
	for n := 2; d.nameTaken(k, "", free); n++ {
		suffix := fmt.Sprintf(" %d", n)
		runes := []rune(name)
		free = string(runes[:min(len(runes), maxName-len(suffix))]) + suffix
	}
	return free
}

// nameTaken reports whether a record of that kind other than the one with that id has
// the name.
func (d *draft) nameTaken(k account.Kind, id, name string) bool {
	records, _ := d.account.Records(k) // what cannot be read has no name that anybody sees
	return slices.ContainsFunc(records, func(r account.Record) bool {
		return r.ID != id && r.Ended.IsZero() && strings.EqualFold(r.Name, name)
	})
}

// NewName is a name to be given.
type NewName struct {
	Ref
	Name string
}

// Rename renames a factor, a trusted device or an app password. Errors: ErrNameTaken,
// and those of CheckName along with ErrInvalid, account.ErrNoRecord, and those
// of every change.
func (d *Desk) Rename(ctx context.Context, who Actor, user string, n NewName) error {
	o := order{who: who, user: user, action: effect.Renamed, credential: n.logged()}
	_, err := d.commit(ctx, o, func(dr *draft) error {
		name, err := checkName(n.Name)
		if err != nil {
			return invalid(err)
		}
		if !n.Kind.IsFactor() && n.Kind != account.KindDevice && n.Kind != account.KindApp {
			return fmt.Errorf("%w: %s has no name", ErrInvalid, n.Kind)
		}
		r, err := dr.find(n.Ref)
		switch {
		case err != nil:
			return err
		case !r.Ended.IsZero():
			return fmt.Errorf("%s has ended: %w", n, account.ErrNoRecord)
		case dr.nameTaken(n.Kind, n.ID, name):
			return ErrNameTaken
		case r.Name == name:
			return fmt.Errorf("%w: that is its name", ErrNothing)
		}
		renamed := r
		renamed.Name = name
		dr.swap(r, renamed)
		dr.event(effect.Renamed, n.String(), fmt.Sprintf("name %s, was %s", name, r.Name))
		return nil
	})
	return err
}

// invalid returns the first of errs that there is, as ErrInvalid.
func invalid(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	return nil
}
