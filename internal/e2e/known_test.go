package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// Where the owner's programs are, and where a thief of the password is.
const (
	atHome, atHomeToo, thief = "203.0.113.77", "203.0.113.9", "198.51.100.66"
	mainWord                 = "main password"
)

// TestE13_KnownDevices: for the days of the policy, mail programs go on with the main
// password after two-factor login was switched on, at the services and from the networks
// where they used it before; nothing else does, on any service, and it ends with the days,
// a change of the password, or a reset.
func TestE13_KnownDevices(t *testing.T) {
	mailtest.Long(t)
	t.Parallel()
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := d.options(t)
			o.Dovecot.Policy = true
			o.Dovecot.Extra = "login_trusted_networks = 127.0.0.0/8\n"
			o.Settings["policy"] = map[string]any{"known_device_days": 14}
			w := fresh(t, o)
			user, changed, reset, over, late := w.moving(0), w.moving(0), w.moving(0), w.moving(14), w.moving(13)

			w.wantFrom(user, "imap", atHomeToo, login.KnownDevice)
			w.wantFrom(user, "sieve", atHome, login.KnownDevice)
			for _, service := range []string{"imap", "pop3", "sieve", "submission", "smtp"} {
				w.wantFrom(user, service, thief, login.AppPasswordRequired)
			}
			for _, service := range []string{"pop3", "submission", "smtp"} {
				w.wantFrom(user, service, atHome, login.AppPasswordRequired)
			}
			if r := w.forwarding(elsewhere, atHomeToo, user, mainWord); r.Outcome != mailclient.OK {
				t.Errorf("IMAP from home: %s", r.Text)
			}
			if r := w.forwarding(elsewhere, thief, user, mainWord); r.Outcome == mailclient.OK {
				t.Error("IMAP: the thief is in")
			}
			if r := w.forwarding("127.0.0.1", atHome, user, mainWord); r.Outcome == mailclient.OK {
				t.Error("IMAP: a webmail that asks for no code is in")
			}
			w.nowhere(user, mainWord) // by way of no address but this host's
			w.tellsKnown(user)

			w.wantFrom(late, "imap", atHome, login.KnownDevice)
			w.wantFrom(over, "imap", atHome, login.AppPasswordRequired)
			must(t, w.Slapd.SetAttr(changed, "userPassword", mailtest.SSHA(mainWord)))
			w.wantFrom(changed, "imap", atHome, login.AppPasswordRequired)
			w.ctl("user", "reset", reset)
			w.wantFrom(reset, "imap", atHome, login.AppPasswordRequired)
			w.policy("set", "user", user, "known_device_days=0")
			w.wantFrom(user, "imap", atHome, login.AppPasswordRequired)
		})
	}
}

// moving makes a user with two programs at home, who switched two-factor login on some
// days ago.
func (w *world) moving(days int) string {
	w.t.Helper()
	user := w.user(mainWord)
	eventually(w.t, "both programs are known", func() bool { // not in the second of the password's change
		if r := w.forwarding(elsewhere, atHome, user, mainWord); r.Outcome != mailclient.OK {
			w.t.Fatalf("before: %s", r.Text)
		}
		w.wantFrom(user, "sieve", atHome, "")
		return strings.Count(w.ctlOut("--json", "user", "export", user), `"network"`) == 2
	})
	past := *w
	then := *w.desk
	then.Now = func() time.Time { return time.Now().AddDate(0, 0, -days) }
	past.desk = &then
	return past.twoFactor(user)
}

func (w *world) ctlOut(args ...string) string {
	w.t.Helper()
	out, err := w.Posternctl(w.t.Context(), args...)
	must(w.t, err)
	return out
}

// wantFrom has Dovecot check the main password, for a service and from an address.
func (w *world) wantFrom(user, service, from string, want login.Reason) {
	w.t.Helper()
	m := w.now()
	out, err := w.Dovecot.Doveadm(w.t.Context(), "auth", "test", "-x", "service="+service, "-x", "rip="+from, user, mainWord)
	in := want == "" || want == login.KnownDevice
	if (err == nil) != in {
		w.t.Errorf("%s from %s: %v %s", service, from, err, out)
	}
	// What was refused a moment ago, the auth policy refuses by itself.
	var got []effect.Event
	for _, e := range w.since(m, user) {
		if e.Action == effect.Login || e.Action == effect.Policy {
			got = append(got, e)
		}
	}
	if len(got) != 1 || got[0].Reason != string(want) || got[0].Service != account.ParseService(service) || got[0].Client.String() != from {
		w.t.Errorf("%s from %s: audited %+v, want %q", service, from, got, want)
	}
}

// tellsKnown: what an administrator asks names the user, until when, and from where.
func (w *world) tellsKnown(user string) {
	w.t.Helper()
	var r struct {
		Known []struct {
			User    string
			Until   time.Time
			Devices []struct{ Service, Network string }
		} `json:"known_devices"`
	}
	must(w.t, json.Unmarshal([]byte(w.ctlOut("--json", "report", "main-password")), &r))
	found := false
	for _, k := range r.Known {
		left := time.Until(k.Until)
		found = found || k.User == user && len(k.Devices) == 2 && left > 13*24*time.Hour && left <= 14*24*time.Hour
	}
	if !found {
		w.t.Errorf("the report: %+v", r)
	}
	if out := w.ctlOut("user", "show", user); !strings.Contains(out, "203.0.113.0/24") {
		w.t.Errorf("user show says\n%s", out)
	}
	// It fails where it finds no refusal, and says what holds all the same.
	out, _ := w.Posternctl(w.t.Context(), "explain", user, "--service", "imap", "--from", atHomeToo)
	if !strings.Contains(out, "let in: known_device") || !strings.Contains(out, "imap from 203.0.113.0/24") {
		w.t.Errorf("explain says\n%s", out)
	}
	if out := w.ctlOut("policy", "show", "user", user); !strings.Contains(out, "known_device_days") {
		w.t.Errorf("policy show says\n%s", out)
	}
}
