package factor

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"postern/internal/account"
)

func authenticatorRecord(t *testing.T, id string, a TOTP) account.Record {
	t.Helper()
	return account.Record{Kind: account.KindTOTP, ID: id, Body: encoded(t, a)}
}

func TestT3_OneCodeOfSeveralAuthenticators(t *testing.T) {
	phone := totp(t, TOTPOptions{Secret: rfcSecret(20)})
	token := totp(t, TOTPOptions{Secret: rfcSecret(32), Algorithm: SHA256, Digits: 8, Period: 60})
	old := totp(t, TOTPOptions{})
	a := accountWith(t, authenticatorRecord(t, "phone", phone), authenticatorRecord(t, "token", token),
		account.Record{Kind: account.KindTOTP, ID: "old", Expires: noon, Body: encoded(t, old)})
	for id, code := range map[string]string{"phone": codeAt(t, phone, noon), "token": codeAt(t, token, noon)} {
		for _, p := range []Purpose{Login, Confirm} {
			got, err := TOTPFactor{}.Check(t.Context(), ask(t, p, a, code))
			if err != nil || got.Proof.ID != id || got.Proof.Kind != account.KindTOTP || len(got.Proof.Mark) != 8 {
				t.Errorf("code of the %s, purpose %d: %+v, %v", id, p, got, err)
			}
		}
	}
	if _, err := (TOTPFactor{}).Check(t.Context(), ask(t, Login, a, codeAt(t, old, noon))); !errors.Is(err, ErrWrong) {
		t.Errorf("the code of an expired authenticator: %v", err)
	}
}

// A fresh code of one authenticator wins over a spent one of another, that over a
// wrong one, and a hint is that of the nearest clock.
func TestTOTPFactorVerdict(t *testing.T) {
	shared := totp(t, TOTPOptions{Secret: rfcSecret(20)})
	spent := shared
	spent.Last = shared.step(noon)
	other := totp(t, TOTPOptions{})
	fresh := accountWith(t, authenticatorRecord(t, "spent", spent), authenticatorRecord(t, "other", other), authenticatorRecord(t, "fresh", shared))
	if got, err := (TOTPFactor{}).Check(t.Context(), ask(t, Login, fresh, codeAt(t, shared, noon))); err != nil || got.Proof.ID != "fresh" {
		t.Errorf("%+v, %v", got, err)
	}
	over := accountWith(t, authenticatorRecord(t, "spent", spent), authenticatorRecord(t, "other", other))
	if got, err := (TOTPFactor{}).Check(t.Context(), ask(t, Login, over, codeAt(t, shared, noon))); !errors.Is(err, ErrSpent) || errors.Is(err, ErrWrong) || got.Drift != 0 {
		t.Errorf("a code used before: %+v, %v", got, err)
	}
	ahead := codeAt(t, shared, noon.Add(4*30*time.Second))
	if got, err := (TOTPFactor{}).Check(t.Context(), ask(t, Login, fresh, ahead)); !errors.Is(err, ErrWrong) || got.Drift != 2*time.Minute {
		t.Errorf("two minutes ahead: %+v, %v", got, err)
	}
	minute := totp(t, TOTPOptions{Secret: rfcSecret(20), Period: 60})
	near, code := collision(t, shared, minute)
	a := accountWith(t, authenticatorRecord(t, "far", minute), authenticatorRecord(t, "near", shared))
	r := ask(t, Login, a, code)
	r.Now = near
	if got, err := (TOTPFactor{}).Check(t.Context(), r); !errors.Is(err, ErrWrong) || got.Drift != 2*30*time.Second {
		t.Errorf("of two hints: %+v, %v", got, err)
	}
}

// collision finds a time at which one code is that of a two steps on and that of b more
// than two steps on.
func collision(t *testing.T, a, b TOTP) (time.Time, string) {
	t.Helper()
	// The same secret: the code of step n is the same for both, at n half minutes and at
	// n minutes. That is near both only right after 1970.
	at := time.Unix(0, 0)
	code := codeAt(t, a, at.Add(60*time.Second)) // step 2 of a; of b it is 120 s on
	if codeAt(t, b, at.Add(120*time.Second)) != code {
		t.Fatal("the codes differ")
	}
	return at, code
}

