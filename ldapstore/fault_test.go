package ldapstore

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"postern/internal/account"
	"postern/internal/mailtest"
)

// patience is the deadline of operations that must fail; slack is what they may
// take beyond it on a busy machine.
const (
	patience = 300 * time.Millisecond
	slack    = 700 * time.Millisecond
)

// operations are everything a Store does, each failing with what it gets.
func operations(s *Store, a *account.Account) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"find": func(ctx context.Context) error { _, err := s.Find(ctx, "alice@example.test"); return err },
		"read": func(ctx context.Context) error { _, err := s.Read(ctx, a); return err },
		"bind": func(ctx context.Context) error { return s.Bind(ctx, a, account.SecretString(mailtest.Password)) },
		"apply": func(ctx context.Context) error {
			b := *a
			return s.Apply(ctx, &b, account.Edit{Now: record(account.KindApp, "x")})
		},
		"ping":      s.Ping,
		"diagnose":  s.Diagnose,
		"keychecks": func(ctx context.Context) error { _, err := s.KeyChecks(ctx); return err },
		"register":  func(ctx context.Context) error { return s.RegisterKeyChecks(ctx, []string{"x"}) },
		"each":      func(ctx context.Context) error { return s.Each(ctx, func(*account.Account) error { return nil }) },
	}
}

// wantOutage wants every operation to be unavailable before the deadline: by the
// context's, or by the store's own timeout.
func wantOutage(t *testing.T, s *Store, a *account.Account) {
	t.Helper()
	var wg sync.WaitGroup
	for name, op := range operations(s, a) {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			start := time.Now()
			err := op(ctx)
			if !errors.Is(err, account.ErrUnavailable) || errors.Is(err, account.ErrWrong) || errors.Is(err, account.ErrUnknown) {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(start); took > patience+slack {
				t.Errorf("%s took %v", name, took)
			}
		})
	}
	wg.Wait()
}

func wantService(t *testing.T, s *Store, a *account.Account) {
	t.Helper()
	for range 3 {
		if _, err := s.Find(context.Background(), a.Name); err != nil {
			t.Errorf("find does not recover: %v", err)
		}
		if err := s.Bind(context.Background(), a, account.SecretString(mailtest.Password)); err != nil {
			t.Errorf("bind does not recover: %v", err)
		}
	}
	b, err := s.Read(context.Background(), a)
	if err != nil {
		t.Fatalf("read does not recover: %v", err)
	}
	if err := s.Apply(context.Background(), b, account.Edit{Now: record(account.KindApp, "x")}); err != nil {
		t.Errorf("apply does not recover: %v", err)
	}
}

// TestAttack15_StoppedAndPaused: pooled connections die in every way, and the
// store recovers by itself.
func TestAttack15_StoppedAndPaused(t *testing.T) {
	slapd := mailtest.NewSlapd(t, mailtest.SlapdOptions{})
	h := newHarness(t, slapd, nil)
	a := h.find(t, "alice@example.test")
	wantService(t, h.Store, a)

	slapd.Shutdown()
	wantOutage(t, h.Store, a)
	if err := slapd.Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantService(t, h.Store, a)

	if err := slapd.Pause(); err != nil {
		t.Fatal(err)
	}
	wantOutage(t, h.Store, a)
	if err := slapd.Resume(); err != nil {
		t.Fatal(err)
	}
	wantService(t, h.Store, a)

	// Restarted between two operations: no outage is to be seen at all.
	if err := slapd.Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantService(t, h.Store, a)
}

// TestAttack15_TimeoutWithoutDeadline: the store's own timeout holds where the
// caller gave none.
func TestAttack15_TimeoutWithoutDeadline(t *testing.T) {
	s := openStore(t, directory, newRing(t), func(c *Config) {
		c.ReadURIs, c.Timeout = []string{peer(t, silent)}, patience
	})
	start := time.Now()
	_, err := s.Find(context.Background(), "alice@example.test")
	wantErr(t, err, account.ErrUnavailable)
	if took := time.Since(start); took > patience+slack {
		t.Errorf("took %v", took)
	}
}

// peer listens on loopback and treats every connection as told.
func peer(t testing.TB, treat func(net.Conn)) (uri string) {
	t.Helper()
	return "ldap://" + listen(t, "127.0.0.1:0", treat)
}

