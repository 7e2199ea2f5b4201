package main

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/daemon"
	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/mailtest"
)

const (
	webmailUsers  = 4_000
	ourWebmail    = "sign-in at webmail"
	floorWebmail  = "bind, search, modify"
	webmailClient = "bench"
)

// webmailBench is webmail's whole sign-in (password, code, ticket) in this process,
// against a directory that writes to the disk before it answers.
type webmailBench struct {
	site   *mailtest.Site
	signIn *login.SignIn
	secret []factor.TOTP
	clock  atomic.Int64 // Unix seconds; moves on between slices, so that codes are fresh
}

// webmailRows compare with what any such login costs a directory: one bind, one search,
// one durable modify.
func (w *world) webmailRows() []row {
	if w.webmail == nil {
		return nil
	}
	var rows []row
	for _, n := range []int{1, 8, 32} {
		rows = append(rows, row{
			name: fmt.Sprintf("webmail, password and code, c=%d", n), concurrent: n, ours: ourWebmail,
			contenders: []contender{{ourWebmail, w.webmail.openOurs}, {floorWebmail, w.webmail.openFloor}}, cpu: w.webmail.cpu,
		})
	}
	return rows
}

// durable makes slapd's modify wait for the disk, as a real one's does.
const durable = `dn: olcDatabase={1}mdb,cn=config
changetype: modify
replace: olcDbNoSync
olcDbNoSync: FALSE
`

func (w *world) startWebmail(string) error {
	daemon.TuneMemory() // as the webhook does
	bin, err := binaries()
	if err != nil {
		return err
	}
	b := &webmailBench{}
	b.clock.Store(1_800_000_000)
	b.site, err = mailtest.Start(w.ctx, mailtest.Options{Slapd: mailtest.SlapdOptions{Bulk: webmailUsers}, Binaries: bin,
		Settings: mailtest.Settings{"directory": {"user_filter": "(mail=%u)"}}})
	if err != nil {
		return err
	}
	w.stops = append(w.stops, b.site.Stop)
	if err := b.open(w); err != nil {
		return err
	}
	w.webmail = b
	return b.site.Slapd.Configure(w.ctx, durable)
}

func (b *webmailBench) now() time.Time { return time.Unix(b.clock.Load(), 0).UTC() }

// open makes the sign-in, and gives everybody an authenticator.
func (b *webmailBench) open(w *world) error {
	cfg, err := app.Load(b.site.Path)
	if err != nil {
		return err
	}
	store, ring, err := cfg.OpenStore(account.RoleDoor, account.RoleFactor, account.RoleTicket)
	if err != nil {
		return err
	}
	w.stops = append(w.stops, store.Close)
	d := &desk.Desk{Store: store, Recorder: effect.Discard{}, Now: b.now}
	gate := login.New(login.Parts{Store: store, Prover: ring, Recorder: effect.Discard{}, Now: b.now, Tickets: ring},
		login.Settings{Deadline: 20 * time.Second, MaxBinds: 32})
	w.stops = append(w.stops, func() { gate.Close(context.Background()) })
	b.signIn = login.NewSignIn(login.SignInParts{Gate: gate, Tokens: ring, Signer: ring, Desk: d,
		Factors: []factor.Factor{factor.TOTPFactor{}}}, login.SignInSettings{PublicURL: "https://mail.example.test/2fa/",
		TicketLife: 10 * time.Minute, TransactionLife: 10 * time.Minute, Services: account.MailServices})
	for i := range webmailUsers {
		added, err := d.AddTOTP(w.ctx, desk.Root("bench"), mailtest.BulkUser(i), desk.NewTOTP{})
		if err != nil {
			return err
		}
		b.secret = append(b.secret, added.TOTP)
	}
	return nil
}

// cpu is the processor time of this process and of slapd.
func (b *webmailBench) cpu() (time.Duration, error) {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return 0, err
	}
	directory, err := b.site.Slapd.ProcessorTime()
	return time.Duration(own.Utime.Nano()+own.Stime.Nano()) + directory, err
}

var browserAddress = netip.MustParseAddr("198.51.100.7")

type webmailSession struct{ *webmailBench }

func (b *webmailBench) openOurs() (session, error) {
	b.clock.Add(120)
	return webmailSession{b}, nil
}

func (webmailSession) close() {}

// login is what webmail, the browser and the page do one after the other.
func (s webmailSession) login(n int) error {
	ctx, i := context.Background(), n%webmailUsers
	began := s.signIn.Begin(ctx, login.Start{Client: webmailClient, User: mailtest.BulkUser(i),
		Password: account.SecretString(mailtest.Password), Addr: browserAddress, Agent: "bench", ReturnTo: "https://mail.example.test/"})
	if began.Step != login.StepFactor {
		return fmt.Errorf("after the password: %s %s", began.Outcome, began.Reason)
	}
	page, err := url.Parse(began.URL)
	if err != nil {
		return err
	}
	visit, reason := s.signIn.OpenToAnswer(page.Query().Get("t"), login.Browser{Addr: browserAddress, Cookie: "bench"})
	if reason != "" {
		return fmt.Errorf("page: %s", reason)
	}
	code, err := s.secret[i].Code(s.now())
	if err != nil {
		return err
	}
	answer := s.signIn.Answer(ctx, visit, login.Reply{Method: factor.NameTOTP, Input: map[string]string{factor.InputCode: code}})
	if answer.Outcome != account.Granted {
		return fmt.Errorf("code: %s %s", answer.Outcome, answer.Reason)
	}
	back, err := url.Parse(answer.Redirect)
	if err != nil {
		return err
	}
	if got := s.signIn.Exchange(ctx, webmailClient, began.Transaction, back.Query().Get("code")); got.Live == nil {
		return fmt.Errorf("exchange: %s %s", got.Outcome, got.Reason)
	}
	return nil
}

// floorSession is a worker with connections of its own.
type floorSession struct {
	bind, service *ldap.Conn
	n             int
}

func (b *webmailBench) openFloor() (session, error) {
	bind, err := ldap.DialURL(b.site.Slapd.URI())
	if err != nil {
		return nil, err
	}
	service, err := b.site.Slapd.Dial(mailtest.RootDN, mailtest.Password)
	if err != nil {
		_ = bind.Close()
		return nil, err
	}
	return &floorSession{bind: bind, service: service}, nil
}

func (s *floorSession) close() { _, _ = s.bind.Close(), s.service.Close() }

func (s *floorSession) login(n int) error {
	user := mailtest.BulkUser(n % webmailUsers)
	found, err := s.service.Search(&ldap.SearchRequest{BaseDN: mailtest.Base, Scope: ldap.ScopeWholeSubtree,
		Filter: "(mail=" + user + ")", Attributes: []string{"*", "+"}})
	if err != nil || len(found.Entries) != 1 {
		return fmt.Errorf("%d entries: %w", len(found.Entries), err)
	}
	if err := s.bind.Bind(found.Entries[0].DN, mailtest.Password); err != nil {
		return err
	}
	s.n++
	change := ldap.NewModifyRequest(found.Entries[0].DN, nil)
	change.Replace("description", []string{fmt.Sprintf("a value of some length, as a session's record has: %d %d %0200d", n, s.n, s.n)})
	return s.service.Modify(change)
}
