package login

import (
	"context"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/authpolicy"
	"postern/internal/effect"
)

// unlimited is the Throttle of a site that has none.
type unlimited struct{}

func (unlimited) Prefix(context.Context, Try) Advice  { return Advice{} }
func (unlimited) Account(context.Context, Try) Advice { return Advice{} }
func (unlimited) Wrong(context.Context, Try, bool)    {}
func (unlimited) Right(context.Context, Try)          {}

const purposeFingerprint = "fingerprint"

// try is what the limits on guessing are told of an attempt.
func (g *Gate) try(a *Attempt) *Try {
	t := &Try{Name: strings.ToLower(a.User), Client: a.Client}
	t.Secret = g.fingerprintOf(t.Name, string(a.Password.Reveal()))
	return t
}

// fingerprintOf is 32 bits by which the same wrong try is known again, 0 without a key.
func (g *Gate) fingerprintOf(name, secret string) uint32 {
	sum, err := g.prover.MAC(account.RoleDoor, purposeFingerprint, name, secret)
	if err != nil {
		return 0
	}
	return binary.BigEndian.Uint32(sum)
}

// fingerprint is the same for a try that only Dovecot saw.
func fingerprint(pwhash string) uint32 {
	n, err := strconv.ParseUint(pwhash, 16, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

func (t *Try) of(acct *account.Account) *Try {
	t.Account = acct.ID
	return t
}

// limited waits as account and site limits ask, and returns what they say.
func (g *Gate) limited(ctx context.Context, t *Try) Advice {
	advice := g.throttle.Account(ctx, *t)
	if advice.Refuse || advice.Wait <= 0 {
		return advice
	}
	timer := time.NewTimer(advice.Wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return advice
}

// learn tells the limits how the attempt ended, and remembers what the auth
// policy's questions about this login need. Nothing counts that was no guess:
// outages, and right credentials in the wrong place.
func (g *Gate) learn(ctx context.Context, a *Attempt, d *Decision, t *Try) {
	switch d.Reason {
	case WrongPassword, BindLocked, UnknownUser:
		g.throttle.Wrong(ctx, *t, true)
	case NearMiss, AppPasswordUnknown, AppPasswordWrong, AppPasswordRevoked, BadTicket:
		g.throttle.Wrong(ctx, *t, false)
	case AppPasswordRequired, Observed, KnownDevice, Elsewhere:
		g.learnMain(a, d)
	}
	if d.Outcome == account.Granted {
		g.throttle.Right(ctx, *t)
	}
	if said := d.verdict(); said != unheard {
		g.verdicts.set(g.askOf(a).try(), said, g.now())
	}
}

func (g *Gate) learnMain(a *Attempt, d *Decision) {
	now := g.now()
	if d.Reason == Elsewhere {
		g.passedOn.add(g.askOf(a).key(), now.Add(flowLife))
		if d.Policy.KnownDeviceDays > 0 {
			g.unproven.add(g.askOf(a).try(), now.Add(flowLife))
		}
		return
	}
	if d.Credential != "main" {
		return // refused unchecked: nobody knows whether it was right
	}
	if hash := g.pwHash(a); hash != "" && d.Reason == AppPasswordRequired {
		g.refused.add(rememberKey(a.User, hash, a.Client), now.Add(rememberFor))
	}
	g.touches.main(d.Account, account.Use{At: now, Service: a.Service, From: a.Client, Agent: effect.Clean(a.Agent)})
}

// pwHash is Dovecot's hash of the attempt, "" where the nonce is not known.
func (g *Gate) pwHash(a *Attempt) string {
	if g.settings.HashNonce.Empty() {
		return ""
	}
	return authpolicy.Hash(g.settings.HashNonce.Reveal(), a.User, a.Password.Reveal())
}

// verdict is the decision as the second question needs to know it.
func (d *Decision) verdict() verdict {
	switch {
	case d.Outcome == account.Granted:
		return letIn
	case d.Outcome == account.Unavailable:
		return unheard
	case d.Reason == AppPasswordRequired && d.Credential == "main", d.Reason == Elsewhere:
		return refusedOwner
	}
	return refused
}

// askOf is the attempt's login as the auth policy's questions name it.
func (g *Gate) askOf(a *Attempt) *Ask {
	return &Ask{Login: a.User, PwHash: g.pwHash(a), Client: a.Client, Service: a.Service, Session: a.Session}
}