func listen(t testing.TB, on string, treat func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", on)
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu    sync.Mutex
		conns []net.Conn
		wg    sync.WaitGroup
	)
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() { defer c.Close(); treat(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// relay passes bytes on to another address.
func relay(to string) func(net.Conn) {
	return func(c net.Conn) {
		server, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer server.Close()
		go func() { _, _ = io.Copy(server, c); _ = server.Close() }()
		_, _ = io.Copy(c, server)
	}
}

// silent reads and never answers.
func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// rude answers with something that is not LDAP.
func rude(c net.Conn) {
	b := make([]byte, 512)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
		if _, err := c.Write([]byte("220 ready\r\n\x30\x84\xff\xff\xff\xff\x00")); err != nil {
			return
		}
	}
}

// replying answers each request with a result code, as a response of a kind.
func replying(code int64, tag ber.Tag) func(net.Conn) {
	return func(c net.Conn) {
		for {
			req, err := ber.ReadPacket(c)
			if err != nil || len(req.Children) < 2 {
				return
			}
			id, _ := req.Children[0].Value.(int64)
			resp := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
			resp.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
			resp.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
			resp.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "no", ""))
			msg := ber.NewSequence("")
			msg.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
			msg.AppendChild(resp)
			if _, err := c.Write(msg.Bytes()); err != nil {
				return
			}
		}
	}
}

const (
	bindResponse     ber.Tag = 1
	extendedResponse ber.Tag = 24
)

// TestAttack15_BadPeers: a half-open peer, one that hangs up, and one that talks
// nonsense.
func TestAttack15_BadPeers(t *testing.T) {
	a := newHarness(t, directory, nil).find(t, "alice@example.test")
	for name, treat := range map[string]func(net.Conn){
		"never answers": silent, "hangs up": func(net.Conn) {}, "nonsense": rude,
		"service account refused": replying(49, bindResponse), "busy": replying(51, bindResponse),
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, directory, newRing(t), func(c *Config) { c.ReadURIs = []string{peer(t, treat)} })
			if name == "service account refused" || name == "busy" {
				operationsButBind(t, s, a)
				return
			}
			wantOutage(t, s, a)
		})
	}
}

// operationsButBind: that the service account is refused is no user's wrong password.
func operationsButBind(t *testing.T, s *Store, a *account.Account) {
	t.Helper()
	for name, op := range operations(s, a) {
		if name == "bind" {
			continue
		}
		if err := op(context.Background()); !errors.Is(err, account.ErrUnavailable) || errors.Is(err, account.ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAttack15_BindAnswers: only an answer about the password is about the password.
func TestAttack15_BindAnswers(t *testing.T) {
	a := newHarness(t, directory, nil).find(t, "alice@example.test")
	for code, want := range map[int64]error{
		0: nil, 49: account.ErrWrong, 48: account.ErrWrong,
		1: account.ErrUnavailable, 8: account.ErrUnavailable, 10: account.ErrUnavailable, 13: account.ErrUnavailable,
		14: account.ErrUnavailable, 19: account.ErrUnavailable, 32: account.ErrUnavailable, 50: account.ErrUnavailable,
		51: account.ErrUnavailable, 52: account.ErrUnavailable, 53: account.ErrUnavailable, 80: account.ErrUnavailable,
	} {
		s := openStore(t, directory, newRing(t), func(c *Config) { c.ReadURIs = []string{peer(t, replying(code, bindResponse))} })
		if err := s.Bind(context.Background(), a, account.SecretString("pw")); !errors.Is(err, want) {
			t.Errorf("code %d: %v", code, err)
		}
	}
}

// TestBindConnections: a connection is used again after a wrong password, and
// given up after any other answer.
func TestBindConnections(t *testing.T) {
	a := newHarness(t, directory, nil).find(t, "alice@example.test")
	for code, want := range map[int64]int32{0: 1, 49: 1, 53: 3} {
		var made atomic.Int32
		s := openStore(t, directory, newRing(t), func(c *Config) {
			c.ReadURIs = []string{peer(t, func(c net.Conn) { made.Add(1); replying(code, bindResponse)(c) })}
		})
		for range 3 {
			_ = s.Bind(context.Background(), a, account.SecretString("pw"))
		}
		if got := made.Load(); got != want {
			t.Errorf("code %d: %d connections, want %d", code, got, want)
		}
	}
}

// TestAttack12_EmptyPassword is refused before anything is sent.
func TestAttack12_EmptyPassword(t *testing.T) {
	sent := make(chan struct{}, 8)
	s := openStore(t, directory, newRing(t), func(c *Config) {
		c.ReadURIs = []string{peer(t, func(net.Conn) { sent <- struct{}{} })}
	})
	a := &account.Account{DN: "cn=x"}
	wantErr(t, s.Bind(context.Background(), a, account.Secret{}), account.ErrWrong)
	wantErr(t, s.Bind(context.Background(), &account.Account{}, account.SecretString("x")), account.ErrUnavailable)
	if len(sent) > 0 {
		t.Error("a connection was made")
	}
}

// TestAttack15_StartTLSRefused: no password goes over the connection in the clear
// that is left.
func TestAttack15_StartTLSRefused(t *testing.T) {
	var mu sync.Mutex
	var after int
	refuse := func(c net.Conn) {
		replyingOnce(c)
		n, _ := io.Copy(io.Discard, c)
		mu.Lock()
		after += int(n)
		mu.Unlock()
	}
	a := newHarness(t, directory, nil).find(t, "alice@example.test")
	s := openStore(t, directory, newRing(t), func(c *Config) {
		c.ReadURIs, c.StartTLS = []string{peer(t, refuse)}, true
	})
	wantOutage(t, s, a)
	mu.Lock()
	defer mu.Unlock()
	if after > 0 {
		t.Errorf("%d bytes followed the refusal", after)
	}
}

// replyingOnce refuses the first request, an extended one.
func replyingOnce(c net.Conn) {
	req, err := ber.ReadPacket(c)
	if err != nil {
		return
	}
	id, _ := req.Children[0].Value.(int64)
	_, _ = c.Write([]byte{0x30, 12, 2, 1, byte(id), 0x78, 7, 10, 1, 53, 4, 0, 4, 0})
}

// TestReadFailover: the first server that works is used, one that failed is passed
// over for a while, and it is used again when it is back.
func TestReadFailover(t *testing.T) {
	for name, treat := range map[string]func(net.Conn){"hangs up": func(net.Conn) {}, "never answers": silent} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, directory, newRing(t), func(c *Config) { c.ReadURIs = []string{peer(t, treat), directory.URI()} })
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			a, err := s.Find(ctx, "alice@example.test")
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			for range 20 {
				if _, err := s.Find(context.Background(), "alice@example.test"); err != nil {
					t.Error(err)
				}
				wantErr(t, s.Bind(context.Background(), a, account.SecretString("wrong")), account.ErrWrong)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("the broken server is asked again and again: %v", took)
			}
			s.reads[0].downUntil.Store(time.Now().UnixNano()) // its cooldown is over
			if list := s.candidates(); len(list) != 2 {
				t.Errorf("%d candidates after the cooldown", len(list))
			}
			if list := s.candidates(); len(list) != 1 {
				t.Errorf("%d candidates for who comes second", len(list))
			}
		})
	}
}

