package login_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/policy"
	"postern/internal/session"
)

var someCodes = sync.OnceValues(func() (factor.NewBackup, error) {
	return factor.NewBackupFactor(1).NewCodes(context.Background())
})

// lose takes the user's last factor away and leaves so many backup codes.
func (w *site) lose(left int) []account.Secret {
	w.t.Helper()
	w.enrol()
	all, err := someCodes()
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := factor.DecodeBackupCodes(all.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	b.Left, b.Used = b.Left[:left], b.Left[left:]
	body, err := account.Encode(b)
	if err == nil {
		_, err = w.desk.NewBackupCodes(ctx, desk.Root("test"), w.user, body)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.dropFactor()
	return all.Codes[:left]
}

func (w *site) dropFactor() {
	w.t.Helper()
	ref := desk.Ref{Kind: account.KindTOTP, ID: w.account().Values(account.KindTOTP)[0].ID}
	if _, err := w.desk.RemoveFactor(ctx, desk.Root("test"), w.user, ref); err != nil {
		w.t.Fatal(err)
	}
}

// trusting adds a trusted device of the account as it is, and returns its cookie.
func (w *site) trusting() string {
	w.t.Helper()
	a := w.account()
	body, err := account.Encode(session.Device{Epoch: a.Epoch(), Via: "backup:codes"})
	if err != nil {
		w.t.Fatal(err)
	}
	r := account.Record{Kind: account.KindDevice, ID: account.NewID(), Created: w.clock(), Expires: w.clock().Add(24 * time.Hour), Body: body}
	if err := w.store.Apply(ctx, a, account.Edit{Now: &r}); err != nil {
		w.t.Fatal(err)
	}
	cookie, err := w.ring.Issue(account.RoleFactor, "trusted device", r.Expires, struct {
		Account account.ID `cbor:"1,keyasint"`
		ID      string     `cbor:"2,keyasint"`
		Epoch   int64      `cbor:"3,keyasint"`
	}{a.ID, r.ID, a.Epoch()})
	if err != nil {
		w.t.Fatal(err)
	}
	return cookie
}

func (w *site) answerCode(r login.Result, code account.Secret) login.Answer {
	w.t.Helper()
	return w.Answer(ctx, w.visit(r), login.Reply{Method: "backup", Input: map[string]string{"code": string(code.Reveal())}, Trust: true})
}

// A trusted device stands in for a factor that is there. With none left but backup codes,
// one is asked for; with nothing but the device, enrolment follows, by token.
func TestA3_NothingButATrustedDevice(t *testing.T) {
	w := newSite(t, policy.Settings{TwoFactor: &must})
	codes := w.lose(1)
	cookie := w.trusting()
	r := w.toFactor()
	if got := w.Trusted(ctx, w.visit(r), cookie); got.Outcome == account.Granted {
		t.Errorf("by the device: %+v", got)
	}
	if a := w.answerCode(r, codes[0]); a.Outcome != account.Granted || a.Enrol == "" || a.Redirect != "" || a.Device != nil {
		t.Fatalf("after the code: %+v", a)
	}
	cookie = w.trusting()
	r = w.begin()
	if r.Step != login.StepEnrol {
		t.Fatalf("with nothing but a device: %+v", r)
	}
	v := w.visit(r)
	if w.Trusted(ctx, v, cookie).Outcome == account.Granted || v.MayPostpone() || w.Postpone(v).Outcome == account.Granted || !v.NeedsEnrolToken() {
		t.Error("the device, or nothing, was enough")
	}
	if err := w.tryEnrol(v); err == nil {
		t.Error("enrolled without a token")
	}
	if got := w.Enrolled(ctx, v); got.Outcome == account.Granted {
		t.Errorf("in without a factor: %+v", got)
	}
}

// tryEnrol adds a factor, with no token.
func (w *site) tryEnrol(v *login.Visit) error {
	w.t.Helper()
	e := v.Enrolee("")
	p, err := w.EnrolPrompt(ctx, e, "totp")
	if err != nil {
		w.t.Fatal(err)
	}
	en, a := w.CheckEnrol(ctx, e, login.Reply{Method: "totp", State: p.State,
		Input: map[string]string{"code": w.code(w.shown(e, p))}}, "phone")
	if a.Outcome != account.Granted {
		w.t.Fatalf("%+v", a)
	}
	_, err = w.FinishEnrol(ctx, e, en.Token)
	return err
}

// Where password alone enrols, it does so once: who was at the page as well is too late.
func TestAttack02_TwoAtTheLastEnrolment(t *testing.T) {
	no := false
	w := newSite(t, policy.Settings{TwoFactor: &must, ResetNeedsToken: &no})
	w.toRenewal(w.lose(1)[0])
	late := w.begin()
	first, second := w.visit(w.begin()), w.visit(late)
	if err := w.tryEnrol(first); err != nil {
		t.Fatal(err)
	}
	if err := w.tryEnrol(second); err == nil {
		t.Error("a second factor was added by the password alone")
	}
	if _, reason, _ := w.Open(ctx, pageToken(t, late), firefox); reason != login.AccountChanged {
		t.Errorf("the page of who is too late: %q", reason)
	}
	if n := len(w.account().Values(account.KindTOTP)); n != 1 {
		t.Errorf("%d factors", n)
	}
}

// toRenewal signs in by the code as far as the enrolment.
func (w *site) toRenewal(code account.Secret) string {
	w.t.Helper()
	a := w.answerCode(w.toFactor(), code)
	if a.Enrol == "" {
		w.t.Fatalf("%+v", a)
	}
	return a.Enrol
}

// A code is not spent when there is no time left to set a factor up; without a grace that
// has begun there is nothing to put off.
func TestA3_TooLateForTheCode(t *testing.T) {
	grace := policy.Duration(14 * 24 * time.Hour)
	w := newSite(t, policy.Settings{TwoFactor: &must, Grace: &grace})
	codes := w.lose(2)
	r := w.toFactor()
	v := w.visit(r)
	w.pass(7 * time.Minute)
	a := w.Answer(ctx, v, login.Reply{Method: "backup", Input: map[string]string{"code": string(codes[0].Reveal())}})
	wantReason(t, "after seven of ten minutes", a.Reason, login.TransactionOver)
	r = w.toFactor()
	w.pass(5 * time.Minute)
	token := w.answerCode(r, codes[0]).Enrol
	v, reason, err := w.Open(ctx, token, firefox)
	if err != nil || reason != "" || !v.Renews() || v.MayPostpone() || v.NeedsEnrolToken() {
		t.Fatalf("%q, %v, %+v", reason, err, v)
	}
	w.enrol()
	if _, reason, _ = w.Open(ctx, token, firefox); reason != login.AccountChanged {
		t.Errorf("after another one has enrolled: %q", reason)
	}
	w.pass(5*time.Minute + time.Second) // webmail's transaction is over as well
	if _, reason, _ = w.Open(ctx, token, firefox); reason != login.TransactionOver {
		t.Errorf("after its time: %q", reason)
	}
}

// A code that was right where policy asked for no factor is not enough where it does.
func TestA3_PolicyChangedBeforeTheExchange(t *testing.T) {
	w := newSite(t, policy.Settings{TwoFactor: &must})
	codes := w.lose(1)
	off := policy.Off
	s := w.under(policy.Settings{TwoFactor: &off})
	r := s.Begin(ctx, w.start())
	v, reason, err := s.Open(ctx, pageToken(t, r), firefox)
	if err != nil || reason != "" {
		t.Fatalf("%q, %v", reason, err)
	}
	a := s.Answer(ctx, v, login.Reply{Method: "backup", Input: map[string]string{"code": string(codes[0].Reveal())}})
	if got := w.Exchange(ctx, "roundcube", r.Transaction, oneTimeCode(t, a)); got.Outcome != account.Denied || got.Reason != login.AccountChanged {
		t.Errorf("%+v", got)
	}
}

// Whose policy lets nobody have a factor is not sent to set one up.
func TestA3_NoFactorToSetUp(t *testing.T) {
	w := newSite(t, policy.Settings{})
	codes := w.lose(2)
	off, none := policy.Off, []string{}
	for name, p := range map[string]policy.Settings{"off": {TwoFactor: &off}, "no methods": {Methods: &none}} {
		s := w.under(p)
		r := s.Begin(ctx, w.start())
		v, reason, err := s.Open(ctx, pageToken(t, r), firefox)
		if err != nil || reason != "" {
			t.Fatalf("%s: %q, %v", name, reason, err)
		}
		a := s.Answer(ctx, v, login.Reply{Method: "backup", Input: map[string]string{"code": string(codes[0].Reveal())}})
		if got := s.Exchange(ctx, "roundcube", r.Transaction, oneTimeCode(t, a)); got.Outcome != account.Granted {
			t.Errorf("%s: %+v", name, got)
		}
		codes = codes[1:]
	}
}
