package doctor_test

import (
	"context"
	"strings"
	"testing"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/desk"
	"postern/internal/doctor"
	"postern/internal/effect"
	"postern/internal/mailtest"
	"postern/ldapstore"
)

// quick is a site without doors, on which a look takes less than a second.
func quick(t *testing.T, o mailtest.SlapdOptions) *mailtest.Site {
	t.Helper()
	s, err := mailtest.Start(context.Background(), mailtest.Options{Slapd: o})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// quickOptions look at that site.
func quickOptions(t *testing.T, s *mailtest.Site) doctor.Options {
	t.Helper()
	cfg, err := app.Load(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	return doctor.Options{Config: cfg, NoLogin: true}
}

// finding is the first with that id, status, and words in its text.
func finding(r doctor.Report, id string, s doctor.Status, words ...string) bool {
next:
	for _, f := range r {
		for _, w := range words {
			if !strings.Contains(f.Subject+": "+f.Text, w) {
				continue next
			}
		}
		if f.ID == id && f.Status == s {
			return true
		}
	}
	return false
}

// openDesk changes accounts at another time than now, or at this.
func openDesk(t *testing.T, s *mailtest.Site) (*desk.Desk, *ldapstore.Store) {
	t.Helper()
	cfg, err := app.Load(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	store, _, err := cfg.OpenStore(account.RoleDoor, account.RoleFactor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return &desk.Desk{Store: store, Recorder: effect.Discard{}, Now: doctorNow}, store
}

// acl replaces the rules of the directory by those, before which nothing is denied to the
// service.
func acl(t *testing.T, s *mailtest.Site, rules ...string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nreplace: olcAccess\n")
	for _, r := range rules {
		b.WriteString("olcAccess: " + strings.ReplaceAll(r, "SERVICE", "by dn.exact="+mailtest.ServiceDN+" write") + "\n")
	}
	if err := s.Slapd.Configure(context.Background(), b.String()); err != nil {
		t.Fatal(err)
	}
}

const (
	postern = "posternState,posternTotp,posternPasskey,posternBackupCodes,posternPluginFactor,posternAppPassword,posternTrustedDevice," +
		"posternPolicy,posternClass,posternHolderOf,posternSession,posternKeyCheck"
	// rest lets people log in and be found; the service finds and writes.
	passwords = "to attrs=userPassword by anonymous auth by * none"
	rest      = "to * SERVICE by * read"
)

// TestAttack20_WideAccess: doctor names what a rule gives away, and to whom, and nothing
// of a directory whose rules are right.
func TestAttack20_WideAccess(t *testing.T) {
	s := quick(t, mailtest.SlapdOptions{})
	d, _ := openDesk(t, s)
	if _, err := d.CreateAppPassword(context.Background(), desk.Root("test"), "bob@example.test", desk.NewAppPassword{Name: "x"}); err != nil {
		t.Fatal(err)
	}
	o := withCanary(t, quickOptions(t, s))
	closed := "to attrs=" + postern + " SERVICE by * none"
	for _, row := range []struct {
		name  string
		rules []string
		id    string
		words []string // none: nothing is to be found
	}{
		{"right", []string{closed}, "", nil},
		{"everybody reads", []string{}, "acl-anonymous", []string{"without logging in", "; read ", " of uid=bob", "find entries by ", "posternKeyCheck"}},
		{"users read", []string{"to attrs=" + postern + " SERVICE by users read by * none"}, "acl-owner",
			[]string{"find entries by ", "; read ", "posternAppPassword", "posternTotp"}},
		{"owners read their own", []string{"to attrs=posternTotp SERVICE by self read by * none", closed}, "acl-owner", []string{"read posternTotp of uid=postern-canary-"}},
		{"owners compare", []string{"to attrs=posternState SERVICE by self compare by * none", closed}, "acl-owner", []string{"compare posternState of uid=postern-canary-"}},
		{"owners search", []string{"to attrs=posternAppPassword SERVICE by self search by * none", closed}, "acl-owner", []string{"find entries by posternAppPassword"}},
		{"owners write", []string{"to attrs=posternPolicy SERVICE by self =w by * none", closed}, "acl-owner", []string{"write posternPolicy of uid=postern-canary-"}},
		{"users write each other's", []string{"to attrs=posternState SERVICE by self none by users =w by * none", closed}, "acl-owner", []string{"write posternState of uid=postern-canary-"}},
		{"users write the site's", []string{"to dn.exact=cn=site," + mailtest.PosternBase + " attrs=posternKeyCheck SERVICE by users =w by * none", closed}, "acl-owner",
			[]string{"write posternKeyCheck of cn=site"}},
		{"everybody compares", []string{"to dn.exact=" + mailtest.UserDN("bob@example.test") + " attrs=posternAppPassword SERVICE by * compare", closed}, "acl-anonymous",
			[]string{"compare posternAppPassword of uid=bob"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			acl(t, s, append(append([]string{passwords}, row.rules...), rest)...)
			r, complaints := examine(t, o)
			for _, id := range []string{"acl-anonymous", "acl-owner"} {
				switch {
				case id == row.id && !finding(r, id, doctor.Wrong, row.words...):
					t.Errorf("no %s with %q in:\n%s", id, row.words, complaints)
				case row.id == "" && (has(r, id, doctor.Wrong) || !has(r, id, doctor.OK)):
					t.Errorf("complaints about %s:\n%s", id, complaints)
				}
			}
			noCanaryLeft(t, s)
		})
	}
	bob, err := d.ListAppPasswords(context.Background(), "bob@example.test")
	if err != nil || len(bob) != 1 {
		t.Errorf("bob's records: %v, %v", bob, err)
	}
	keys, err := s.Posternctl(context.Background(), "--check")
	if err != nil {
		t.Errorf("the site's entry: %s, %v", keys, err)
	}
}

// TestAttack20_WideAccessOfReplica: each server has rules of its own.
func TestAttack20_WideAccessOfReplica(t *testing.T) {
	s, replica := quick(t, mailtest.SlapdOptions{}), replicaOf(t, mailtest.SlapdOptions{})
	if err := s.Reconfigure(mailtest.Settings{"directory": {"read_uris": []string{s.Slapd.URI(), replica.URI()}}}); err != nil {
		t.Fatal(err)
	}
	replicate(t, s, replica)
	r, complaints := examine(t, quickOptions(t, s))
	if !finding(r, "acl-anonymous", doctor.OK, replica.URI()) {
		t.Errorf("before: %s", complaints)
	}
	acl(t, &mailtest.Site{Slapd: replica}, passwords, rest)
	r, complaints = examine(t, quickOptions(t, s))
	if !finding(r, "acl-anonymous", doctor.Wrong, replica.URI(), "read posternKeyCheck of cn=site") || !finding(r, "acl-anonymous", doctor.OK, s.Slapd.URI()) {
		t.Errorf("the replica's rules are not named: %s", complaints)
	}
}

// TestA13_AccessNotLookedAt: a directory that users cannot log in to says nothing about
// what they could see there, and a server that is down is not right.
func TestA13_AccessNotLookedAt(t *testing.T) {
	s := quick(t, mailtest.SlapdOptions{})
	replica := replicaOf(t, mailtest.SlapdOptions{})
	if err := s.Reconfigure(mailtest.Settings{"directory": {"read_uris": []string{s.Slapd.URI(), replica.URI()}}}); err != nil {
		t.Fatal(err)
	}
	replica.Shutdown()
	o := withCanary(t, quickOptions(t, s))
	r, complaints := examine(t, o)
	for _, id := range []string{"acl-anonymous", "acl-owner", "replica"} {
		if finding(r, id, doctor.OK, replica.URI()) || !has(r, id, doctor.Unchecked) {
			t.Errorf("%s: %s", id, complaints)
		}
	}
	if r.Status() == doctor.OK {
		t.Error("the report is ok")
	}
}
