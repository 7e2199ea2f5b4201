package login_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/mailtest"
	"postern/internal/policy"
	"postern/ldapstore"
)

// told are the topics of the account's history.
func (w *site) told() []string {
	w.t.Helper()
	a := w.account()
	var topics []string
	for _, h := range a.State.Happenings() {
		topics = append(topics, h.Topic)
	}
	return topics
}

// last is the last event of an action, and how many there are.
func (w *site) last(action effect.Action) (e effect.Event, n int) {
	w.trail.mu.Lock()
	defer w.trail.mu.Unlock()
	for _, ev := range w.trail.events {
		if ev.Action == action && ev.Outcome != "unavailable" {
			e, n = ev, n+1
		}
	}
	return e, n
}

// What befalls an account is in its history, and in events that say all that its owner
// is to be told.
func TestA11_HistoryOfAnAccount(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	if e, _ := w.last(effect.TOTPAdded); e.Name != "phone" || e.ByOwner || e.Actor != "test" {
		t.Errorf("%+v", e)
	}
	codes := w.backupCodes()
	w.signIn(totp)
	w.pass(time.Minute)
	for range 2 {
		w.answer(w.visit(w.toFactor()), "000000")
	}
	if e, n := w.last(effect.SecondFactor); n != 2 || !e.Proven || effect.TopicOf(&e) != effect.TopicWrongFactor || e.Client != home {
		t.Errorf("%d %+v", n, e)
	}
	w.pass(time.Minute)

	r := w.toFactor()
	a := w.Answer(ctx, w.visit(r), login.Reply{Method: "backup", Input: map[string]string{"code": codes[0]}})
	if got := w.Exchange(ctx, "roundcube", r.Transaction, oneTimeCode(t, a)); got.Outcome != account.Granted {
		t.Fatalf("%+v", got)
	}
	if e, n := w.last(effect.BackupCodeUsed); n != 1 || e.Left != 9 || e.Client != home || e.Account == "" {
		t.Errorf("%d %+v", n, e)
	}
	want := []string{"method_added", "two_factor_on", "backup_new", "wrong_factor", "sign_in", "backup_used"}
	if got := w.told(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	acct := w.account()
	h := acct.State.Happenings()
	if h[0].By != "test" || h[0].Name != "phone" || h[3].Count != 2 || h[4].Count != 2 || h[3].From != home || !strings.Contains(h[4].Agent, "Firefox") {
		t.Errorf("%+v", h)
	}
	if acct.Damage() != nil {
		t.Error(acct.Damage())
	}
}

// backupCodes gives the user backup codes.
func (w *site) backupCodes() []string {
	w.t.Helper()
	made, err := factor.NewBackupFactor(1).NewCodes(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.desk.NewBackupCodes(ctx, desk.Root("test"), w.user, made.Body); err != nil {
		w.t.Fatal(err)
	}
	var codes []string
	for _, c := range made.Codes {
		codes = append(codes, string(c.Reveal()))
	}
	return codes
}

// A browser that was not seen before is news, but for the very first.
func TestA11_NewBrowser(t *testing.T) {
	w := newSite(t, policy.Settings{})
	with := func(agent string) int {
		t.Helper()
		r := w.Begin(ctx, login.Start{Client: "roundcube", User: w.user, Password: account.SecretString(mailtest.Password),
			Addr: home, Agent: agent, ReturnTo: "https://mail.example.test/"})
		if r.Outcome != account.Granted || r.Live == nil {
			t.Fatalf("%+v", r)
		}
		_, n := w.last(effect.NewSignIn)
		return n
	}
	const firefox128, firefox129 = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Mozilla/5.0 (X11; Linux x86_64; rv:129.0) Gecko/20100101 Firefox/129.0"
	const chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36"
	for i, c := range []struct {
		agent string
		news  int
	}{{firefox128, 0}, {firefox128, 0}, {firefox129, 0}, {chrome, 1}, {firefox128, 1}, {chrome, 1}} {
		if got := with(c.agent); got != c.news {
			t.Errorf("%d: %d times news, want %d", i, got, c.news)
		}
	}
}

// ATTACKS 36: a change of the main password with app passwords kept is told once, and
// names them.
func TestAttack36_ChangedPasswordIsTold(t *testing.T) {
	directory, err := slapd()
	if err != nil {
		t.Fatal(err)
	}
	w := newSite(t, policy.Settings{})
	if w.store, err = ldapstore.Open(ldapstore.Config{
		ReadURIs: []string{directory.URI()}, BindDN: mailtest.ServiceDN, BindPassword: account.SecretString(mailtest.Password),
		Base: mailtest.Base, UserFilter: "(mail=%u)", PosternBase: mailtest.PosternBase, Timeout: 5 * time.Second, PasswordChanged: "pwdChangedTime",
	}, w.ring); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.store.Close)
	w.desk.Store = w.store
	w.SignIn, w.gate = w.node()
	change := func() {
		t.Helper()
		if err := directory.SetAttr(w.user, "userPassword", mailtest.SSHA("another one")); err != nil {
			t.Fatal(err)
		}
	}
	change()
	w.enrol()
	app, err := w.desk.CreateAppPassword(ctx, desk.Root("test"), w.user, desk.NewAppPassword{Name: "old phone"})
	if err != nil {
		t.Fatal(err)
	}
	read := func() {
		t.Helper()
		d := w.gate.Mail(ctx, login.Attempt{User: w.user, Password: app.Password, Service: account.IMAP, Client: home})
		if d.Outcome != account.Granted {
			t.Fatalf("%+v", d)
		}
	}
	was := w.account().PasswordStamp()
	if was == 0 || w.account().State.PasswordSeen != was {
		t.Fatalf("changed at %d, seen at %d", was, w.account().State.PasswordSeen)
	}
	read()
	for w.account().PasswordStamp() == was { // the directory knows seconds
		change()
	}
	read()
	read()
	w.gate.Close(ctx) // what it does in the background
	e, n := w.last(effect.PasswordChanged)
	if n != 1 || !slices.Equal(e.Kept, []string{"old phone"}) || e.User != w.user || effect.TopicOf(&e) != effect.TopicPasswordChanged {
		t.Errorf("%d %+v", n, e)
	}
	if got := w.told(); got[len(got)-1] != "password_changed" {
		t.Errorf("%v", got)
	}
}

// P4: who presents a revoked app password is in the history, and the event has its name.
func TestP4_RevokedPresentedIsTold(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.enrol()
	app, err := w.desk.CreateAppPassword(ctx, desk.Root("test"), w.user, desk.NewAppPassword{Name: "lost phone"})
	if err == nil {
		_, err = w.desk.RevokeAppPassword(ctx, desk.Root("test"), w.user, app.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		d := w.gate.Mail(ctx, login.Attempt{User: w.user, Password: app.Password, Service: account.IMAP, Client: home, Agent: "Thunderbird"})
		wantReason(t, "revoked", d.Reason, login.AppPasswordRevoked)
	}
	w.gate.Close(ctx)
	e, n := w.last(effect.Login)
	if n != 3 || e.Name != "lost phone" || effect.TopicOf(&e) != effect.TopicAppRevokedTried {
		t.Errorf("%d %+v", n, e)
	}
	a := w.account()
	h := a.State.Happenings()
	if last := h[len(h)-1]; last.Topic != "app_revoked_tried" || last.Name != "lost phone" || last.From != home || last.Agent != "Thunderbird" || last.Count != 0 {
		t.Errorf("%+v", h)
	}
}
