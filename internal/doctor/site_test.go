package doctor_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/desk"
	"postern/internal/doctor"
	"postern/internal/effect"
	"postern/internal/mailtest"
	"postern/ldapstore"
)

func TestMain(m *testing.M) { mailtest.Main(m) }

// green are options with which a site has nothing to be complained about.
func green(v mailtest.Version) mailtest.Options {
	o := mailtest.Options{
		Dovecot:     &mailtest.DovecotOptions{Version: v, Door: string(v) + "-lua.conf", Policy: true},
		Postfix:     &mailtest.PostfixOptions{},
		EndSessions: true,
	}
	return o
}

// options are those with which posternctl would call doctor on this site.
func options(t *testing.T, s *mailtest.Site) doctor.Options {
	t.Helper()
	cfg, err := app.Load(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	o := doctor.Options{Config: cfg, NoLogin: true, Doveconf: "doveconf -c " + s.Dovecot.Inside("dovecot.conf"), Postconf: "postconf -c " + s.Postfix.Dir}
	if s.Dovecot.Root != "" {
		o.Doveconf, o.Root = "chroot "+s.Dovecot.Root+" "+o.Doveconf, s.Dovecot.Root
	}
	return o
}

// withCanary lets doctor make an account as the directory's root.
func withCanary(t *testing.T, o doctor.Options) doctor.Options {
	t.Helper()
	o.NoLogin = false
	o.Canary = &doctor.Canary{
		Base: mailtest.People, Domain: "example.test",
		Admin: ldapstore.Simple(mailtest.RootDN, account.SecretString(mailtest.Password)),
		Actor: desk.Root("doctor's test"),
		Open: func() (*desk.Desk, error) {
			store, _, err := o.Config.OpenStore(account.RoleDoor, account.RoleFactor)
			if err != nil {
				return nil, err
			}
			t.Cleanup(store.Close)
			return &desk.Desk{Store: store, Recorder: effect.Discard{}, Now: time.Now}, nil
		},
	}
	return o
}

// examine runs doctor and returns what is not right, one line each.
func examine(t *testing.T, o doctor.Options) (doctor.Report, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	r, _ := doctor.Run(ctx, o)
	var b strings.Builder
	for _, f := range r {
		if f.Group == "unknown" {
			t.Errorf("%s is not in the catalogue", f.ID)
		}
		if f.Status != doctor.OK {
			b.WriteString(string(f.Status) + " " + f.ID + " " + f.Subject + ": " + f.Text + "\n")
			if f.Status != doctor.Skipped && f.Remedy == "" {
				t.Errorf("%s has no remedy", f.ID)
			}
		}
	}
	return r, b.String()
}

// has reports whether the report has that finding.
func has(r doctor.Report, id string, s doctor.Status) bool {
	for _, f := range r {
		if f.ID == id && f.Status == s {
			return true
		}
	}
	return false
}

// ignored is what a test's site is by its nature: without TLS on some ports, with an
// inet listener for its own use, and on a machine whose clock somebody else may keep.
var ignored = map[string]bool{"dovecot-cleartext": true, "postfix-tls": true, "sasl-client": true, "canary": true, "clock-kept": true}

func TestA13_GreenSite(t *testing.T) {
	mailtest.Long(t)
	for _, v := range []mailtest.Version{mailtest.V23, mailtest.V24} {
		t.Run(string(v), func(t *testing.T) {
			s := mailtest.Shared(t, "green "+string(v), green(v))
			o := withCanary(t, options(t, s))
			if s.Dovecot.Root != "" {
				if err := os.Chmod(filepath.Join(s.Dovecot.Dir, "postern.lua"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r, complaints := examine(t, o)
			for _, f := range r {
				if f.Status != doctor.OK && !ignored[f.ID] {
					t.Errorf("%s %s %s: %s", f.Status, f.ID, f.Subject, f.Text)
				}
			}
			t.Log(complaints)
			doors := 0
			for _, f := range r {
				if f.ID == "door" && f.Status == doctor.OK {
					doors++
				}
			}
			if doors < 6 || !has(r, "acl-owner", doctor.OK) || !has(r, "canary", doctor.OK) {
				t.Errorf("%d doors were tried: %+v", doors, r)
			}
			noCanaryLeft(t, s)
		})
	}
}

func noCanaryLeft(t *testing.T, s *mailtest.Site) {
	t.Helper()
	c, err := s.Slapd.Root()
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Search(searchAll("(uid=postern-canary-*)"))
	if err != nil || len(res.Entries) > 0 {
		t.Errorf("the canary is still there: %v, %v", res, err)
	}
}
