// Package ldapstore keeps accounts and their records in an LDAP directory. It
// implements account.Store and is the only package that speaks LDAP.
//
// # What is read
//
// An account is the entry that exactly one search finds by the name that
// somebody typed (find.go). Everything else comes from that entry: the key of
// the account, its canonical name and domain, its status (status.go), and its
// sealed records. Matching in a directory is looser than equality of strings, so
// the typed name is good for that one search and nothing else.
//
// With layout "entry" the records are attributes of the user's own entry, and
// the one search reads them too. With layout "subtree" they are in an entry of
// their own, posternHolderOf=KEY below Postern's base, and one more base search
// reads it: for directories whose entries Postern cannot or should not change.
//
// Policies of domains and classes are entries of their own. They are read all at
// once every few seconds and kept in memory (policy.go); an account gets those that
// hold for it.
//
// # What is written
//
// Every change is one Modify on the write server (apply.go). Deleting the value
// as read and adding the new one in the same Modify is compare-and-swap: of many
// who try, exactly one wins, the others get account.ErrConflict.
//
// # How it is asked
//
// Each server has two pools (pool.go): connections of the service account, and
// connections for checking users' passwords, which are never used for anything
// else. Every operation has one deadline, set on the network connection itself,
// that covers waiting for a free connection, dialling, TLS, binding and the
// answer. Searches go to the read servers in order (server.go); what decides a
// factor is read from the write server.
//
// The three outcomes never mix: what could not be asked is
// account.ErrUnavailable, whatever the directory's reason. Where an administrator
// has to act, the error is a *SetupError whose one line says what to do.
package ldapstore

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"postern/internal/account"
	"postern/internal/seal"
)

// maxPacket bounds one message of the directory, which is one entry: the largest
// legitimate one is the schema that Diagnose reads, of some hundred kB.
const maxPacket = 8 << 20

// boundPackets sets the library's limit, which is a global variable, before the
// first connection exists.
var boundPackets = sync.OnceFunc(func() { ber.MaxPacketLengthBytes = maxPacket })

// Store is a directory. It is safe for concurrent use.
type Store struct {
	cfg    Config
	ring   *seal.Ring
	filter template
	wanted []string // attributes of a user's entry
	holder []string // attributes of a holder entry, layout subtree

	reads  []*server
	writer *server // also one of reads if the URI is the same
	now    func() time.Time

	policies   policies // of domains and classes
	siteSwitch siteSwitch
}

var _ account.Store = (*Store)(nil)

// Open makes a Store. It contacts nobody: a daemon must be able to start while
// the directory is down. It fails on what Config.Validate reports and when the
// file of certificate authorities cannot be read.
func Open(cfg Config, ring *seal.Ring) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if ring == nil {
		return nil, errors.New("ldapstore: no key ring")
	}
	boundPackets()
	cfg = cfg.withDefaults()
	roots, err := cfg.tlsConfig()
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, ring: ring, now: time.Now}
	s.policies.read, s.policies.now = s.readPolicies, func() time.Time { return s.now() }
	if s.filter, err = parseTemplate(cfg.UserFilter); err != nil {
		return nil, err
	}
	s.wanted, s.holder = cfg.attributes()
	return s, s.openServers(roots)
}

func (s *Store) openServers(roots *tls.Config) error {
	for _, uri := range s.cfg.ReadURIs {
		srv, err := newServer(uri, &s.cfg, roots)
		if err != nil {
			return err
		}
		s.reads = append(s.reads, srv)
		if uri == s.cfg.WriteURI {
			s.writer = srv
		}
	}
	if s.writer != nil {
		return nil
	}
	var err error
	s.writer, err = newServer(s.cfg.WriteURI, &s.cfg, roots)
	return err
}

// Close closes all connections. Operations under way fail or finish; later ones
// fail with account.ErrUnavailable.
func (s *Store) Close() {
	for _, srv := range append(s.reads[:len(s.reads):len(s.reads)], s.writer) {
		srv.close()
	}
}

// deadline is when an operation on one server must be over: the configured
// timeout, and never later than its share of the caller's time if more servers
// could be asked.
func (s *Store) deadline(ctx context.Context, candidates int) time.Time {
	now := time.Now()
	end := now.Add(s.cfg.Timeout)
	if limit, ok := ctx.Deadline(); ok {
		share := now.Add(limit.Sub(now) / time.Duration(candidates))
		if share.Before(end) {
			return share
		}
	}
	return end
}
