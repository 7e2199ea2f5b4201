package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/mailtest"
)

// verify asks the site's policyserver for a login, and returns the answer's first word.
func verify(t *testing.T, s *mailtest.Site, user, password string) string {
	t.Helper()
	form := url.Values{"user": {user}, "password": {password}, "service": {"imap"}, "remote_ip": {"192.0.2.7"}}.Encode()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL(), strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", s.Key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\t")
	return word
}

// enrolWithApp gives a user an authenticator and an app password, which it returns.
func enrolWithApp(t *testing.T, path, user string) string {
	t.Helper()
	if code, _, errs := commandOn(t, path, nil, "totp", "add", user); code != 0 {
		t.Fatal(errs)
	}
	code, o, errs := commandOn(t, path, nil, "app-password", "create", user, "--name", "phone")
	if code != 0 {
		t.Fatal(errs)
	}
	return o["password"].(string)
}

// mustRun calls posternctl, which must exit so.
func mustRun(t *testing.T, s *mailtest.Site, want int, args ...string) (map[string]any, string) {
	t.Helper()
	code, o, errs := commandOn(t, s.Path, nil, args...)
	if code != want {
		t.Fatalf("%v: exit code %d, want %d: %s", args, code, want, errs)
	}
	return o, errs
}

// TestKeysRotateWhileMailGoesOn: all steps of a rotation, beside a policyserver that lets
// its users in all the time, and through its restarts.
func TestKeysRotateWhileMailGoesOn(t *testing.T) {
	s := mailtest.New(t, mailtest.Options{})
	password := enrolWithApp(t, s.Path, "alice@example.test")
	enrolWithApp(t, s.Path, "bob@example.test")
	var (
		wg    sync.WaitGroup
		stop  = make(chan struct{})
		asked int
		wrong []string
	)
	watch := func() {
		stop = make(chan struct{})
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked++
				if got := verify(t, s, "alice@example.test", password); got != "granted" {
					wrong = append(wrong, got)
				}
			}
		})
	}
	pause := func() { close(stop); wg.Wait() }
	restart := func() {
		pause()
		if err := s.Policyserver.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		watch()
	}
	watch()

	mustRun(t, s, exitFailed, "keys", "rotate", "door", "--activate") // there is none yet
	o, _ := mustRun(t, s, exitDone, "keys", "rotate", "door")
	fresh := o["keys"].([]any)[0].(map[string]any)["id"]
	_, errs := mustRun(t, s, exitFailed, "keys", "rotate", "door")
	if !strings.Contains(errs, "waits in this file already") {
		t.Error(errs)
	}
	_, errs = mustRun(t, s, exitFailed, "keys", "rotate", "door", "--retire")
	if !strings.Contains(errs, "activate it first") && !strings.Contains(errs, "waits") {
		t.Error(errs)
	}
	restart()
	mustRun(t, s, exitDone, "keys", "rotate", "door", "--activate")
	mustRun(t, s, exitFailed, "keys", "rotate", "door", "--activate") // not back to the old one
	_, errs = mustRun(t, s, exitFailed, "keys", "rotate", "door", "--retire")
	if !strings.Contains(errs, "still sealed with door key") {
		t.Errorf("retired a key that is needed: %s", errs)
	}
	restart()
	mustRun(t, s, exitDone, "keys", "rotate", "door", "--reseal")
	o, _ = mustRun(t, s, exitDone, "keys", "rotate", "door", "--reseal")
	if o["done"] != 0.0 {
		t.Errorf("sealed anew twice: %v", o)
	}
	mustRun(t, s, exitDone, "keys", "rotate", "door", "--retire")
	restart()
	if got := verify(t, s, "alice@example.test", password); got != "granted" {
		t.Errorf("by the new key alone: %s", got)
	}
	pause()
	if len(wrong) > 0 || asked < 10 {
		t.Errorf("of %d logins %d were not let in: %q", asked, len(wrong), wrong[:min(3, len(wrong))])
	}
	text, err := os.ReadFile(filepath.Join(s.Keys, "door.key"))
	if err != nil || strings.Count(string(text), "postern-key-1") != 1 || !strings.Contains(string(text), fmt.Sprint(fresh)) {
		t.Errorf("the file does not hold the new key alone: %v", err)
	}
	audit, err := os.ReadFile(s.Audit)
	if err != nil || strings.Count(string(audit), `"keys_changed"`) != 4 {
		t.Errorf("keys_changed stands %d times in the audit log, %v", strings.Count(string(audit), `"keys_changed"`), err)
	}
}

