package login

import (
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/verify"
)

// letIn adds what a login that was let in has: the proof of its credential and
// the note of its last use. A reply that Dovecot could not be given is no login.
func (g *Gate) letIn(a *Attempt, d *Decision) {
	for key, value := range d.Account.Fields {
		if !verify.ValidValue(value) || !verify.ValidValue(key) {
			d.Outcome, d.Reason = account.Unavailable, BadField
			return
		}
	}
	user := a.User
	if g.settings.ReturnUser {
		user = d.Account.Name
	}
	proof, err := g.ProveCredential(user, a.Service, a.Client, d.Credential)
	if err != nil {
		d.Outcome, d.Reason = account.Unavailable, DirectoryDown
		return
	}
	d.CredID = proof
	g.noteGrace(d.Account, d.Policy)
	if id, ok := strings.CutPrefix(d.Credential, "app:"); ok {
		use := account.Use{At: g.now(), Service: a.Service, From: a.Client, Agent: effect.Clean(a.Agent)}
		g.touches.app(d.Account, id, use)
	}
}

const purposeCredID = "cred_id"

// ProveCredential returns the cred_id of a login: credential and minute, with a
// keyed proof over user, service and address as well. The second question of
// Dovecot's auth policy carries it back, so an answer that somebody cached is
// worthless a minute later (DESIGN.md, "Second net").
func (g *Gate) ProveCredential(user string, s account.Service, client netip.Addr, credential string) (string, error) {
	minute := strconv.FormatInt(g.now().Unix()/60, 36)
	sum, err := g.prover.MAC(account.RoleDoor, purposeCredID, credIDParts(user, s, client, credential, minute)...)
	if err != nil {
		return "", err
	}
	return credential + "." + minute + "." + base64.RawURLEncoding.EncodeToString(sum[:16]), nil
}

func credIDParts(user string, s account.Service, client netip.Addr, credential, minute string) []string {
	return []string{strings.ToLower(user), string(s), client.Unmap().String(), credential, minute}
}

// record writes the one event of a decision, and an alarm if the account's records
// do not match each other.
func (g *Gate) record(action effect.Action, a *Attempt, d *Decision, e effect.Event) {
	e.Action, e.Outcome, e.Reason = action, d.Outcome.String(), string(d.Reason)
	e.User, e.Credential = factor.Loggable(a.User), d.Credential
	e.Service, e.Client, e.Peer = a.Service, a.Client, a.Peer
	e.Session, e.Mech, e.Door, e.Agent = a.Session, a.Mech, a.Door, a.Agent
	e.Detail, e.Name = limitDetail(d.Limit), d.name
	if a.Master != "" {
		e.Detail = "master user " + strconv.Quote(factor.Loggable(a.Master))
	}
	if d.Account != nil {
		e.User, e.Account, e.Domain = d.Account.Name, d.Account.ID, d.Account.Domain
	}
	g.recorder.Record(e)
	if d.Account == nil {
		return
	}
	if err := d.Account.Damage(); err != nil {
		g.recorder.Record(effect.Event{Time: e.Time, Action: effect.Damage, Outcome: "alarm", Reason: string(Damaged),
			User: e.User, Account: e.Account, Domain: e.Domain, Detail: err.Error()})
	}
}
