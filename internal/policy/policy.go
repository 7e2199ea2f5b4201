// Package policy turns the settings of several levels (site default, domain,
// class, account) into one answer, each value with the level it came from. The
// nearest level that sets a field wins, field by field.
//
// The package knows no directory: whoever reads a level hands it over as a Layer.
package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// TwoFactor says whether an account may or must have a second factor.
type TwoFactor string

// The three settings of two-factor login.
const (
	Off       TwoFactor = "off"
	Optional  TwoFactor = "optional"
	Mandatory TwoFactor = "mandatory"
)

// Settings is what one level may set; nil means: not set here. Keys are the same
// in TOML and in the directory's JSON.
type Settings struct {
	TwoFactor      *TwoFactor `json:"twofactor,omitempty" toml:"twofactor"`
	AppPasswords   *bool      `json:"app_passwords,omitempty" toml:"app_passwords"`
	AppPasswordMax *int       `json:"app_password_max,omitempty" toml:"app_password_max"`
}

// Layer is one level's settings.
type Layer struct {
	Origin string // "default", "domain example.test", "class students", "account"
	Settings
	Err error // the level exists but cannot be read: see Resolve
}

// Layers are ordered from the farthest (site default) to the nearest (account).
type Layers []Layer

// Effective is the answer: every field has a value and an origin.
type Effective struct {
	TwoFactor      TwoFactor
	AppPasswords   bool
	AppPasswordMax int
	Origin         map[string]string // by JSON key
}

// Builtin is what holds when no level says anything.
func Builtin() Layer {
	two, app, n := Optional, true, 25
	return Layer{Origin: "built in", Settings: Settings{TwoFactor: &two, AppPasswords: &app, AppPasswordMax: &n}}
}

// Resolve merges the layers over Builtin. A level that cannot be read is an
// error, not a level without settings: otherwise spoiling one value would relax
// the policy.
func (l Layers) Resolve() (Effective, error) {
	e := Effective{Origin: make(map[string]string, 3)}
	var errs []error
	for _, layer := range append(Layers{Builtin()}, l...) {
		if layer.Err != nil {
			errs = append(errs, fmt.Errorf("policy of %s: %w", layer.Origin, layer.Err))
			continue
		}
		take(&e, "twofactor", layer.Origin, layer.TwoFactor, &e.TwoFactor)
		take(&e, "app_passwords", layer.Origin, layer.AppPasswords, &e.AppPasswords)
		take(&e, "app_password_max", layer.Origin, layer.AppPasswordMax, &e.AppPasswordMax)
	}
	return e, errors.Join(errs...)
}

func take[T any](e *Effective, key, origin string, from, to *T) {
	if from != nil {
		*to, e.Origin[key] = *from, origin
	}
}

// Validate names every value that is out of range.
func (s Settings) Validate() error {
	var errs []error
	if s.TwoFactor != nil {
		switch *s.TwoFactor {
		case Off, Optional, Mandatory:
		default:
			errs = append(errs, fmt.Errorf("twofactor must be off, optional or mandatory, not %q", *s.TwoFactor))
		}
	}
	if s.AppPasswordMax != nil && (*s.AppPasswordMax < 0 || *s.AppPasswordMax > 200) {
		errs = append(errs, fmt.Errorf("app_password_max must be from 0 to 200, not %d", *s.AppPasswordMax))
	}
	return errors.Join(errs...)
}

// ParseJSON reads a posternPolicy value; unknown keys and trailing data are errors.
func ParseJSON(origin string, value string) Layer {
	l := Layer{Origin: origin}
	dec := json.NewDecoder(io.LimitReader(strings.NewReader(value), 64<<10))
	dec.DisallowUnknownFields()
	if l.Err = dec.Decode(&l.Settings); l.Err != nil {
		return l
	}
	if dec.More() {
		l.Err = errors.New("data after the JSON object")
		return l
	}
	l.Err = l.Validate()
	return l
}
