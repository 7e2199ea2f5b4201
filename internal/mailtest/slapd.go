package mailtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Names in the directory which a new Slapd holds.
const (
	Base        = "dc=example,dc=test"
	People      = "ou=people," + Base
	PosternBase = "ou=postern," + Base
	// ServiceDN is the account of Postern's daemons. Our own user is mapped to it
	// on ldapi:/// with SASL EXTERNAL.
	ServiceDN = "cn=postern,ou=services," + Base
	// OtherServiceDN is another service, which may write users' entries.
	OtherServiceDN = "cn=nextcloud,ou=services," + Base
	// DomainAdminDN is an administrator, who may write below ou=people.
	DomainAdminDN = "uid=domadmin," + People
	// RootDN may do everything in the directory, ConfigDN in slapd's configuration.
	RootDN   = "cn=admin," + Base
	ConfigDN = "cn=admin,cn=config"
	// Password is that of every account above, and of the users made at the start.
	Password = "correct-horse-battery"
)

// SlapdOptions say how the directory differs from a plain one.
type SlapdOptions struct {
	// WithoutSchema leaves Postern's schema out, and with it the access rules.
	WithoutSchema bool
	// WithoutACL leaves Postern's access rules out.
	WithoutACL bool
	// Lockout loads ppolicy: five wrong binds lock an account.
	Lockout bool
	// Bulk adds so many users u000000@example.test and on, see (*Slapd).Bulk.
	Bulk int
	// Log makes slapd write every operation to its Log.
	Log bool
}

// Slapd is a running OpenLDAP directory.
type Slapd struct {
	// Dir holds its files; CAFile is the authority of its certificate.
	Dir, CAFile string
	// Port and TLSPort are its loopback ports for ldap:// and ldaps://.
	Port, TLSPort int

	options SlapdOptions
	certs   certificates
	ports   ports
	proc    *process
	mu      sync.Mutex
	admin   *ldap.Conn // as RootDN, nil until first used; guarded by mu
}

// StartSlapd starts a directory with the users plain, alice, bob, carol and
// admin@example.test, and dave@other.test.
func StartSlapd(ctx context.Context, o SlapdOptions) (*Slapd, error) {
	dir, err := makeDir("/tmp")
	if err != nil {
		return nil, err
	}
	s := &Slapd{Dir: dir, options: o}
	if err := s.prepare(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("slapd: %w", err)
	}
	return s, nil
}

// prepare writes the databases, starts the server and configures it the way an
// administrator would: by loading the files of contrib/slapd.
func (s *Slapd) prepare(ctx context.Context) (err error) {
	if s.certs, err = makeCertificates(s.Dir); err != nil {
		return err
	}
	s.CAFile = s.certs.CA
	if err := s.ports.takeAll(&s.Port, &s.TLSPort); err != nil {
		return err
	}
	if err := s.writeDatabases(ctx); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	return s.loadContrib(ctx)
}

// writeDatabases fills the configuration and the data by slapadd.
func (s *Slapd) writeDatabases(ctx context.Context) error {
	for _, d := range []string{"conf", "data"} {
		if err := os.Mkdir(filepath.Join(s.Dir, d), 0o700); err != nil {
			return err
		}
	}
	config, err := s.configLDIF()
	if err != nil {
		return err
	}
	if err := s.slapadd(ctx, 0, config); err != nil {
		return err
	}
	data, err := entriesLDIF(s.options)
	if err != nil {
		return err
	}
	return s.slapadd(ctx, 1, data+bulkLDIF(s.options.Bulk))
}

// slapadd loads an LDIF text into a database by its number.
func (s *Slapd) slapadd(ctx context.Context, database int, ldif string) error {
	_, err := runWith(ctx, ldif, "/usr/sbin/slapadd", "-q", "-F", filepath.Join(s.Dir, "conf"), "-n", fmt.Sprint(database))
	return err
}

