package login

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/policy"
)

// The last factor of an account can go while two-factor login stays on. Its owner then
// signs in by a backup code, which is spent at once, and sets up a new factor before
// webmail is in (FEATURES A3). Who has no code left either is in the place of somebody
// whose account was reset: mustEnrol.

// factorless reports whether two-factor login is on and no factor is left. A policy that
// lets nobody have one asks for none.
func factorless(a *account.Account, eff policy.Effective) bool {
	return a.State.Enrolled && !a.HasFactor() && !eff.ServiceAccount && eff.TwoFactor != policy.Off && a.Damage() == nil
}

// mustRenew reports whether a backup code leads to enrolment rather than to webmail, and a
// trusted device nowhere.
func (s *SignIn) mustRenew(p *person) bool {
	return factorless(p.Account, p.Policy) && len(s.EnrolMethods(&Enrolee{person: *p})) > 0
}

// renewing answers for a login that is past its backup code, as when the form was sent
// twice, or too late for setting up a factor after it: a code must not be spent in vain.
// The zero answer means neither.
func (s *SignIn) renewing(v *Visit) Answer {
	if !s.mustRenew(&v.person) {
		return Answer{}
	}
	if page := s.claims.page(v.t.ID); page != "" {
		return Answer{Outcome: account.Granted, Enrol: page}
	}
	if s.timeLeft(&v.t) < s.settings.TransactionLife/3 {
		return turnedDown(TransactionOver)
	}
	return Answer{}
}

func (s *SignIn) timeLeft(t *transaction) time.Duration {
	return t.Begun.Add(s.settings.TransactionLife).Sub(s.now())
}

// EnrolPage is the token of the enrolment's page of a login that is past its backup code;
// empty: it is not, or another node knows.
func (s *SignIn) EnrolPage(v *Visit) string { return s.claims.page(v.t.ID) }

// renew spends the backup code, and goes on to enrolment. The code is not given back when
// its owner turns round there: it has been shown.
func (s *SignIn) renew(ctx context.Context, v *Visit, proof factor.Proof) Answer {
	for try := range exchangeTries {
		edits, reason := s.spend(&code{Proof: proof}, v.person)
		if reason != "" {
			return turnedDown(reason)
		}
		left, _ := codesLeft(edits)
		err := s.gate.store.Apply(ctx, v.Account, s.noteBackup(&v.person, v.browser, edits)...)
		if err == nil {
			s.recordBackup(&v.person, v.browser, effect.Event{Session: v.t.logID(), Left: left, Reason: string(EnrolmentNeeded)})
			return s.toEnrolment(v)
		}
		if !errors.Is(err, account.ErrConflict) || !pause(ctx, try) {
			break
		}
		if v.person, reason, err = s.read(ctx, v.t.ref()); err != nil {
			break
		} else if reason != "" || s.changed(&v.person, &v.t) || !s.mustRenew(&v.person) {
			return turnedDown(AccountChanged)
		}
	}
	return Answer{Outcome: account.Unavailable, Reason: DirectoryDown}
}

// toEnrolment makes the token of the next page. It ends when webmail's transaction does.
func (s *SignIn) toEnrolment(v *Visit) Answer {
	next := v.t
	next.Stage, next.Renews, next.Postpone = stageEnrol, true, mayPostpone(&v.person, true, s.now())
	token, err := s.seal(purposePage, s.timeLeft(&v.t), next)
	if err != nil {
		return Answer{Outcome: account.Unavailable, Reason: FactorDown}
	}
	s.claims.goOn(v.t.ID, token)
	return Answer{Outcome: account.Granted, Enrol: token}
}

// mayPostpone reports whether enrolment can be put off now. Who has had a factor waits for
// no grace of his own to begin: it is one with a date, or none.
func mayPostpone(p *person, renews bool, now time.Time) bool {
	if !renews {
		return !needsFactor(p.Account, p.Policy, now)
	}
	begun := !p.Policy.GraceStart.IsZero() || !p.Account.State.GraceStart.IsZero()
	return p.Policy.TwoFactor == policy.Mandatory && begun && now.Before(GraceEnds(p.Account, p.Policy, now))
}

// enrolStage reports whether the code is of a login that enrolment was a part of: as
// webmail was told, or after the backup code that webmail was told of.
func enrolStage(t *transaction, c *code) bool {
	return t.Stage == stageEnrol && !c.Renewed || t.Stage == stageFactor && c.Renewed
}

// onlyFactor names the factor of an account that has one: by which a session began that
// an enrolment led to.
func onlyFactor(a *account.Account) factor.Proof {
	var list []factor.Proof
	for _, k := range account.Kinds {
		for _, v := range a.Values(k) {
			if k.IsFactor() {
				list = append(list, factor.Proof{Kind: k, ID: v.ID})
			}
		}
	}
	if len(list) != 1 {
		return factor.Proof{}
	}
	return list[0]
}

// noteBackup notes in State that a backup code was used, along with its use.
func (s *SignIn) noteBackup(p *person, b Browser, edits []account.Edit) []account.Edit {
	h := account.Happening{Topic: string(effect.TopicBackupUsed), Unix: s.now().Unix(), From: b.Addr, Agent: effect.ProgramName(b.Agent)}
	noted, err := p.Account.EditState(edits, s.now(), func(state *account.State) { state.Note(h, effect.Ordinary) })
	if err != nil {
		return edits
	}
	return noted
}

// recordBackup is the event of a backup code that was spent at a page.
func (s *SignIn) recordBackup(p *person, b Browser, e effect.Event) {
	e.Time, e.Action, e.Outcome, e.Service, e.Door = s.now(), effect.BackupCodeUsed, "done", Webmail, "page"
	e.User, e.Account, e.Domain = p.Account.Name, p.Account.ID, p.Account.Domain
	e.Credential, e.Client, e.Agent = account.Credential(account.KindBackup, factor.BackupID), b.Addr, b.Agent
	e.Detail = fmt.Sprintf("%d left", e.Left)
	s.recorder.Record(e)
}
