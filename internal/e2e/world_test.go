package e2e

import (
	"context"
	"flag"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-sasl"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/browsertest"
	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
	"postern/ldapstore"
)

// TestMain lets many more tests run at once than there are processors: they wait.
// Dovecot 2.3 answers a refused login half a second late whatever its settings
// (AUTH_FAILURE_DELAY_CHECK_MSECS in src/auth/auth-request-handler.c).
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "20")
	browsertest.Main(m)
}

// door is a way from Dovecot to the policyserver.
type door struct {
	name    string
	version mailtest.Version
	conf    string // below contrib/dovecot
	logged  string // its name in the audit log
}

// doors are all that there are.
var doors = []door{
	{"checkpassword", mailtest.V23, "2.3-checkpassword.conf", "checkpassword"},
	{"lua23", mailtest.V23, "2.3-lua.conf", "lua-2.3"},
	{"lua24", mailtest.V24, "2.4-lua.conf", "lua-2.4"},
}

// options are those of a site with this door.
func (d door) options(t *testing.T) mailtest.Options {
	t.Helper()
	dir, err := programs()
	must(t, err)
	return mailtest.Options{
		Binaries: dir,
		// Five wrong binds lock an account, and every bind is in slapd's log.
		Slapd:   mailtest.SlapdOptions{Log: true, Lockout: true},
		Dovecot: &mailtest.DovecotOptions{Version: d.version, Door: d.conf},
		Postfix: &mailtest.PostfixOptions{},
		Settings: mailtest.Settings{
			// Tests guess more in a second than limits on guessing let pass in a day; those
			// have tests of their own, in throttle_test.go.
			"throttle": {
				"prefix_free": 99_999, "prefix_refuse": 100_000, "network_free": 99_999, "network_refuse": 100_000,
				"account_free": 99_999, "account_refuse": 100_000, "site_free": 100_000, "bind_cap": 100,
			},
			// Clients connect from 127.0.0.1, as webmail does, unless they say where from.
			"webhook": {"networks": []string{"127.0.0.0/28"}},
		},
	}
}

// eachDoor runs a test at the shared site of every door.
func eachDoor(t *testing.T, f func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f(t, shared(t, d))
		})
	}
}

// shared is the site of a door that tests share; they must leave it running.
func shared(t *testing.T, d door) *world {
	t.Helper()
	return inhabit(t, mailtest.Shared(t, d.name, d.options(t)))
}

// fresh is a site for one test, which may break it.
func fresh(t *testing.T, o mailtest.Options) *world {
	t.Helper()
	return inhabit(t, mailtest.New(t, o))
}

// world is a site as its administrator sees it, who works at the desk.
type world struct {
	*mailtest.Site
	t    *testing.T
	desk *desk.Desk
}

// inhabit opens the desk of a site.
func inhabit(t *testing.T, s *mailtest.Site) *world {
	t.Helper()
	return &world{Site: s, t: t, desk: &desk.Desk{Store: openStore(t, s), Recorder: effect.Discard{}, Now: time.Now}}
}

// openStore opens a site's directory as posternctl does.
func openStore(t *testing.T, s *mailtest.Site) *ldapstore.Store {
	t.Helper()
	cfg, err := app.Load(s.Path)
	must(t, err)
	store, _, err := cfg.OpenStore(account.RoleDoor, account.RoleFactor)
	must(t, err)
	t.Cleanup(store.Close)
	return store
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var admin = desk.Root("test root@host")

// users numbers the users of this process: no test shares one with another.
var users atomic.Int64

// user makes a user with a password; alone it is an account without a factor.
func (w *world) user(password string) string {
	w.t.Helper()
	mail := fmt.Sprintf("t%d@example.test", users.Add(1))
	must(w.t, w.Slapd.AddUser(mail, password, nil))
	return mail
}

// twoFactor switches 2FA on, which it returns the user for.
func (w *world) twoFactor(user string) string {
	w.t.Helper()
	_, err := w.desk.AddTOTP(w.t.Context(), admin, user, desk.NewTOTP{})
	must(w.t, err)
	return user
}

// disable disables an account in the directory, since yesterday.
func (w *world) disable(user string) {
	w.t.Helper()
	must(w.t, w.Slapd.SetAttr(user, "objectClass", "inetOrgPerson", "shadowAccount", "posternAccount"))
	must(w.t, w.Slapd.SetAttr(user, "shadowExpire", strconv.FormatInt(time.Now().Unix()/86400-1, 10)))
}

// app creates an app password for some services, or for all.
func (w *world) app(user string, services ...account.Service) desk.CreatedAppPassword {
	w.t.Helper()
	a, err := w.desk.CreateAppPassword(w.t.Context(), admin, user, desk.NewAppPassword{Name: "phone", Services: services})
	must(w.t, err)
	return a
}

// expired creates an app password which expired an hour ago.
func (w *world) expired(user string) string {
	w.t.Helper()
	past := *w.desk
	past.Now = func() time.Time { return time.Now().Add(-2 * time.Hour) }
	a, err := past.CreateAppPassword(w.t.Context(), admin, user,
		desk.NewAppPassword{Name: "old phone", Expires: time.Now().Add(-time.Hour)})
	must(w.t, err)
	return reveal(a.Password)
}

// revoked creates an app password and revokes it.
func (w *world) revoked(user string) string {
	w.t.Helper()
	a := w.app(user)
	w.revoke(user, a)
	return reveal(a.Password)
}

func (w *world) revoke(user string, a desk.CreatedAppPassword) {
	w.t.Helper()
	_, err := w.desk.RevokeAppPassword(w.t.Context(), admin, user, a.ID)
	must(w.t, err)
}

func reveal(s account.Secret) string { return string(s.Reveal()) }

// target is where a service of the site listens.
func (w *world) target(s mailclient.Service) mailclient.Target {
	port := map[mailclient.Service]func() int{
		mailclient.IMAP:       func() int { return w.Dovecot.IMAP },
		mailclient.POP3:       func() int { return w.Dovecot.POP3 },
		mailclient.Sieve:      func() int { return w.Dovecot.Sieve },
		mailclient.Submission: func() int { return w.Dovecot.Submission },
		mailclient.SMTP:       func() int { return w.Postfix.Port },
	}[s]()
	return mailclient.Target{Service: s, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
}

// patience bounds a login, far beyond every deadline of the servers.
const patience = 30 * time.Second

// login logs in and leaves at once. The outcome is what the server said.
func (w *world) login(s mailclient.Service, m mailclient.Mech, user, password string) mailclient.Result {
	w.t.Helper()
	r, err := w.try(s, m, user, password)
	must(w.t, err)
	return r
}

// try is login for goroutines, and for servers that may hang up.
func (w *world) try(s mailclient.Service, m mailclient.Mech, user, password string) (mailclient.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := mailclient.Login(ctx, w.target(s), m, user, password)
	if err != nil {
		return r, fmt.Errorf("%s %s: %w", s, m, err)
	}
	return r, r.Conn.Close()
}

// want logs in by IMAP and complains about another outcome.
func (w *world) want(o mailclient.Outcome, user, password string) {
	w.t.Helper()
	if r := w.login(mailclient.IMAP, mailclient.MechPlain, user, password); r.Outcome != o {
		w.t.Errorf("%s: %s, want %v", user, r.Text, o)
	}
}

// eventually polls until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	mailtest.Eventually(t, what, holds)
}

func plainClient(user, password string) sasl.Client { return sasl.NewPlainClient("", user, password) }
