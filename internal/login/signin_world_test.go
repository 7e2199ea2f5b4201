package login_test

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/mailtest"
	"postern/internal/policy"
	"postern/internal/seal"
	"postern/ldapstore"
)

// slapd is started by the first test of SignIn: its races and clocks need a real
// directory, whose one Modify decides.
var slapd = sync.OnceValues(func() (*mailtest.Slapd, error) {
	return mailtest.StartSlapd(context.Background(), mailtest.SlapdOptions{Lockout: true})
})

func TestMain(m *testing.M) {
	code := m.Run()
	if s, err := slapd(); err == nil {
		s.Stop()
	}
	os.Exit(code)
}

var (
	ctx  = context.Background()
	home = netip.MustParseAddr("198.51.100.7")
)

// site is one webhook, or several, on one directory.
type site struct {
	*login.SignIn
	t     *testing.T
	gate  *login.Gate
	store *ldapstore.Store
	ring  *seal.Ring
	desk  *desk.Desk
	trail *trail
	now   atomic.Int64 // Unix nanoseconds
	user  string
}

func (w *site) clock() time.Time { return time.Unix(0, w.now.Load()).UTC() }

func (w *site) pass(d time.Duration) { w.now.Add(int64(d)) }

var siteUsers atomic.Int64

func newSite(t *testing.T, defaults policy.Settings) *site {
	t.Helper()
	directory, err := slapd()
	if err != nil {
		t.Fatal(err)
	}
	w := &site{t: t, trail: &trail{}, user: fmt.Sprintf("signin%d@example.test", siteUsers.Add(1))}
	w.now.Store(time.Unix(1_800_000_000, 0).UnixNano())
	if err := directory.AddUser(w.user, mailtest.Password, nil); err != nil {
		t.Fatal(err)
	}
	w.ring = newKeys(t)
	w.store = openLDAP(t, directory, w.ring, defaults)
	w.desk = &desk.Desk{Store: w.store, Recorder: w.trail, Now: w.clock}
	w.SignIn, w.gate = w.node()
	return w
}

// node is one webhook more.
func (w *site) node() (*login.SignIn, *login.Gate) { return w.nodeOn(w.store) }

func (w *site) nodeOn(store account.Store) (*login.SignIn, *login.Gate) {
	g := login.New(login.Parts{Store: store, Prover: w.ring, Recorder: w.trail, Now: w.clock, Tickets: w.ring},
		login.Settings{Deadline: 10 * time.Second, MaxBinds: 8, WebmailNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	w.t.Cleanup(func() { g.Close(ctx) })
	backup := factor.NewBackupFactor(2)
	return login.NewSignIn(login.SignInParts{
		Gate: g, Tokens: w.ring, Signer: w.ring, Desk: w.desk,
		Factors: []factor.Factor{factor.TOTPFactor{}, backup}, NewBackup: backup.NewCodes,
	}, login.SignInSettings{PublicURL: "https://mail.example.test/2fa/", TicketLife: 10 * time.Minute,
		TransactionLife: 10 * time.Minute, Services: []account.Service{account.IMAP, account.SMTP, account.Sieve}}), g
}

func newKeys(t *testing.T) *seal.Ring {
	t.Helper()
	files := map[string][]byte{}
	for _, role := range []string{account.RoleDoor, account.RoleFactor, account.RoleTicket} {
		f, _, err := seal.NewFile(role)
		if err != nil {
			t.Fatal(err)
		}
		files[role] = f
	}
	ring, err := seal.NewRing(files)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// enrol gives the user an authenticator.
func (w *site) enrol() *factor.TOTP {
	w.t.Helper()
	added, err := w.desk.AddTOTP(ctx, desk.Root("test"), w.user, desk.NewTOTP{Name: "phone"})
	if err != nil {
		w.t.Fatal(err)
	}
	return &added.TOTP
}

func (w *site) code(totp *factor.TOTP) string {
	w.t.Helper()
	c, err := totp.Code(w.clock())
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *site) account() *account.Account {
	w.t.Helper()
	a, err := w.store.Find(ctx, w.user)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *site) begin() login.Result { return w.Begin(ctx, w.start()) }

func (w *site) start() login.Start {
	return login.Start{Client: "roundcube", User: w.user, Password: account.SecretString(mailtest.Password),
		Addr: home, Agent: "Firefox", ReturnTo: "https://mail.example.test/?_task=login"}
}

// toFactor begins a login that must wait for a factor.
func (w *site) toFactor() login.Result {
	w.t.Helper()
	r := w.begin()
	if r.Outcome != account.Granted || r.Step != login.StepFactor || r.Live != nil || r.Transaction == "" {
		w.t.Fatalf("after the password: %+v", r)
	}
	return r
}

func pageToken(t *testing.T, r login.Result) string {
	t.Helper()
	u, err := url.Parse(r.URL)
	if err != nil || u.Query().Get("t") == "" {
		t.Fatalf("URL %q: %v", r.URL, err)
	}
	return u.Query().Get("t")
}

var firefox = login.Browser{Addr: home, Agent: "Firefox", Cookie: "a-browser", Origin: "https://mail.example.test"}

func (w *site) visit(r login.Result) *login.Visit {
	w.t.Helper()
	v, reason, err := w.Open(ctx, pageToken(w.t, r), firefox)
	if err != nil || reason != "" {
		w.t.Fatalf("page: %q, %v", reason, err)
	}
	return v
}

func (w *site) answer(v *login.Visit, code string) login.Answer {
	return w.Answer(ctx, v, login.Reply{Method: "totp", Input: map[string]string{"code": code}})
}

// oneTimeCode is what the browser takes back.
func oneTimeCode(t *testing.T, a login.Answer) string {
	t.Helper()
	if a.Outcome != account.Granted {
		t.Fatalf("answer: %+v", a)
	}
	u, err := url.Parse(a.Redirect)
	if err != nil || u.Query().Get("code") == "" || u.Query().Get("_task") != "login" {
		t.Fatalf("redirect %q: %v", a.Redirect, err)
	}
	return u.Query().Get("code")
}

// signIn goes the whole way.
func (w *site) signIn(totp *factor.TOTP) (*login.Live, login.Result, string) {
	w.t.Helper()
	r := w.toFactor()
	c := oneTimeCode(w.t, w.answer(w.visit(r), w.code(totp)))
	got := w.Exchange(ctx, "roundcube", r.Transaction, c)
	if got.Outcome != account.Granted || got.Live == nil || got.Live.Ticket.Empty() {
		w.t.Fatalf("exchange: %+v", got)
	}
	return got.Live, r, c
}

// door tries the ticket as a mail program's password.
func (w *site) door(ticket account.Secret, s account.Service, from string) login.Decision {
	return w.gate.Mail(ctx, login.Attempt{User: w.user, Password: ticket, Service: s, Client: netip.MustParseAddr(from)})
}

func wantReason(t *testing.T, what string, got, want login.Reason) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
