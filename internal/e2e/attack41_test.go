package e2e

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// slowBinds is a directory whose password checks never end while they are held. It
// stands before a real one and passes everything on but binds as users.
type slowBinds struct {
	net.Listener
	to string

	places  int64 // for main passwords under check
	held    atomic.Int64
	release chan struct{}
}

func newSlowBinds(t *testing.T, s *mailtest.Slapd) *slowBinds {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &slowBinds{Listener: l, to: local(s.Port), places: 8, release: make(chan struct{})}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

func (p *slowBinds) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() { _, _ = io.Copy(c, server); _ = c.Close() }()
	for buf := make([]byte, 64<<10); ; {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if bindsUser(buf[:n]) {
			p.held.Add(1)
			<-p.release
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// bindsUser tells a BindRequest (RFC 4511 section 4.2) by a user from the service's.
func bindsUser(b []byte) bool {
	p, err := ber.DecodePacketErr(b)
	if err != nil || len(p.Children) < 2 || p.Children[1].ClassType != ber.ClassApplication || p.Children[1].Tag != 0 {
		return false
	}
	op := p.Children[1].Children
	return len(op) > 1 && op[1].Value != mailtest.ServiceDN
}

// TestAttack41_SlowBinds: while as many main passwords as may be are being checked
// by a directory that does not come to an end, and many more wait, app passwords
// are as fast as ever, through the doors too. It measures time, so no other test
// runs beside it.
func TestAttack41_SlowBinds(t *testing.T) {
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			w := shared(t, d)
			proxy := newSlowBinds(t, w.Slapd)
			uri := "ldap://" + proxy.Addr().String()
			o := d.options(t)
			o.With, o.Postfix = w.Site, nil
			o.Settings = directory("read_uris", []string{uri}, "write_uri", uri, "timeout", "4s")
			proxy.besiege(fresh(t, o))
		})
	}
}

// besiege keeps sending main passwords until they have filled every queue there is,
// and then logs in by an app password, again and again. Behind the main passwords
// it would wait until their deadline of four seconds.
func (p *slowBinds) besiege(w *world) {
	user := w.user("main password")
	app := reveal(w.app(user).Password)
	w.want(mailclient.OK, user, app)
	ctx, stop := context.WithCancel(context.Background())
	var siege sync.WaitGroup
	var turnedAway atomic.Int64
	for range 45 {
		siege.Go(func() {
			for ctx.Err() == nil {
				r, err := w.try(mailclient.IMAP, mailclient.MechPlain, user, "main password")
				if err == nil && r.Outcome == mailclient.Refused {
					w.t.Errorf("a slow check became a refusal: %s", r.Text)
				}
				turnedAway.Add(1)
			}
		})
	}
	eventually(w.t, "binds hang, others are turned away", func() bool { return p.held.Load() >= p.places && turnedAway.Load() >= 45 })
	took := make([]time.Duration, 15)
	for i := range took {
		began := time.Now()
		w.want(mailclient.OK, user, app)
		took[i] = time.Since(began)
	}
	if slices.Sort(took); took[len(took)/2] > 2500*time.Millisecond {
		w.t.Errorf("app passwords took %v", took)
	}
	close(p.release)
	stop()
	siege.Wait()
	w.want(mailclient.OK, user, "main password")
}