func TestTOTPFactorForm(t *testing.T) {
	six := totp(t, TOTPOptions{Secret: rfcSecret(20)})
	eight := totp(t, TOTPOptions{Secret: rfcSecret(20), Digits: 8})
	both := accountWith(t, authenticatorRecord(t, "6", six), authenticatorRecord(t, "8", eight))
	only := accountWith(t, authenticatorRecord(t, "6", six))
	for _, c := range []struct {
		a    *account.Account
		code string
		want FormProblem
		text string
	}{
		{only, "", FormEmpty, "not a code: the code must be 6 numbers"},
		{only, " - ", FormEmpty, "not a code: the code must be 6 numbers"},
		{only, "12345", FormShort, "not a code: the code must be 6 numbers, not 5: it is too short"},
		{only, "12345678", FormLong, "not a code: the code must be 6 numbers, not 8: it is too long"},
		{only, "12345a", FormCharacters, "not a code: the code must be 6 numbers and nothing else"},
		{both, "1234567", FormShort, "not a code: the code must be 6 or 8 numbers, not 7: it is too short"},
		{both, "123456789", FormLong, "not a code: the code must be 6 or 8 numbers, not 9: it is too long"},
	} {
		_, err := TOTPFactor{}.Check(t.Context(), ask(t, Login, c.a, c.code))
		var form *FormError
		if !errors.Is(err, ErrForm) || !errors.As(err, &form) || form.Problem != c.want || err.Error() != c.text {
			t.Errorf("%q: %v", c.code, err)
		}
	}
	for _, code := range []string{codeAt(t, six, noon), codeAt(t, eight, noon)} {
		typed := code[:3] + " " + code[3:]
		if _, err := (TOTPFactor{}).Check(t.Context(), ask(t, Login, both, typed)); err != nil {
			t.Errorf("%q: %v", typed, err)
		}
	}
}

// An authenticator that cannot be read hides no other, and a code that is wrong for
// those counts as a try, with the alarm (ATTACKS 22).
func TestAttack22_UnreadableAuthenticator(t *testing.T) {
	good := totp(t, TOTPOptions{Secret: rfcSecret(20)})
	bad := account.Record{Kind: account.KindTOTP, ID: "bad", Stored: spoiled}
	a := accountWith(t, bad, authenticatorRecord(t, "good", good))
	if got, err := (TOTPFactor{}).Check(t.Context(), ask(t, Login, a, codeAt(t, good, noon))); err != nil || got.Proof.ID != "good" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := (TOTPFactor{}).Begin(t.Context(), ask(t, Login, a, "")); err != nil {
		t.Errorf("begin: %v", err)
	}
	wrong := codeAt(t, totp(t, TOTPOptions{Secret: rfcSecret(32)}), noon)
	if _, err := (TOTPFactor{}).Check(t.Context(), ask(t, Login, a, wrong)); !errors.Is(err, ErrWrong) || !errors.Is(err, account.ErrDamaged) {
		t.Errorf("wrong for the other: %v", err)
	}
	for name, only := range map[string]*account.Account{
		"unreadable":     accountWith(t, bad),
		"without secret": accountWith(t, authenticatorRecord(t, "x", TOTP{Algorithm: SHA1, Digits: 6, Period: 30})),
	} {
		for what, err := range map[string]error{"check": check(t, only, wrong), "begin": begin(t, only)} {
			if !errors.Is(err, account.ErrDamaged) || errors.Is(err, ErrWrong) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
	none := accountWith(t)
	if err := check(t, none, wrong); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("none: %v", err)
	}
	if err := begin(t, none); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("begin with none: %v", err)
	}
}

func check(t *testing.T, a *account.Account, code string) error {
	_, err := TOTPFactor{}.Check(t.Context(), ask(t, Login, a, code))
	return err
}

func begin(t *testing.T, a *account.Account) error {
	_, err := TOTPFactor{}.Begin(t.Context(), ask(t, Login, a, ""))
	return err
}

// The tolerance is the policy's.
func TestT2_ToleranceOfPolicy(t *testing.T) {
	phone := totp(t, TOTPOptions{Secret: rfcSecret(20)})
	a := accountWith(t, authenticatorRecord(t, "phone", phone))
	for tolerance := range 4 {
		for off := -4; off <= 4; off++ {
			r := ask(t, Login, a, codeAt(t, phone, noon.Add(time.Duration(off)*30*time.Second)))
			r.Policy.TOTPTolerance = tolerance
			_, err := TOTPFactor{}.Check(t.Context(), r)
			if within := off >= -tolerance && off <= tolerance; within != (err == nil) {
				t.Errorf("tolerance %d, %+d steps: %v", tolerance, off, err)
			}
		}
	}
}

