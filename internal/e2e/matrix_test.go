package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
)

// The kinds of account and of what is presented.
const (
	noFactor   = "without factor"
	withFactor = "with factor"
	disabled   = "disabled"

	mainRight   = "right main password"
	mainWrong   = "wrong main password"
	mainOfOther = "another user's main password"
	appRight    = "app password"
	appBare     = "app password without dashes"
	appRevoked  = "revoked app password"
	appExpired  = "expired app password"
	appService  = "another service's app password"
	appOfOther  = "another user's app password"
	appMistyped = "mistyped app password"
	ticketRight = "ticket"
	ticketOther = "another user's ticket"
	ticketEnded = "ticket of an ended session"
	ticketFalse = "forged ticket"
	empty       = "empty password"
)

var (
	accounts    = []string{noFactor, withFactor, disabled}
	credentials = []string{mainRight, mainWrong, mainOfOther, appRight, appBare, appRevoked, appExpired,
		appService, appOfOther, appMistyped, ticketRight, ticketOther, ticketEnded, ticketFalse, empty}
)

// refusals are the credentials that are wrong in themselves, whoever shows them.
var refusals = map[string]login.Reason{
	mainWrong:   login.WrongPassword,
	mainOfOther: login.WrongPassword,
	appRevoked:  login.AppPasswordRevoked,
	appExpired:  login.AppPasswordExpired,
	appService:  login.WrongService,
	appOfOther:  login.AppPasswordUnknown,
	appMistyped: login.NearMiss,
	ticketOther: login.BadTicket,
	ticketEnded: login.SessionEnded,
	ticketFalse: login.BadTicket,
}

// rule says why a login must be refused; "" lets it in. It is the same for every
// service, mechanism and door, but that tickets are not for POP3: that is the promise.
func rule(accountKind, credential string, s mailclient.Service) login.Reason {
	switch {
	case credential == empty:
		return login.EmptyPassword
	case accountKind == disabled:
		return login.AccountDisabled
	case accountKind == withFactor && credential == mainRight:
		return login.AppPasswordRequired
	case s == mailclient.POP3 && (credential == ticketRight || credential == ticketEnded):
		return login.WrongService
	}
	return refusals[credential] // nothing: right
}

// TestAttack01_Matrix tries every credential by every mechanism of every service
// through every door at every kind of account (ATTACKS 1, FEATURES E1, E2).
func TestAttack01_Matrix(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		for _, kind := range accounts {
			for _, s := range mailclient.Services {
				for _, m := range s.Mechs() {
					t.Run(fmt.Sprintf("%s/%s/%s", kind, s, m), func(t *testing.T) {
						t.Parallel()
						person := newPerson(inhabit(t, w.Site), kind, s)
						for _, c := range credentials {
							person.try(m, c)
						}
					})
				}
			}
		}
	})
}

// person is a user with every credential of the matrix, who uses one service.
type person struct {
	*world
	kind    string
	service mailclient.Service
	user    string
	has     map[string]string // credential → what to type
}

func newPerson(w *world, kind string, s mailclient.Service) *person {
	w.t.Helper()
	p := &person{world: w, kind: kind, service: s, user: w.user("main of this one")}
	other := w.user("main of the other")
	right := reveal(w.app(p.user).Password)
	p.has = map[string]string{
		mainRight:   "main of this one",
		mainWrong:   "wrong horse",
		mainOfOther: "main of the other",
		appRight:    right,
		appBare:     strings.ReplaceAll(right, "-", ""),
		appRevoked:  w.revoked(p.user),
		appExpired:  w.expired(p.user),
		appService:  reveal(w.app(p.user, otherServices(s)...).Password),
		appOfOther:  reveal(w.app(other).Password),
		appMistyped: strings.ToUpper(right),
		ticketFalse: "pt1_" + strings.Repeat("A", 200),
		empty:       "",
	}
	if kind == withFactor {
		w.twoFactor(p.user)
	}
	p.has[ticketRight], p.has[ticketOther] = w.visit(p.user).text(), w.visit(other).text()
	p.has[ticketEnded] = w.visit(p.user, func(v *visit) { v.record.Ended = time.Now() }).text()
	if kind == disabled {
		w.disable(p.user)
	}
	return p
}

// otherServices are all but the one that s is for Postern.
func otherServices(s mailclient.Service) []account.Service {
	var others []account.Service
	for _, o := range account.Scopes {
		if o != account.ParseService(string(s)) {
			others = append(others, o)
		}
	}
	return others
}

// try asserts one cell: what the server said, and what the audit log says.
func (p *person) try(m mailclient.Mech, credential string) {
	p.t.Helper()
	began := p.now()
	r, err := p.world.try(p.service, m, p.user, p.has[credential])
	if err != nil {
		p.t.Errorf("%s, %s: %v", m, credential, err)
		return
	}
	why := rule(p.kind, credential, p.service)
	want := mailclient.Refused
	if why == "" {
		want = mailclient.OK
	}
	if r.Outcome != want {
		p.t.Errorf("%s, %s: %v (%s), want %v", m, credential, r.Outcome, r.Text, want)
	}
	e := p.last(began, p.user, effect.Login)
	if e.Reason != string(why) || e.Service != account.ParseService(string(p.service)) {
		p.t.Errorf("%s, %s: audited %q for %s, want %q", m, credential, e.Reason, e.Service, why)
	}
}