// TestKeysRotateOthers: the factor key is kept while a user handle needs it, the ticket key
// for a day; a host with the retired key in front does not start.
func TestKeysRotateOthers(t *testing.T) {
	s := mailtest.New(t, mailtest.Options{WithoutPolicyserver: true})
	mustRun(t, s, exitDone, "keys", "new")
	enrolWithApp(t, s.Path, "alice@example.test")
	before, err := os.ReadFile(filepath.Join(s.Keys, "factor.key"))
	if err != nil {
		t.Fatal(err)
	}
	setHandle(t, s, "alice@example.test")
	mustRun(t, s, exitDone, "keys", "rotate", "factor")
	mustRun(t, s, exitDone, "keys", "rotate", "factor", "--activate")
	mustRun(t, s, exitDone, "keys", "rotate", "factor", "--reseal")
	_, errs := mustRun(t, s, exitFailed, "keys", "rotate", "factor", "--retire")
	if !strings.Contains(errs, "passkeys of 1 accounts") {
		t.Errorf("retired the key of a user handle: %s", errs)
	}
	mustRun(t, s, exitDone, "passkey", "remove", "alice@example.test", "pk")
	mustRun(t, s, exitDone, "keys", "rotate", "factor", "--retire")
	mustRun(t, s, exitDone, "totp", "code", "alice@example.test")
	if err := os.WriteFile(filepath.Join(s.Keys, "factor.key"), before, 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs = mustRun(t, s, exitFailed, "totp", "code", "alice@example.test")
	if !strings.Contains(errs, "factor key") {
		t.Errorf("a host with the retired key: %s", errs)
	}
}

func TestKeysRotateTickets(t *testing.T) {
	s := mailtest.New(t, mailtest.Options{WithoutPolicyserver: true})
	mustRun(t, s, exitDone, "keys", "new")
	publics := func() int {
		b, err := os.ReadFile(filepath.Join(s.Keys, "ticket.pub"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(b), "postern-public-1")
	}
	mustRun(t, s, exitDone, "keys", "rotate", "ticket")
	if publics() != 2 {
		t.Error("mail hosts would not know the new key")
	}
	mustRun(t, s, exitDone, "keys", "rotate", "ticket", "--activate")
	_, errs := mustRun(t, s, exitFailed, "keys", "rotate", "ticket", "--retire")
	if !strings.Contains(errs, "less than 24h") || publics() != 2 {
		t.Errorf("retired at once: %s", errs)
	}
	past := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(filepath.Join(s.Keys, "ticket.key"), past, past); err != nil {
		t.Fatal(err)
	}
	mustRun(t, s, exitDone, "keys", "rotate", "ticket", "--retire")
	if publics() != 1 {
		t.Error("the old public key is still there")
	}
}

// setHandle gives an account a passkey with a user handle, as webmail's enrolment does.
func setHandle(t *testing.T, s *mailtest.Site, user string) {
	t.Helper()
	cfg, err := app.Load(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	store, ring, err := cfg.OpenStore(allRoles...)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	a, err := store.Find(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	state := a.State.Clone()
	if state.Handle, err = ring.NewHandle(a.ID); err != nil {
		t.Fatal(err)
	}
	edits, err := a.StateEdit(state, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	passkey := account.Record{Kind: account.KindPasskey, ID: "pk", Name: "key", Created: time.Now(), Body: []byte{0xa0}}
	if err := store.Apply(t.Context(), a, append(edits, account.Edit{Now: &passkey})...); err != nil {
		t.Fatal(err)
	}
}

// TestKeysRebind: a directory was loaded anew, its entries have other keys: nobody is let
// in until the records are bound to these, by a mapping or by an LDIF, and then all are as
// before. What is in doubt is refused as a whole.
func TestKeysRebind(t *testing.T) {
	for _, layout := range []string{"entry", "subtree"} {
		t.Run(layout, func(t *testing.T) {
			s := mailtest.New(t, mailtest.Options{WithoutPolicyserver: true, Settings: mailtest.Settings{
				"directory": {"layout": layout, "id_attribute": "employeeNumber"}}})
			users := []string{"alice@example.test", "bob@example.test", "carol@example.test"}
			rekey := func(prefix string) {
				for _, u := range users {
					must(t, s.Slapd.SetAttr(u, "employeeNumber", prefix+u[:3]))
				}
			}
			rekey("old-")
			mustRun(t, s, exitDone, "keys", "new")
			enrolWithApp(t, s.Path, users[0])
			enrolWithApp(t, s.Path, users[1])
			mustRun(t, s, exitDone, "policy", "set", "user", users[0], "totp_tolerance=2")
			rekey("new-")
			if layout == "entry" {
				mustRun(t, s, exitFailed, "totp", "code", users[0])
			}

			file := func(name, text string) string {
				path := filepath.Join(t.TempDir(), name)
				must(t, os.WriteFile(path, []byte(text), 0o600))
				return path
			}
			for name, text := range map[string]string{
				"one old key twice":    "old-ali,new-ali\nold-ali,new-bob\n",
				"the wrong account":    "old-ali,new-bob\nold-bob,new-ali\n",
				"an unknown new key":   "old-ali,new-nobody\n",
				"another's key of now": "new-bob,new-ali\n",
			} {
				if name == "the wrong account" && layout == "subtree" {
					continue // nothing but the mapping says whose they were
				}
				_, errs := mustRun(t, s, exitFailed, "keys", "rebind", "--map", file("map", text), "--confirm", "2")
				if !strings.Contains(errs, "lines in doubt") || !strings.Contains(errs, "nothing was changed") {
					t.Errorf("%s: %s", name, errs)
				}
			}

			mapping := file("map", "# old, new\nold-ali,new-ali\n")
			o, _ := mustRun(t, s, exitFailed, "keys", "rebind", "--map", mapping, "--confirm", "2")
			if o != nil {
				t.Error("changed without the right number")
			}
			mustRun(t, s, exitDone, "keys", "rebind", "--map", mapping, "--confirm", "1")
			mustRun(t, s, exitDone, "totp", "code", users[0])
			o, _ = mustRun(t, s, exitDone, "policy", "show", users[0])
			if !strings.Contains(fmt.Sprint(o), "totp_tolerance") {
				t.Error("its policy is gone")
			}
			_, errs := mustRun(t, s, exitFailed, "keys", "rebind", "--map", mapping, "--confirm", "1")
			if !strings.Contains(errs, "nothing to do") {
				t.Errorf("again: %s", errs)
			}

			// The LDIF has one that is done, one to do, one without records, and strangers.
			ldif := "dn: uid=alice\nemployeeNumber: old-ali\nmail: alice@example.test\n\n" +
				"dn: uid=bob\nemployeeNumber: old-\n bob\nmail:: Ym9iQGV4YW1wbGUudGVzdA==\n\n" +
				"dn: uid=carol\nemployeeNumber: old-car\nmail: carol@example.test\n\n" +
				"dn: uid=gone\nemployeeNumber: old-gone\nmail: gone@example.test\n\ndn: ou=people\nou: people\n"
			o, _ = mustRun(t, s, exitDone, "keys", "rebind", "--ldif", file("ldif", ldif), "--dry-run")
			if list := o["accounts"].([]any); len(list) != 1 || list[0].(map[string]any)["user"] != users[1] {
				t.Errorf("a look at the LDIF: %v", o)
			}
			mustRun(t, s, exitDone, "keys", "rebind", "--ldif", file("ldif", ldif), "--confirm", "1")
			mustRun(t, s, exitDone, "totp", "code", users[1])
			audit, err := os.ReadFile(s.Audit)
			if err != nil || strings.Count(string(audit), `"rebound"`) != 2 {
				t.Errorf("audit: %v\n%s", err, audit)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
