package ldapstore

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"postern/internal/account"
)

// Requests of a connection, by their tag (RFC 4511 section 4.2 and on).
const (
	bindRequest   ber.Tag = 0
	searchRequest ber.Tag = 3
	modifyRequest ber.Tag = 6
)

// scripted is a server that answers every request with success, except where its
// script, asked with the number of the request on its connection, says otherwise.
type scripted struct {
	script   func(tag ber.Tag, nth int) reaction
	mu       sync.Mutex
	requests map[ber.Tag]int
}

type reaction int

const (
	answer reaction = iota
	hangUp
	ignore
)

func (s *scripted) serve(c net.Conn) {
	for nth := 0; ; nth++ {
		req, err := ber.ReadPacket(c)
		if err != nil || len(req.Children) < 2 {
			return
		}
		tag := req.Children[1].Tag
		s.mu.Lock()
		s.requests[tag]++
		s.mu.Unlock()
		switch s.script(tag, nth) {
		case hangUp:
			return
		case ignore:
			continue
		}
		response := tag + 1
		if tag == searchRequest {
			response = 5
		}
		_, _ = c.Write([]byte(message(string(req.Children[0].Bytes()), string([]byte{0x60 | byte(response)}), doneText[1:])))
	}
}

func (s *scripted) seen(tag ber.Tag) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[tag]
}

func scriptedStore(t *testing.T, script func(ber.Tag, int) reaction) (*scripted, *Store) {
	t.Helper()
	s := &scripted{script: script, requests: map[ber.Tag]int{}}
	uri := peer(t, s.serve)
	return s, openStore(t, directory, newRing(t), func(c *Config) { c.ReadURIs = []string{uri} })
}

func pooled(s *Store) *conn { return s.writer.service.idle[0] }

func firstWrite(s *Store) error {
	a := &account.Account{ID: "x", DN: "cn=x", Holder: "cn=x", HasHolder: false}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return s.Apply(ctx, a, account.Edit{Now: record(account.KindApp, "x")})
}

// TestAttack15_ModifySentOnce: a change whose connection dies before the answer may
// have been made; it is not sent again, and the caller hears that nobody knows.
func TestAttack15_ModifySentOnce(t *testing.T) {
	peer, s := scriptedStore(t, func(tag ber.Tag, _ int) reaction {
		if tag == modifyRequest {
			return hangUp
		}
		return answer
	})
	if err := s.Ping(context.Background()); err != nil { // leaves a connection in the pool
		t.Fatal(err)
	}
	wantErr(t, firstWrite(s), account.ErrUnavailable)
	if n := peer.seen(modifyRequest); n != 1 {
		t.Errorf("the change was sent %d times", n)
	}
}

// TestReadRetried: a search whose pooled connection dies is made on a new one.
func TestReadRetried(t *testing.T) {
	var dying atomic.Bool
	peer, s := scriptedStore(t, func(tag ber.Tag, nth int) reaction {
		if tag == searchRequest && nth > 1 && dying.Load() {
			return hangUp
		}
		return answer
	})
	for range 2 {
		if err := s.Ping(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	dying.Store(true)
	if err := s.Ping(context.Background()); err != nil {
		t.Errorf("not retried: %v", err)
	}
	if n := peer.seen(bindRequest); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// TestForgottenConnection: what a firewall has forgotten is found out before a
// change is sent over it.
func TestForgottenConnection(t *testing.T) {
	var forgotten atomic.Bool
	peer, s := scriptedStore(t, func(_ ber.Tag, nth int) reaction {
		if nth > 1 && forgotten.Swap(false) {
			return ignore
		}
		return answer
	})
	if err := s.Ping(context.Background()); err != nil {
		t.Fatal(err)
	}
	pooled(s).idleAt = time.Now().Add(-checkAfter - time.Second)
	forgotten.Store(true)
	if err := firstWrite(s); err != nil {
		t.Errorf("over a forgotten connection: %v", err)
	}
	if peer.seen(bindRequest) != 2 || peer.seen(modifyRequest) != 1 {
		t.Errorf("requests: %v", peer.requests)
	}
}

// TestOneWinnerRepair: two who give an account a State again do not both succeed.
func TestOneWinnerRepair(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		stores := twoStores(t, h)
		mail, a := h.enrolled(t)
		members := a.State.Members
		h.set(t, a, account.KindState)
		n := race(t, stores, func(s *Store, _ int) error {
			b, err := s.Find(context.Background(), mail)
			if err != nil {
				return err
			}
			if b.StateRecord != nil {
				return account.ErrConflict
			}
			return s.Apply(context.Background(), b, account.Edit{Now: stateOf(t, account.State{Enrolled: true, Members: members})})
		})
		if n != 1 {
			t.Errorf("%d winners", n)
		}
		sound(t, h.find(t, mail))
	})
}
