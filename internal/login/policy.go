package login

import (
	"context"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/policy"
)

// Ask is one question of Dovecot's auth policy. Dovecot asks before its passdbs
// and, after a right password, once more; nothing in the question says which it is.
type Ask struct {
	Login   string
	PwHash  string // Dovecot's hash of login and password
	Service account.Service
	Client  netip.Addr
	Peer    netip.Addr
	Session string // "" for Postfix
	Mech    string
	Master  string
	CredID  string // only in the second question, of a login that our passdb granted
	Agent   string
}

// Permit is the answer.
type Permit struct {
	Refuse bool
	Reason Reason
	Text   string        // for the user, with Refuse
	Wait   time.Duration // before the passdbs are asked
	Limit  string        // with reason Throttled: which one

	quiet bool // the text must not tell the reason
}

const (
	flowLife    = 150 * time.Second // after which Dovecot's auth gives a login up
	rememberFor = time.Hour
	memoryLimit = 200_000
)

// Allow answers a question of the auth policy.
//
// The first question meets limits by address, and refusals remembered from a main
// password that was right but not enough: here, and only here, a refusal can say
// why on every protocol. The second is the net behind the passdbs: with the proof
// that our passdb granted this login it passes without a search; otherwise the
// account is read, and one with two-factor login is refused (ATTACKS 19, 38).
func (g *Gate) Allow(ctx context.Context, a Ask) Permit {
	now := g.now()
	p := g.allow(ctx, &a, now)
	if p.Refuse {
		if !p.quiet {
			p.Text = g.settings.text(p.Reason)
		}
		g.recordAsk(&a, &p, now)
	}
	return p
}

func (g *Gate) allow(ctx context.Context, a *Ask, now time.Time) Permit {
	if a.Master != "" && !g.settings.masterAllowed(a.Master, a.Peer, a.Client) {
		return refuse(Impersonation)
	}
	if a.Service == PrivateService {
		return g.allowPrivate(a, now)
	}
	if g.isSecond(a, now) {
		return g.secondNet(ctx, a)
	}
	if p := g.remembered(ctx, a, now); p.Refuse {
		return p
	}
	if a.Session == "" && g.directoryDown(now) {
		return refuse(DirectoryDown) // Postfix would say "wrong password": here the text can be right
	}
	advice := g.throttle.Prefix(ctx, Try{Name: strings.ToLower(a.Login), Client: a.Client})
	if advice.Refuse {
		return Permit{Refuse: true, Reason: Throttled, Limit: advice.Limit}
	}
	return Permit{Wait: advice.Wait}
}

// isSecond tells the second question from the first. A cred_id settles it. Without
// one, a login that has asked and not been reported yet is asking again.
func (g *Gate) isSecond(a *Ask, now time.Time) bool {
	return a.CredID != "" || g.flows.second(a, now)
}

// secondNet decides the second question.
func (g *Gate) secondNet(ctx context.Context, a *Ask) Permit {
	if a.Master != "" || g.provesCredential(a) || g.declaredStrong(a) {
		return Permit{}
	}
	said := g.verdicts.of(ctx, a.try(), a.Session == "" && a.CredID == "", g.now())
	if said == letIn && a.Session == "" && a.CredID == "" {
		return Permit{} // Postfix: a first question at the same moment as another's
	}
	ctx, cancel := context.WithTimeout(ctx, g.settings.Deadline)
	defer cancel()
	acct, err := g.find(ctx, a.Login)
	switch d := g.notFound(err); {
	case err == nil:
		p := g.needsAppPassword(a, acct)
		// A wrong password sent twice, the second time before the first is reported,
		// looks like this too: then the text must not tell a stranger about 2FA.
		p.quiet = said == refused || g.settings.HashNonce.Empty()
		if said != refused && (p.Reason == Observed || p.Reason == KnownDevice || p.Reason == AppPasswordRequired) {
			g.noteMain(a, acct) // another passdb found it right
		}
		return p
	case d.Reason == UnknownUser || d.Reason == Elsewhere:
		return Permit{} // an account of the site's own, which Postern does not know
	case d.Outcome == account.Denied:
		return refuse(d.Reason)
	}
	// The directory does not answer. A passdb other than ours let this login in:
	// whether it may, nobody can say now.
	return refuse(DirectoryDown)
}

func (g *Gate) needsAppPassword(a *Ask, acct *account.Account) Permit {
	eff, err := acct.Policy.Resolve()
	switch {
	case err != nil:
		return refuse(PolicyUnreadable)
	case acct.Status == account.Disabled:
		return refuse(AccountDisabled)
	case !g.twoFactor(acct, eff):
		return Permit{}
	}
	if excused := g.excuse(acct, a.place(), eff); excused != "" {
		return Permit{Reason: excused}
	}
	return refuse(AppPasswordRequired)
}

// noteMain lists a main password that is right and not enough for its owner.
func (g *Gate) noteMain(a *Ask, acct *account.Account) {
	g.touches.main(acct, account.Use{At: g.now(), Service: a.Service, From: a.Client, Agent: effect.Clean(a.Agent)})
}

// twoFactor reports whether the main password alone must not open mail.
func (g *Gate) twoFactor(acct *account.Account, eff policy.Effective) bool {
	return needsFactor(acct, eff, g.now())
}

