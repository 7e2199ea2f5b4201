package notify_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-message/mail"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/notify"
	"postern/internal/web/catalogue"
)

// mailbox is a mail server that keeps what it takes.
type mailbox struct {
	mu     sync.Mutex
	mails  []received
	refuse map[string]error // by recipient
	login  bool             // wants AUTH
}

type received struct {
	from, to string
	data     []byte
}

type session struct {
	box    *mailbox
	from   string
	to     []string
	authed bool
}

func (b *mailbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{box: b}, nil }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "postern" || password != "mail secret" {
			return smtp.ErrAuthFailed
		}
		s.authed = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.box.login && !s.authed {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	if err := s.box.refuse[to]; err != nil {
		return err
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	for _, to := range s.to {
		s.box.mails = append(s.box.mails, received{s.from, to, b})
	}
	return err
}

func (s *session) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	err := s.Data(r)
	for _, to := range s.to {
		status.SetStatus(to, err)
	}
	return nil
}

func (*session) Reset()        {}
func (*session) Logout() error { return nil }

func (b *mailbox) all() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.mails)
}

// serve starts the server at an address, and stops it at the test's end.
func (b *mailbox) serve(t *testing.T, network, address string, set func(*smtp.Server)) *smtp.Server {
	t.Helper()
	s := smtp.NewServer(b)
	s.Domain, s.AllowInsecureAuth = "mail.example.test", true
	if set != nil {
		set(s)
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if s.TLSConfig != nil && s.Domain == "tls" {
		l = tls.NewListener(l, s.TLSConfig)
	}
	s.Addr = l.Addr().String()
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// directory knows one contact for everybody.
type directory struct {
	addresses []string
	language  string
	err       error
}

func (d *directory) Contact(context.Context, *notify.Letter) (notify.Contact, error) {
	return notify.Contact{Addresses: d.addresses, Language: d.language}, d.err
}

type events struct{ list []effect.Event }

func (e *events) Record(ev effect.Event) { e.list = append(e.list, ev) }

var began = time.Date(2026, 11, 22, 13, 3, 0, 0, time.UTC)

// bench is all that mails need, beside a mail server.
type bench struct {
	t         *testing.T
	box       *mailbox
	directory directory
	events    events
	failed    []string
	recorder  *notify.Recorder
	*notify.Deliverer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, box: &mailbox{refuse: map[string]error{}}, directory: directory{addresses: []string{"alice@example.test"}}}
	server := b.box.serve(t, "tcp", "127.0.0.1:0", nil)
	spool, err := notify.OpenSpool(filepath.Join(t.TempDir(), "lib", "mail"))
	if err != nil {
		t.Fatal(err)
	}
	b.recorder = &notify.Recorder{Spool: spool, Privacy: effect.AddressFull, NewSignIn: true, Failed: b.fail}
	templates, err := notify.ReadTemplates("")
	if err != nil {
		t.Fatal(err)
	}
	b.Deliverer = &notify.Deliverer{Spool: spool, Directory: &b.directory, Composer: composer(t), Templates: templates,
		Transport: &notify.Server{URL: "smtp://" + server.Addr}, Recorder: &b.events, Most: 20, Failed: b.fail}
	return b
}

func (b *bench) fail(err error) { b.failed = append(b.failed, err.Error()) }

// restart forgets what is not in the spool.
func (b *bench) restart() {
	d := b.Deliverer
	b.Deliverer = &notify.Deliverer{Spool: d.Spool, Directory: d.Directory, Composer: d.Composer, Templates: d.Templates,
		Transport: d.Transport, Recorder: d.Recorder, Most: d.Most, Failed: d.Failed}
}

func composer(t *testing.T) *notify.Composer {
	t.Helper()
	texts, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return &notify.Composer{Texts: texts, Location: berlin,
		Site:    notify.Brand{Name: "Beispiel-Post", Contact: "help@example.test", From: "postmaster@%d", Language: "en"},
		Domains: map[string]notify.Brand{"other.test": {Name: "Другая почта", Accent: "#7a1f5c", From: "security@mail.other.test", Language: "ru"}}}
}

// happened is an event about alice that mails tell of.
func happened(a effect.Action, change func(*effect.Event)) effect.Event {
	e := effect.Event{Time: began, Action: a, Outcome: "done", User: "alice@example.test", Account: "id-alice", Domain: "example.test", ByOwner: true}
	if change != nil {
		change(&e)
	}
	return e
}

// pass runs one Pass so long after the beginning.
func (b *bench) pass(after time.Duration) int {
	b.t.Helper()
	return b.Pass(b.t.Context(), began.Add(after))
}

// only is the one mail that there is.
func (b *bench) only() *letter {
	b.t.Helper()
	mails := b.box.all()
	if len(mails) != 1 {
		b.t.Fatalf("%d mails; told %q", len(mails), b.failed)
	}
	return parse(b.t, mails[0].data)
}

// letter is a mail as a mail program reads it.
type letter struct {
	header      mail.Header
	plain, html string
}

func parse(t *testing.T, data []byte) *letter {
	t.Helper()
	r, err := mail.CreateReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	l := &letter{header: r.Header}
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return l
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := p.Header.(*mail.InlineHeader).ContentType()
		if kind == "text/plain" {
			l.plain = strings.ReplaceAll(string(b), "\r\n", "\n")
		} else {
			l.html = string(b)
		}
	}
}

func (l *letter) subject(t *testing.T) string {
	t.Helper()
	s, err := l.header.Subject()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (l *letter) wants(t *testing.T, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if !strings.Contains(l.plain, s) {
			t.Errorf("no %q in\n%s", s, l.plain)
		}
	}
}

var _ notify.Transport = (*notify.Server)(nil)

var errDirectory = account.ErrUnavailable
