package desk

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/policy"
)

// Authenticator is an authenticator app or token of an account, without its secret.
type Authenticator struct {
	User, Domain string // of the account
	ID, Name     string
	Created      time.Time
	Used         account.Use
	Algorithm    factor.Algorithm
	Digits       int
	Period       int // seconds
}

// NewTOTP asks for an authenticator.
type NewTOTP struct {
	Name    string // "Authenticator" if empty
	Options factor.TOTPOptions
}

// AddedTOTP is a new authenticator, with its secret: show it once.
type AddedTOTP struct {
	Authenticator
	TOTP factor.TOTP
	// First says that it switched 2FA on: sessions that began without it are void,
	// and mail programs need app passwords from now on.
	First bool
}

// AddTOTP adds an authenticator. The first one switches 2FA on. Errors: ErrForbidden
// when policy switches 2FA off, ErrInvalid, and those of every change.
func (d *Desk) AddTOTP(ctx context.Context, who Actor, user string, n NewTOTP) (AddedTOTP, error) {
	var added AddedTOTP
	o := order{who: who, user: user, action: effect.TOTPAdded}
	acct, err := d.commit(ctx, o, func(dr *draft) (err error) {
		added, err = dr.addTOTP(n)
		return err
	})
	if err != nil {
		return AddedTOTP{}, err
	}
	added.User, added.Domain = acct.Name, acct.Domain
	return added, nil
}

func (d *draft) addTOTP(n NewTOTP) (AddedTOTP, error) {
	if err := intact(d.account); err != nil {
		return AddedTOTP{}, err
	}
	if err := allowsTwoFactor(d.account); err != nil {
		return AddedTOTP{}, err
	}
	if n.Name == "" {
		n.Name = "Authenticator"
	}
	name, nameErr := checkName(n.Name)
	t, err := factor.NewTOTP(n.Options)
	if err != nil || nameErr != nil {
		return AddedTOTP{}, invalid(nameErr, err)
	}
	body, err := account.Encode(t)
	if err != nil {
		return AddedTOTP{}, err
	}
	r := account.Record{Kind: account.KindTOTP, ID: account.NewID(), Name: name, Created: d.now, Body: body}
	first := !d.account.State.Enrolled
	d.add(r)
	d.event(effect.TOTPAdded, "totp:"+r.ID, "name "+name)
	d.setState(func(s *account.State) { delete(s.Failures, account.KindTOTP) })
	if first {
		d.switchOn()
	}
	return AddedTOTP{Authenticator: listed(d.account, &r, &t), TOTP: t, First: first}, nil
}

// switchOn turns 2FA on; the new epoch ends what began with the main password
// alone (FEATURES E7).
func (d *draft) switchOn() {
	d.setState(func(s *account.State) {
		s.Enrolled, s.MustEnrol = true, false
		s.Epoch = s.NextEpoch(d.now)
	})
	d.event(effect.TwoFactorOn, "", "")
}

func allowsTwoFactor(a *account.Account) error {
	eff, err := a.Policy.Resolve()
	if err != nil {
		return fmt.Errorf("%w: the policy cannot be read: %w", ErrForbidden, err)
	}
	if eff.TwoFactor == policy.Off {
		return fmt.Errorf("%w: second factors are switched off by the policy of %s (twofactor)", ErrForbidden, eff.Origin["twofactor"])
	}
	return nil
}

// RemovedTOTP says what is left after an authenticator was removed.
type RemovedTOTP struct {
	Authenticator
	// Factors is how many second factors are left. With none, 2FA stays on: mail is
	// open to app passwords only, until a factor is added or 2FA is switched off.
	Factors int
}

// RemoveTOTP removes an authenticator. It never switches 2FA off.
func (d *Desk) RemoveTOTP(ctx context.Context, who Actor, user, id string) (RemovedTOTP, error) {
	var removed RemovedTOTP
	o := order{who: who, user: user, action: effect.TOTPRemoved, credential: "totp:" + loggable(id)}
	_, err := d.commit(ctx, o, func(dr *draft) error {
		if err := intact(dr.account); err != nil {
			return err
		}
		r, t, err := openTOTP(dr.account, id)
		if err != nil {
			return err
		}
		dr.remove(r)
		dr.event(effect.TOTPRemoved, "totp:"+r.ID, "name "+r.Name)
		removed = RemovedTOTP{listed(dr.account, &r, &t), countFactors(dr.account) - 1}
		return nil
	})
	return removed, err
}

