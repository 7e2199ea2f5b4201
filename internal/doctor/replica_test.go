package doctor_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"postern/internal/doctor"
	"postern/internal/mailtest"
)

// doctorNow is the clock of most tests.
func doctorNow() time.Time { return time.Now() }

// replicaOf starts a second directory.
func replicaOf(t *testing.T, o mailtest.SlapdOptions) *mailtest.Slapd {
	t.Helper()
	replica, err := mailtest.StartSlapd(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(replica.Stop)
	return replica
}

// replicate makes the second a consumer of the site's directory (slapo-syncprov(5)).
func replicate(t *testing.T, s *mailtest.Site, replica *mailtest.Slapd) {
	t.Helper()
	ctx := context.Background()
	const overlay = "dn: cn=module{0},cn=config\nchangetype: modify\nadd: olcModuleLoad\nolcModuleLoad: syncprov\n\n" +
		"dn: olcOverlay=syncprov,olcDatabase={1}mdb,cn=config\nchangetype: add\nobjectClass: olcOverlayConfig\nobjectClass: olcSyncProvConfig\nolcOverlay: syncprov\n"
	consumer := "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nadd: olcSyncrepl\nolcSyncrepl: rid=001 provider=" + s.Slapd.URI() +
		" bindmethod=simple binddn=\"" + mailtest.RootDN + "\" credentials=" + mailtest.Password + " searchbase=\"" + mailtest.Base + "\" type=refreshAndPersist retry=\"1 +\"\n"
	if err := s.Slapd.Configure(ctx, overlay); err != nil {
		t.Fatal(err)
	}
	if err := replica.Configure(ctx, consumer); err != nil {
		t.Fatal(err)
	}
	mailtest.Eventually(t, "the replica has the site's entry", func() bool {
		_, err := replica.Dump("cn=site," + mailtest.PosternBase)
		return err == nil
	})
}

// TestA13_Replicas: one that follows at once, and one that does not (ldapstore has the late one);
// waiting for it is not taken for a clock that is off.
func TestA13_Replicas(t *testing.T) {
	mailtest.Long(t)
	s, replica := quick(t, mailtest.SlapdOptions{}), replicaOf(t, mailtest.SlapdOptions{})
	if err := s.Reconfigure(mailtest.Settings{"directory": {"read_uris": []string{s.Slapd.URI(), replica.URI()}}}); err != nil {
		t.Fatal(err)
	}
	replicate(t, s, replica)
	r, complaints := examine(t, quickOptions(t, s))
	if !finding(r, "replica", doctor.OK, s.Slapd.URI()) || finding(r, "replica", doctor.Wrong) || finding(r, "replica", doctor.Unchecked) {
		t.Errorf("at once: %s", complaints)
	}

	never := replicaOf(t, mailtest.SlapdOptions{})
	if err := s.Reconfigure(mailtest.Settings{"directory": {"read_uris": []string{s.Slapd.URI(), never.URI()}}}); err != nil {
		t.Fatal(err)
	}
	o := quickOptions(t, s)
	// As far off as may be; with the 10 s of waiting it would be too far.
	o.Now = func() time.Time { return time.Now().Add(8 * time.Second) }
	r, complaints = examine(t, o)
	if !finding(r, "replica", doctor.Wrong, never.URI(), "does not show a change within 10 s") {
		t.Errorf("never: %s", complaints)
	}
	if !finding(r, "clock", doctor.OK, "the directory") {
		t.Errorf("waiting was taken for the clock: %s", complaints)
	}
	noMarkerLeft(t, s)
}

func noMarkerLeft(t *testing.T, s *mailtest.Site) {
	t.Helper()
	e, err := s.Slapd.Dump("cn=site," + mailtest.PosternBase)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range e["posternKeyCheck"] {
		if strings.HasPrefix(string(v), "doctor ") {
			t.Errorf("a marker is left: %s", v)
		}
	}
}

// TestA13_MarkerLeft: what a run that was killed has left in the site's entry goes with the
// next one, which leaves other runs' alone.
func TestA13_MarkerLeft(t *testing.T) {
	s := quick(t, mailtest.SlapdOptions{})
	site := "cn=site," + mailtest.PosternBase
	e, err := s.Slapd.Dump(site)
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]string, 0, 8)
	for _, v := range e["posternKeyCheck"] {
		keys = append(keys, string(v))
	}
	young := "doctor " + time.Now().UTC().Format(time.RFC3339) + " YOUNG"
	left := append(keys[:len(keys):len(keys)], young, "doctor 2026-01-02T03:04:05Z OLD", "doctor OLDER")
	if err := s.Slapd.SetAttr(site, "posternKeyCheck", left...); err != nil {
		t.Fatal(err)
	}
	r, complaints := examine(t, quickOptions(t, s))
	if !has(r, "key-check", doctor.OK) || !has(r, "replica", doctor.OK) {
		t.Errorf("markers disturb: %s", complaints)
	}
	e, err = s.Slapd.Dump(site)
	if err != nil {
		t.Fatal(err)
	}
	var now []string
	for _, v := range e["posternKeyCheck"] {
		now = append(now, string(v))
	}
	if len(now) != len(keys)+1 || !strings.Contains(strings.Join(now, "\n"), young) {
		t.Errorf("left: %q", now)
	}
}

// TestA13_Clocks: a host whose clock is off is told, by the directory's clock and by the
// daemons'.
func TestA13_Clocks(t *testing.T) {
	s := quick(t, mailtest.SlapdOptions{})
	for _, off := range []time.Duration{0, time.Hour, -time.Minute} {
		o := quickOptions(t, s)
		o.Now = func() time.Time { return time.Now().Add(off) }
		r, complaints := examine(t, o)
		want := doctor.OK
		if off != 0 {
			want = doctor.Wrong
		}
		for _, whose := range []string{"the directory", "policyserver"} {
			if !finding(r, "clock", want, whose) {
				t.Errorf("%v off: %s: %s", off, whose, complaints)
			}
		}
	}
	noMarkerLeft(t, s)
}
