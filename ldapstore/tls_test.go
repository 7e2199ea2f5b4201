package ldapstore

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/account"
	"postern/internal/mailtest"
)

// TestTransports finds, binds and writes over every kind of URI.
func TestTransports(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"ldap":     func(*Config) {},
		"starttls": func(c *Config) { c.StartTLS, c.CAFile = true, directory.CAFile },
		"ldaps":    func(c *Config) { c.ReadURIs, c.CAFile = []string{directory.TLSURI()}, directory.CAFile },
		"ldapi":    func(c *Config) { c.ReadURIs = []string{directory.SocketURI()} },
		"external": func(c *Config) {
			c.ReadURIs, c.SASLExternal = []string{directory.SocketURI()}, true
			c.BindDN, c.BindPassword = "", account.Secret{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, directory, change)
			mail := h.user(t, nil)
			a := h.find(t, mail)
			h.apply(t, a, account.Edit{Now: record(account.KindApp, "x")})
			for range 2 {
				if err := h.Bind(context.Background(), a, account.SecretString("secret of "+mail)); err != nil {
					t.Error(err)
				}
				wantErr(t, h.Bind(context.Background(), a, account.SecretString("wrong")), account.ErrWrong)
			}
			if err := h.Diagnose(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTLSIsVerified: a certificate by an unknown authority or for another name is
// an outage, over StartTLS as over ldaps.
func TestTLSIsVerified(t *testing.T) {
	a := newHarness(t, directory, nil).find(t, "alice@example.test")
	otherName := listen(t, "127.0.0.2:0", relay(strings.TrimPrefix(directory.URI(), "ldap://")))
	otherTLS := listen(t, "127.0.0.2:0", relay(strings.TrimPrefix(directory.TLSURI(), "ldaps://")))
	trust := func(c *Config, uri string) { c.ReadURIs, c.CAFile = []string{uri}, directory.CAFile }
	for name, change := range map[string]func(*Config){
		"ldaps, unknown authority":    func(c *Config) { c.ReadURIs = []string{directory.TLSURI()} },
		"starttls, unknown authority": func(c *Config) { c.StartTLS = true },
		"starttls, another name":      func(c *Config) { c.StartTLS = true; trust(c, "ldap://"+otherName) },
		"ldaps, another name":         func(c *Config) { trust(c, "ldaps://"+otherTLS) },
		"tls to a plain port": func(c *Config) {
			c.ReadURIs = []string{strings.Replace(directory.URI(), "ldap:", "ldaps:", 1)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, directory, newRing(t), change)
			wantOutage(t, s, a)
			want := "certificate"
			if name == "tls to a plain port" {
				want = "TLS"
			}
			if err := s.Ping(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not mention the %s", err, want)
			}
		})
	}
}

func TestTLSPeerStalls(t *testing.T) {
	a := &account.Account{DN: mailtest.UserDN("alice@example.test"), Holder: "cn=x", ID: "x"}
	for name, change := range map[string]func(*Config){
		"starttls": func(c *Config) { c.ReadURIs, c.StartTLS = []string{peer(t, silent)}, true },
		"ldaps":    func(c *Config) { c.ReadURIs = []string{strings.Replace(peer(t, silent), "ldap:", "ldaps:", 1)} },
	} {
		t.Run(name, func(t *testing.T) { wantOutage(t, openStore(t, directory, newRing(t), change), a) })
	}
}

func TestCAFile(t *testing.T) {
	cfg := config(directory)
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if _, err := Open(cfg, newRing(t)); err == nil || !strings.Contains(err.Error(), "directory.ca_file") {
		t.Errorf("missing: %v", err)
	}
	if err := os.WriteFile(cfg.CAFile, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cfg, newRing(t)); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("no PEM: %v", err)
	}
}