// TestWriterDown: reading goes on, what needs the writer says unavailable.
func TestWriterDown(t *testing.T) {
	s := openStore(t, directory, newRing(t), func(c *Config) { c.WriteURI = "ldap://127.0.0.1:1" })
	a, err := s.Find(context.Background(), "alice@example.test")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Read(context.Background(), a)
	wantErr(t, err, account.ErrUnavailable)
	wantErr(t, s.Apply(context.Background(), a, account.Edit{Now: record(account.KindApp, "x")}), account.ErrUnavailable)
}

// TestPoolBounded: more callers than connections wait their turn, in time or not.
func TestPoolBounded(t *testing.T) {
	h := newHarness(t, directory, func(c *Config) { c.PoolSize = 2 })
	mail := h.user(t, nil)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 20 {
				if _, err := h.Find(context.Background(), mail); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	p := h.reads[0].service
	if len(p.idle) > 2 || len(p.slots) != 0 {
		t.Errorf("%d connections idle, %d in use", len(p.idle), len(p.slots))
	}
	p.slots <- struct{}{}
	p.slots <- struct{}{}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := h.Find(ctx, mail)
	wantErr(t, err, account.ErrUnavailable)
	<-p.slots
	<-p.slots
}

// TestIdleConnections: old ones are checked or replaced, never trusted.
func TestIdleConnections(t *testing.T) {
	h := newHarness(t, directory, nil)
	mail := h.user(t, nil)
	h.find(t, mail)
	p := h.reads[0].service
	for what, age := range map[string]time.Duration{"to be checked": checkAfter + time.Second, "too old": serviceIdle + time.Second} {
		before := p.idle[0]
		before.idleAt = time.Now().Add(-age)
		h.find(t, mail)
		if same := p.idle[0] == before; same != (what == "to be checked") {
			t.Errorf("%s: kept %v", what, same)
		}
	}
	// One whose peer is gone without a word is found out by the check.
	dead := p.idle[0]
	dead.idleAt = time.Now().Add(-checkAfter - time.Second)
	left, right := net.Pipe()
	defer right.Close()
	_ = dead.raw.Close()
	dead.raw = left
	a := h.find(t, mail)
	h.apply(t, a, account.Edit{Now: record(account.KindApp, "x")})
}

func TestClosed(t *testing.T) {
	h := newHarness(t, directory, nil)
	a := h.find(t, "alice@example.test")
	h.Close()
	for name, op := range operations(h.Store, a) {
		if name != "each" {
			wantErr(t, op(context.Background()), account.ErrUnavailable)
		}
	}
}