func TestT1_Enrolment(t *testing.T) {
	f := TOTPFactor{}
	begun, err := f.Begin(t.Context(), ask(t, Enrol, accountWith(t), ""))
	if err != nil {
		t.Fatal(err)
	}
	e, err := DecodeTOTPEnrolment(begun.State)
	if err != nil || len(e.TOTP.Secret) != newSecretSize || e.ID == "" {
		t.Fatalf("%+v, %v", e, err)
	}
	again, err := f.Begin(t.Context(), ask(t, Enrol, accountWith(t), ""))
	if err != nil || bytes.Equal(again.State, begun.State) {
		t.Errorf("two enrolments have one secret: %v", err)
	}
	r := ask(t, Enrol, accountWith(t), codeAt(t, e.TOTP, noon))
	r.State = begun.State
	got, err := f.Check(t.Context(), r)
	if err != nil || got.Record.ID != e.ID || got.Record.Kind != account.KindTOTP || !got.Record.Created.Equal(noon) || got.Record.Stored != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	// The code that enrolled is spent, at once and for ever.
	if err := check(t, accountWith(t, got.Record), codeAt(t, e.TOTP, noon)); !errors.Is(err, ErrSpent) {
		t.Errorf("the code that enrolled, again: %v", err)
	}
	for name, change := range map[string]func(*Request){
		"wrong":       func(r *Request) { r.Input = map[string]string{InputCode: codeAt(t, totp(t, TOTPOptions{}), noon)} },
		"other state": func(r *Request) { r.State = again.State },
	} {
		bad := r
		change(&bad)
		if got, err := f.Check(t.Context(), bad); !errors.Is(err, ErrWrong) || got.Record.ID != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	r.Input = map[string]string{InputCode: codeAt(t, e.TOTP, noon.Add(-2*time.Minute))}
	if got, err := f.Check(t.Context(), r); !errors.Is(err, ErrWrong) || got.Drift != -2*time.Minute {
		t.Errorf("a slow clock: %s, %v", got.Drift, err)
	}
	for _, state := range [][]byte{nil, {}, encoded(t, TOTPEnrolment{ID: "x"}), encoded(t, e.TOTP)} {
		r.State = state
		if _, err := f.Check(t.Context(), r); !errors.Is(err, account.ErrDamaged) {
			t.Errorf("state %x: %v", state, err)
		}
	}
}

func TestTOTPFactorSpend(t *testing.T) {
	phone := totp(t, TOTPOptions{Secret: rfcSecret(20)})
	r := authenticatorRecord(t, "phone", phone)
	got, err := TOTPFactor{}.Check(t.Context(), ask(t, Login, accountWith(t, r), codeAt(t, phone, noon)))
	if err != nil {
		t.Fatal(err)
	}
	spent, err := TOTPFactor{}.Spend(r, got.Proof, noon)
	if err != nil || !spent.Used.At.Equal(noon) {
		t.Fatalf("%+v, %v", spent, err)
	}
	if _, err := (TOTPFactor{}).Spend(spent, got.Proof, noon); !errors.Is(err, ErrSpent) {
		t.Errorf("again: %v", err)
	}
	for name, p := range map[string]Proof{
		"another record": {Kind: account.KindTOTP, ID: "other", Mark: got.Proof.Mark},
		"another kind":   {Kind: account.KindBackup, ID: "phone", Mark: got.Proof.Mark},
		"no mark":        {Kind: account.KindTOTP, ID: "phone"},
	} {
		if _, err := (TOTPFactor{}).Spend(r, p, noon); err == nil || errors.Is(err, ErrSpent) {
			t.Errorf("a proof of %s: %v", name, err)
		}
	}
}

// Neither factor does what it cannot: an authenticator alone is no login.
func TestPurposes(t *testing.T) {
	phone := totp(t, TOTPOptions{Secret: rfcSecret(20)})
	a := accountWith(t, authenticatorRecord(t, "phone", phone))
	backup := NewBackupFactor(1)
	for _, c := range []struct {
		f    Factor
		p    Purpose
		code string
	}{
		{TOTPFactor{}, Passwordless, codeAt(t, phone, noon)}, {TOTPFactor{}, 0, codeAt(t, phone, noon)},
		{backup, Passwordless, ""}, {backup, Enrol, ""}, {backup, 0, ""},
	} {
		_, beginErr := c.f.Begin(context.Background(), ask(t, c.p, a, c.code))
		_, checkErr := c.f.Check(context.Background(), ask(t, c.p, a, c.code))
		if !errors.Is(beginErr, errPurpose) || !errors.Is(checkErr, errPurpose) {
			t.Errorf("%s, purpose %d: %v, %v", c.f.Name(), c.p, beginErr, checkErr)
		}
	}
}

func TestAllowed(t *testing.T) {
	eff := builtin(t)
	eff.Methods, eff.BackupCodes = []string{"passkey", "plugin:radius"}, false
	var got []string
	for _, c := range []struct {
		k    account.Kind
		name string
	}{
		{account.KindTOTP, NameTOTP}, {account.KindPasskey, NamePasskey}, {account.KindPlugin, "plugin:radius"},
		{account.KindPlugin, "plugin:sms"}, {account.KindPlugin, ""}, {account.KindBackup, NameBackup},
	} {
		if Allowed(eff, c.k, c.name) {
			got = append(got, c.name)
		}
	}
	if !slices.Equal(got, []string{NamePasskey, "plugin:radius"}) {
		t.Errorf("allowed: %q", got)
	}
	if eff.BackupCodes = true; !Allowed(eff, account.KindBackup, NameBackup) {
		t.Error("backup codes are not allowed")
	}
}