func countFactors(a *account.Account) int {
	n := 0
	for _, k := range factorKinds {
		n += len(a.Values(k))
	}
	return n
}

// ListTOTP lists the account's authenticators. Unreadable ones are left out and
// reported in the error, beside the list.
func (d *Desk) ListTOTP(ctx context.Context, user string) ([]Authenticator, error) {
	a, err := d.read(ctx, user)
	if err != nil {
		return nil, err
	}
	records, err := a.Records(account.KindTOTP)
	list := make([]Authenticator, 0, len(records))
	for _, r := range records {
		t, decodeErr := factor.DecodeTOTP(r.Body)
		if decodeErr != nil {
			err = decodeErr
			continue
		}
		list = append(list, listed(a, &r, &t))
	}
	return list, err
}

// ShownCode is the current code of an authenticator.
type ShownCode struct {
	Authenticator
	Code    account.Secret
	Expires time.Time // when the next one follows
}

// Code tells an administrator the current code of an authenticator; an empty id
// means the only one. That it was told is recorded first, for there is no taking back.
func (d *Desk) Code(ctx context.Context, who Actor, user, id string) (ShownCode, error) {
	o := order{who: who, user: user, action: effect.TOTPCodeShown, credential: "totp:" + loggable(id)}
	a, err := d.read(ctx, user)
	if err != nil {
		d.recordFailure(o, nil, err)
		return ShownCode{}, err
	}
	shown, err := code(a, id, d.Now())
	if err != nil {
		d.recordFailure(o, a, err)
		return ShownCode{}, err
	}
	d.record(o, a, effect.Event{Action: effect.TOTPCodeShown, Outcome: "done", Credential: "totp:" + shown.ID})
	return shown, nil
}

func code(a *account.Account, id string, now time.Time) (ShownCode, error) {
	if id == "" {
		values := a.Values(account.KindTOTP)
		if len(values) > 1 {
			return ShownCode{}, fmt.Errorf("%w: the account has %d authenticators; name one by its id", ErrInvalid, len(values))
		}
		if len(values) == 0 {
			return ShownCode{}, fmt.Errorf("the account has no authenticator: %w", account.ErrNoRecord)
		}
		id = values[0].ID
	}
	r, t, err := openTOTP(a, id)
	if err != nil {
		return ShownCode{}, err
	}
	text, err := t.Code(now)
	if err != nil {
		return ShownCode{}, err
	}
	period := time.Duration(t.Period) * time.Second
	return ShownCode{listed(a, &r, &t), account.SecretString(text), now.Truncate(period).Add(period)}, nil
}

func openTOTP(a *account.Account, id string) (account.Record, factor.TOTP, error) {
	if looksLikeCredential(id) {
		return account.Record{}, factor.TOTP{}, fmt.Errorf("authenticator: %w", account.ErrNoRecord)
	}
	r, err := a.Record(account.KindTOTP, id)
	if err != nil {
		return r, factor.TOTP{}, err
	}
	t, err := factor.DecodeTOTP(r.Body)
	return r, t, err
}

func listed(a *account.Account, r *account.Record, t *factor.TOTP) Authenticator {
	return Authenticator{User: a.Name, Domain: a.Domain, ID: r.ID, Name: r.Name, Created: r.Created, Used: r.Used,
		Algorithm: t.Algorithm, Digits: t.Digits, Period: t.Period}
}

const maxName = 64 // characters

// checkName checks the name that people give a credential.
func checkName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", fmt.Errorf("a name is needed")
	case !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName:
		return "", fmt.Errorf("a name must have at most %d characters", maxName)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return "", fmt.Errorf("a name must not have control characters")
	case looksLikeCredential(name):
		return "", fmt.Errorf("this name looks like an app password")
	}
	return name, nil
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
