package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/mailtest"
)

const (
	keyOfA     = "a-key-of-panel-a-1234567890"
	keyOfDesk  = "a-key-of-a-help-desk-1234567890"
	keyOfOther = "a-key-of-other-test-1234567890"
	keyOfRisk  = "a-key-that-may-bypass-1234567890"
)

// panels is a site with three hosting panels.
func panels(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	file := func(name, key string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(key+"\n"), 0o600))
		return path
	}
	client := func(name, key, domain, scope string) map[string]any {
		return map[string]any{"key_file": file(name, key), "domains": []string{domain}, "scope": scope}
	}
	far := client("far", "a-key-that-calls-from-far-1234567890", "example.test", "domain")
	far["networks"] = []string{"198.51.100.0/24"}
	risk := client("risk", keyOfRisk, "example.test", "domain")
	risk["bypass"] = true
	return inhabit(t, mailtest.New(t, mailtest.Options{Webmail: &mailtest.WebmailOptions{}, Settings: mailtest.Settings{
		"admin.clients.a": client("a", keyOfA, "example.test", "domain"), "admin.clients.desk": client("desk", keyOfDesk, "*", "helpdesk"),
		"admin.clients.other": client("other", keyOfOther, "other.test", "domain"), "admin.clients.far": far, "admin.clients.risk": risk,
	}}))
}

// panel calls a method of the administrators' API, whose answer must have the status.
func (w *world) panel(key string, status int, method string, f map[string]string) map[string]any {
	w.t.Helper()
	body, err := json.Marshal(f)
	must(w.t, err)
	a := w.raw(http.MethodPost, pathAdmin+method, string(body), "Authorization", "Bearer "+key)
	if a.Status != status {
		w.t.Fatalf("%s %s: %d %s, want %d", method, body, a.Status, a.Raw, status)
	}
	var all map[string]any
	must(w.t, json.Unmarshal(a.Raw, &all))
	return all
}

// FEATURES A5, A6, A7, E6 and ATTACKS 26, 27: what keys may.
func TestE6_HostingPanel(t *testing.T) {
	w := panels(t)
	user, _ := w.twoFactor()
	about := map[string]string{"user": user}
	with := func(more ...string) map[string]string {
		all := map[string]string{"user": user}
		for i := 0; i+1 < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		return all
	}
	w.panel(keyOfA, 400, "accounts", map[string]string{"domain": "example.test", "two_factor": "onn"})
	list := w.panel(keyOfA, 200, "accounts", map[string]string{"domain": "example.test", "two_factor": "on"})
	if list["found"] != 1.0 || !strings.Contains(string(mustJSON(t, list)), user) {
		t.Errorf("%v", list)
	}
	for method, f := range map[string]map[string]string{"account": about, "reset": about, "revoke-all": about,
		"accounts": {"domain": "example.test"}, "policy/show": {"level": "account", "name": user}} {
		w.panel(keyOfOther, 404, method, f)
		w.panel("a-key-of-nobody-1234567890", 401, method, f)
		w.panel("a-key-that-calls-from-far-1234567890", 401, method, f)
		w.panel(w.Key, 401, method, f)
	}
	w.panel(keyOfDesk, 403, "totp/code", with("reason", "asked"))
	w.panel(keyOfDesk, 403, "revoke-all", about)
	w.panel(keyOfA, 403, "policy/set", map[string]string{"level": "class", "name": "x", "key": "twofactor", "value": "off"})
	w.panel(keyOfA, 422, "totp/code", with("reason", " "))
	if code := w.panel(keyOfA, 200, "totp/code", with("reason", "telephone lost")); code["code"] == "" {
		t.Errorf("%v", code)
	}
	// No way in: neither a credential of one's own, nor the hook API with a panel's key.
	w.panel(keyOfA, 403, "totp/add", with("secret", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"))
	w.panel(keyOfA, 403, "app-password/create", with("name", "panel"))
	for _, method := range []string{"disable", "sign-in", "session", "ticket"} {
		w.panel(keyOfA, 404, method, about)
	}
	if a := w.raw(http.MethodPost, "/v1/login", `{}`, "Authorization", "Bearer "+keyOfA); a.Status != 401 {
		t.Errorf("the hook API takes a panel's key: %d", a.Status)
	}
	reset := w.panel(keyOfDesk, 200, "reset", about)
	if reset["token"] == nil {
		t.Errorf("%v", reset)
	}
	w.panel(keyOfA, 403, "totp/add", about)
	w.panel(keyOfA, 403, "app-password/create", with("name", "panel"))
	w.call("login", "denied", w.start(user).With("password", "wrong"))
	w.call("login", "enroll", w.start(user)) // needs the main password, and the token
	// An account without factors: a known secret lets nobody in without the main password.
	plain := w.user()
	w.panel(keyOfA, 200, "totp/add", map[string]string{"user": plain, "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"})
	w.call("login", "denied", w.start(plain).With("password", "wrong"))
}

// FEATURES A17: a key that may lets an account in for a while, which still needs the main
// password; others' keys do not.
func TestA17_PanelBypass(t *testing.T) {
	w := panels(t)
	user, _ := w.twoFactor()
	ask := map[string]string{"user": user, "for": "30m", "reason": "telephone lost"}
	w.panel(keyOfA, 403, "bypass", ask)
	w.panel(keyOfDesk, 403, "bypass", ask)
	w.panel(keyOfRisk, 404, "bypass", map[string]string{"user": "dave@other.test", "for": "30m", "reason": "telephone lost"})
	w.panel(keyOfRisk, 422, "bypass", map[string]string{"user": user, "for": "30m", "reason": " "})
	w.panel(keyOfRisk, 422, "bypass", map[string]string{"user": user, "for": "25h", "reason": "telephone lost"})
	w.panel(keyOfRisk, 400, "bypass", map[string]string{"user": user, "for": "long", "reason": "telephone lost"})
	w.panel(keyOfRisk, 409, "bypass", map[string]string{"user": w.user(), "for": "30m", "reason": "telephone lost"})
	w.call("login", "second_factor", w.start(user))
	if b := w.panel(keyOfRisk, 200, "bypass", ask); b["user"] != user || b["until"] == nil {
		t.Errorf("%v", b)
	}
	w.call("login", "denied", w.start(user).With("password", "wrong"))
	w.call("login", "granted", w.start(user))
}

// A help desk's key sees that credentials are used, but not from where.
func TestA5_HelpDeskSeesNoAddresses(t *testing.T) {
	w := panels(t)
	user, totp := w.twoFactor()
	w.signIn(user, totp)
	about := map[string]string{"user": user}
	if seen := string(mustJSON(t, w.panel(keyOfDesk, 200, "account", about))); strings.Contains(seen, addr) || !strings.Contains(seen, "last_used") {
		t.Errorf("a help desk sees %s", seen)
	}
	if seen := string(mustJSON(t, w.panel(keyOfA, 200, "account", about))); !strings.Contains(seen, addr) {
		t.Errorf("an administrator of the domain sees no address: %s", seen)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

// Every call is described.
func TestAdminDescription(t *testing.T) {
	for name := range panelMethods {
		if !strings.Contains(string(openAPI), "\n  "+pathAdmin+name+":\n") {
			t.Errorf("%s is not described", name)
		}
	}
}
