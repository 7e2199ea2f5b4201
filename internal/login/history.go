package login

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/session"
)

// What an account's owner is told is noted in State along with what is written anyway,
// so it costs no further write.

// remember adds to the edits that begin a session what State keeps of it. It returns
// the events that follow once they are stored.
func (s *SignIn) remember(t *transaction, p person, body session.Session, edits []account.Edit) ([]account.Edit, []effect.Event) {
	now := s.now()
	var events []effect.Event
	edits, err := p.Account.EditState(edits, now, func(state *account.State) {
		events = s.rememberIn(state, t, p, body, edits)
	})
	if err != nil {
		return edits, nil // damaged: signing in goes before remembering, and is refused elsewhere
	}
	return edits, events
}

func (s *SignIn) rememberIn(state *account.State, t *transaction, p person, body session.Session, edits []account.Edit) []effect.Event {
	var events []effect.Event
	note := func(topic effect.Topic, name string) {
		state.Note(account.Happening{Topic: string(topic), Unix: s.now().Unix(), Name: name, From: t.Addr, Agent: effect.ProgramName(t.Agent)}, effect.Ordinary)
	}
	if changed, e := notePassword(state, p.Account, s.now()); changed {
		events = append(events, e)
	}
	signIn := effect.TopicSignIn
	if t.Stage == stagePasswordless {
		signIn = effect.TopicPasskeySignIn
	}
	note(signIn, "")
	if left, used := codesLeft(edits); used {
		note(effect.TopicBackupUsed, "")
		events = append(events, effect.Event{Action: effect.BackupCodeUsed, Credential: body.Via, Left: left, Detail: fmt.Sprintf("%d left", left)})
	}
	for _, e := range edits {
		if e.Was == nil && e.Now.Kind == account.KindDevice {
			note(effect.TopicDeviceTrusted, "")
		}
	}
	if !state.KnowBrowser(browserHash4(t.Agent)) && !strings.HasPrefix(body.Via, account.Credential(account.KindDevice, "")) {
		events = append(events, effect.Event{Action: effect.NewSignIn, Credential: body.Via})
	}
	return events
}

// codesLeft is how many backup codes are left after edits that use one.
func codesLeft(edits []account.Edit) (left int, used bool) {
	for _, e := range edits {
		if e.Was == nil || e.Now == nil || e.Now.Kind != account.KindBackup {
			continue
		}
		if b, err := factor.DecodeBackupCodes(e.Now.Body); err == nil {
			return len(b.Left), true
		}
	}
	return 0, false
}

// browserHash4 is by what a browser is known again: its kind and system, not its version.
func browserHash4(agent string) [4]byte {
	sum := sha256.Sum256([]byte("known browser " + effect.ProgramName(agent)))
	return [4]byte(sum[:4])
}

// notePassword notes in State when the main password was changed last. It reports
// whether that is news, and the event of it, which names the app passwords that go on
// (ATTACKS 36). The directory tells of a change only when it is looked at.
func notePassword(state *account.State, a *account.Account, now time.Time) (bool, effect.Event) {
	if !passwordNews(state, a) {
		return false, effect.Event{}
	}
	first := state.PasswordSeen == 0
	state.PasswordSeen = a.PasswordStamp()
	if first {
		return false, effect.Event{}
	}
	state.Note(account.Happening{Topic: string(effect.TopicPasswordChanged), Unix: a.PasswordChanged.Unix()}, effect.Ordinary)
	e := effect.Event{Action: effect.PasswordChanged, At: a.PasswordChanged}
	apps, _ := a.Records(account.KindApp) // those that cannot be read open nothing
	eff, _ := a.Policy.Resolve()
	for i := range apps {
		if apps[i].AppLive(eff, now) {
			e.Kept = append(e.Kept, apps[i].Name)
		}
	}
	e.Detail = fmt.Sprintf("%d app passwords kept", len(e.Kept))
	return true, e
}

// passwordNews reports whether State does not know of the password's last change.
func passwordNews(state *account.State, a *account.Account) bool {
	stamp := a.PasswordStamp()
	return stamp != 0 && stamp != state.PasswordSeen
}

// tell records what follows a session that began.
func (s *SignIn) tell(t *transaction, a *account.Account, events []effect.Event) {
	for _, e := range events {
		e.Outcome = "done"
		s.event(e.Action, t, a, e)
	}
}

// noteApp notes in the background what an app password's use says about the account.
func (g *Gate) noteApp(a *Attempt, d *Decision) {
	acct := d.Account
	if d.Reason == AppPasswordRevoked {
		g.touches.revoked(acct, account.Happening{Topic: string(effect.TopicAppRevokedTried), Unix: g.now().Unix(),
			Name: d.name, From: a.Client, Agent: effect.Clean(a.Agent)}, d.Credential)
	}
	if d.Outcome == account.Granted && acct.StateRecord != nil && passwordNews(&acct.State, acct) {
		g.touches.password(acct, g.now(), func(e effect.Event) {
			e.Time, e.Outcome, e.User, e.Account, e.Domain = g.now(), "done", acct.Name, acct.ID, acct.Domain
			g.recorder.Record(e)
		})
	}
}

// revoked notes that somebody presents a revoked app password.
func (t *toucher) revoked(a *account.Account, h account.Happening, credential string) {
	at := h.At()
	t.note(touch{account: a, what: "revoked " + credential, at: at, edits: func(fresh *account.Account) ([]account.Edit, error) {
		return fresh.EditState(nil, at, func(s *account.State) { s.Note(h, effect.Ordinary) })
	}})
}

// password notes that the main password was changed, and tells of it if nobody has.
func (t *toucher) password(a *account.Account, at time.Time, tell func(effect.Event)) {
	var news bool
	var e effect.Event
	t.note(touch{account: a, what: "password " + a.PasswordChanged.String(), at: at, edits: func(fresh *account.Account) ([]account.Edit, error) {
		if !passwordNews(&fresh.State, fresh) {
			news = false
			return nil, nil
		}
		return fresh.EditState(nil, at, func(s *account.State) { news, e = notePassword(s, fresh, at) })
	}, done: func() {
		if news {
			tell(e)
		}
	}})
}

// noteWrong notes a wrong answer after a right password, and that it was one too many.
func (s *SignIn) noteWrong(state *account.State, t *try, f factor.Factor) {
	h := account.Happening{Topic: string(effect.TopicWrongFactor), Unix: s.now().Unix(), From: t.browser.Addr, Agent: effect.ProgramName(t.browser.Agent)}
	state.Note(h, effect.Ordinary)
	if state.Failures[f.Kind()] == maxFailures {
		h.Topic, h.Name = string(effect.TopicMethodDisabled), ""
		state.Note(h, effect.Ordinary)
	}
}