// start starts the server on its ports and waits until it answers.
func (s *Slapd) start(ctx context.Context) error {
	level := "0"
	if s.options.Log {
		level = "stats"
	}
	urls := strings.Join([]string{s.URI(), s.TLSURI(), s.SocketURI()}, " ")
	// -d keeps slapd in the foreground, also with level 0.
	cmd := exec.Command("/usr/sbin/slapd", "-d", level, "-F", filepath.Join(s.Dir, "conf"), "-h", urls)
	p, err := startProcess("slapd", cmd)
	if err != nil {
		return err
	}
	s.proc = p
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return p.await(ctx, func() error { return answers("tcp", loopback(s.Port)) })
}

// URI is its plain address, which also does StartTLS.
func (s *Slapd) URI() string { return "ldap://" + loopback(s.Port) }

// TLSURI is its address for TLS from the first byte.
func (s *Slapd) TLSURI() string { return "ldaps://" + loopback(s.TLSPort) }

// Socket is the path of its unix socket.
func (s *Slapd) Socket() string { return filepath.Join(s.Dir, "ldapi") }

// SocketURI is the address of its unix socket.
func (s *Slapd) SocketURI() string { return "ldapi://" + url.PathEscape(s.Socket()) }

// Log is what slapd wrote since it was last started.
func (s *Slapd) Log() string { return s.proc.log.String() }

// Shutdown stops the server and keeps its data for Restart.
func (s *Slapd) Shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admin != nil {
		_ = s.admin.Close()
		s.admin = nil
	}
	s.proc.stop()
}

// ProcessorTime is what the server has used so far, to 10 ms.
func (s *Slapd) ProcessorTime() (time.Duration, error) { return s.proc.cpu() }

// Restart stops the server if it runs, and starts it on the same ports.
func (s *Slapd) Restart(ctx context.Context) error {
	s.Shutdown()
	return s.start(ctx)
}

// Pause freezes the server: connections are accepted and not answered.
func (s *Slapd) Pause() error { return s.proc.pause() }

// Resume ends a Pause.
func (s *Slapd) Resume() error { return s.proc.signal(syscall.SIGCONT) }

// Stop ends the server and removes its files.
func (s *Slapd) Stop() {
	s.Shutdown()
	s.ports.release()
	_ = os.RemoveAll(s.Dir)
}

// loadContrib loads contrib's schema, indices and access rules.
func (s *Slapd) loadContrib(ctx context.Context) error {
	if s.options.WithoutSchema {
		return nil
	}
	schema, err := contrib("slapd/postern.ldif")
	if err != nil {
		return err
	}
	index, err := contrib("slapd/postern-index.ldif", "{1}mdb", "{1}mdb")
	if err != nil {
		return err
	}
	if err := errors.Join(s.Configure(ctx, schema), s.Configure(ctx, index)); err != nil || s.options.WithoutACL {
		return err
	}
	return s.LoadACL(ctx)
}

// LoadACL loads contrib's access rules into a directory started WithoutACL.
func (s *Slapd) LoadACL(ctx context.Context) error {
	acl, err := contrib("slapd/postern-acl.ldif", "cn=postern,ou=services,dc=example,dc=test", ServiceDN,
		"ou=postern,dc=example,dc=test", PosternBase, "dc=example,dc=test", Base)
	if err != nil {
		return err
	}
	return s.Configure(ctx, acl)
}

// Configure applies an LDIF text, of entries to add or changes, to slapd's
// configuration by ldapmodify.
func (s *Slapd) Configure(ctx context.Context, ldif string) error {
	return s.Load(ctx, ConfigDN, ldif)
}

// Load is Configure as anybody, such as RootDN for entries.
func (s *Slapd) Load(ctx context.Context, dn, ldif string) error {
	_, err := runWith(ctx, ldif, "ldapmodify", "-a", "-x", "-H", s.SocketURI(), "-D", dn, "-w", Password)
	return err
}
