package desk

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/effect"
	"postern/internal/factor"
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
	// Once refuses a secret that the account has an authenticator with already
	// (ErrNothing): an import that is run again adds nothing twice.
	Once bool
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
	if err := d.noPanel(); err != nil {
		return AddedTOTP{}, err
	}
	if err := d.mayAdd(account.KindTOTP, factor.NameTOTP); err != nil {
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
	if n.Once && hasSecret(d.account, t.Secret) {
		return AddedTOTP{}, fmt.Errorf("%w: %s has an authenticator with this secret", ErrNothing, d.account.Name)
	}
	body, err := account.Encode(t)
	if err != nil {
		return AddedTOTP{}, err
	}
	r := account.Record{Kind: account.KindTOTP, ID: account.NewID(), Name: name, Created: d.now, Body: body}
	first := d.addFactor(r)
	return AddedTOTP{Authenticator: listed(d.account, &r, &t), TOTP: t, First: first}, nil
}

// hasSecret reports whether an authenticator of the account has the secret.
func hasSecret(a *account.Account, secret []byte) bool {
	records, err := a.Records(account.KindTOTP)
	return err == nil && slices.ContainsFunc(records, func(r account.Record) bool {
		t, err := factor.DecodeTOTP(r.Body)
		return err == nil && subtle.ConstantTimeCompare(t.Secret, secret) == 1
	})
}

// ListTOTP lists the account's authenticators. Unreadable ones are left out and
// reported in the error, beside the list.
func (d *Desk) ListTOTP(ctx context.Context, user string) ([]Authenticator, error) {
	a, err := d.read(ctx, user)
	if err != nil {
		return nil, err
	}
	return totpsOf(a)
}

func totpsOf(a *account.Account) ([]Authenticator, error) {
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

// WantedCode asks for the current code of an authenticator; an empty ID means the only
// one. Reason is for the audit log; only Root may leave it out.
type WantedCode struct{ ID, Reason string }

// Code tells an administrator the current code of an authenticator. That it was told is
// recorded first, for there is no taking back. Errors: ErrInvalid without a reason;
// account.ErrNoRecord, and those of every change.
func (d *Desk) Code(ctx context.Context, who Actor, user string, w WantedCode) (ShownCode, error) {
	o := order{who: who, user: user, action: effect.TOTPCodeShown, credential: "totp:" + loggable(w.ID)}
	a, err := d.look(ctx, o, admin.ShowCode)
	if err != nil {
		return ShownCode{}, err
	}
	reason, err := checkReason(w.Reason)
	if w.Reason == "" && who.root {
		reason, err = "", nil
	}
	if err != nil {
		d.recordFailure(o, a, invalid(err))
		return ShownCode{}, invalid(err)
	}
	shown, err := code(a, w.ID, d.Now())
	if err != nil {
		d.recordFailure(o, a, err)
		return ShownCode{}, err
	}
	d.record(o, a, effect.Event{Action: effect.TOTPCodeShown, Outcome: "done", Credential: "totp:" + shown.ID, Detail: reason})
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