func refuse(r Reason) Permit { return Permit{Refuse: true, Reason: r} }

// provesCredential checks a cred_id: this user, service and address, this minute
// or the last.
func (g *Gate) provesCredential(a *Ask) bool {
	credential, rest, ok := strings.Cut(a.CredID, ".")
	minute, encoded, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 {
		return false
	}
	at, err := strconv.ParseInt(minute, 36, 64)
	age := g.now().Unix()/60 - at
	if err != nil || age < 0 || age > 1 {
		return false
	}
	sum, err := base64.RawURLEncoding.DecodeString(encoded)
	return err == nil && g.prover.Verify(sum, account.RoleDoor, purposeCredID,
		credIDParts(a.Login, a.Service, a.Client, credential, minute)...)
}

const (
	purposeDeclared = "declared mechanism"
	declaredPrefix  = "declared."
)

// DeclareMechanism returns the token by which a site's own passdb for a strong
// mechanism (GSSAPI, OAUTHBEARER, EXTERNAL) passes the second net:
// override_fields = cred_id=TOKEN. It is bound to the mechanism.
func (g *Gate) DeclareMechanism(mech string) (string, error) {
	return DeclareMechanism(g.prover, mech)
}

// DeclareMechanism is the method of the same name for a program without a Gate.
func DeclareMechanism(p Prover, mech string) (string, error) {
	sum, err := p.MAC(account.RoleDoor, purposeDeclared, strings.ToUpper(mech))
	if err != nil {
		return "", err
	}
	return declaredPrefix + base64.RawURLEncoding.EncodeToString(sum[:16]), nil
}

// declaredStrong looks for the mechanism's token in the cred_id, which may hold
// several with commas between: one passdb often serves two mechanisms.
func (g *Gate) declaredStrong(a *Ask) bool {
	for token := range strings.SplitSeq(a.CredID, ",") {
		encoded, ok := strings.CutPrefix(token, declaredPrefix)
		if !ok {
			return false
		}
		sum, err := base64.RawURLEncoding.DecodeString(encoded)
		if err == nil && g.prover.Verify(sum, account.RoleDoor, purposeDeclared, strings.ToUpper(a.Mech)) {
			return true
		}
	}
	return false
}

// remembered refuses, with the reason, a main password that was right an hour ago
// and not enough. The account is read again: the owner may have switched 2FA off.
func (g *Gate) remembered(ctx context.Context, a *Ask, now time.Time) Permit {
	key := rememberKey(a.Login, a.PwHash, a.Client)
	if a.PwHash == "" || !g.refused.has(key, now) {
		return Permit{}
	}
	ctx, cancel := context.WithTimeout(ctx, g.settings.Deadline)
	defer cancel()
	acct, err := g.find(ctx, a.Login)
	if err == nil {
		if p := g.needsAppPassword(a, acct); p.Reason == AppPasswordRequired {
			g.noteMain(a, acct)
			return p
		}
	}
	g.refused.forget(key)
	return Permit{}
}

func rememberKey(login, pwhash string, client netip.Addr) string {
	return strings.ToLower(login) + "\x00" + pwhash + "\x00" + prefix(client).String()
}

// prefix is the network that counts as one neighbour: a /32, or a /64 of IPv6.
func prefix(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

// Report is the end of a login, as Dovecot tells it.
type Report struct {
	Ask
	Success bool
	// Internal says that it failed because something could not be checked; only
	// Dovecot 2.4 tells.
	Internal bool
	// Refused says that an auth-policy answer refused it.
	Refused bool
}

// Report takes note of a login's end. Only tries that /verify passed on to the
// site's own passdb are counted here: all others it has counted itself, and
// Dovecot 2.3 reports an outage like a wrong password.
func (g *Gate) Report(ctx context.Context, r Report) {
	g.flows.ended(&r.Ask)
	if !g.passedOn.take(r.key(), g.now()) || r.Internal || r.Refused {
		return
	}
	t := Try{Name: strings.ToLower(r.Login), Client: r.Client, Secret: fingerprint(r.PwHash)}
	if r.Success {
		g.throttle.Right(ctx, t)
		g.noteOwnPassdb(ctx, &r)
		return
	}
	g.throttle.Wrong(ctx, t, true)
}

// downFor is how long a failure of the directory is believed in without asking.
const downFor = 2 * time.Second

func (g *Gate) directoryDown(now time.Time) bool {
	at := g.down.Load()
	return at != 0 && now.Sub(time.Unix(0, at)) < downFor
}

// recordAsk writes the one event of a refusal. Questions that pass leave none: the
// decision behind them does.
func (g *Gate) recordAsk(a *Ask, p *Permit, now time.Time) {
	e := effect.Event{
		Time: now, Action: effect.Policy, Outcome: account.Denied.String(), Reason: string(p.Reason),
		User: factor.Loggable(a.Login), Service: a.Service, Client: a.Client, Peer: a.Peer,
		Session: a.Session, Mech: a.Mech, Agent: a.Agent, Door: "policy", Detail: limitDetail(p.Limit),
	}
	if a.Master != "" {
		e.Detail = "master user " + strconv.Quote(a.Master)
	}
	g.recorder.Record(e)
}

func limitDetail(limit string) string {
	if limit == "" {
		return ""
	}
	return "limit " + limit
}
