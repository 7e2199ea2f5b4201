package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// throttled is a site with the limits as they are shipped, and a directory that
// locks an account after five wrong binds.
func throttled(t *testing.T) *world {
	t.Helper()
	o := doors[0].options(t)
	o.Settings = nil
	o.Dovecot.Policy = true
	return fresh(t, o)
}

// TestAttack08_BindCap: strangers who guess a main password do not make the
// directory lock its owner out, who goes on from where the password was right
// before; app passwords go on everywhere.
func TestAttack08_BindCap(t *testing.T) {
	t.Parallel()
	w := throttled(t)
	user := w.user("main password")
	app := reveal(w.app(user).Password)
	const home = "198.51.100.7"
	if v := w.ask(user, "main password", "remote_ip", home); v.word != "granted" {
		t.Fatal(v)
	}
	before := w.binds(user)
	for i := range 40 {
		w.ask(user, fmt.Sprint("guess ", i), "remote_ip", fmt.Sprintf("203.0.113.%d", i))
	}
	if v := w.ask(user, "main password", "remote_ip", home); v.word != "granted" {
		t.Errorf("the owner at home: %v", v)
	}
	if got := w.binds(user) - before; got > 4 {
		t.Errorf("%d binds for 40 guesses; five wrong ones lock the account", got)
	}
	if v := w.ask(user, app, "remote_ip", "203.0.113.99"); v.word != "granted" {
		t.Errorf("an app password, from anywhere: %v", v)
	}
}

// TestAttack08_Spraying: one address that guesses at many accounts is slowed, then
// refused, with /verify and with the auth policy; its victims are not.
func TestAttack08_Spraying(t *testing.T) {
	t.Parallel()
	w := throttled(t)
	user := w.user("main password")
	const sprayer = "203.0.113.66"
	for i := range 60 {
		w.ask(fmt.Sprintf("victim%d@example.test", i), "Summer2026!", "remote_ip", sprayer)
	}
	m := w.now()
	if v := w.ask(user, "main password", "remote_ip", sprayer); v.word != "denied" {
		t.Errorf("the sprayer, with a right password at last: %v", v)
	}
	if e := w.last(m, user, effect.Login); e.Reason != string(login.Throttled) || e.Detail != "limit prefix" {
		t.Errorf("audit: %+v", e)
	}
	if a := w.allow(user, sprayer, "s1"); a.Status != -1 || !strings.Contains(a.Msg, "Too many") {
		t.Errorf("the auth policy to the sprayer: %+v", a)
	}
	if a := w.allow(user, "198.51.100.1", "s2"); a.Status != 0 {
		t.Errorf("the auth policy to others: %+v", a)
	}
	if v := w.ask(user, "main password", "remote_ip", "198.51.100.1"); v.word != "granted" {
		t.Errorf("the victim: %v", v)
	}
}

// TestAttack09_OldPasswordForDays: a phone with an old password does its address no
// harm, however often it tries.
func TestAttack09_OldPasswordForDays(t *testing.T) {
	t.Parallel()
	w := throttled(t)
	phone, neighbour := w.user("new password"), w.user("main password")
	const nat = "198.51.100.20"
	for range 200 {
		w.ask(phone, "old password", "remote_ip", nat)
	}
	began := time.Now()
	if v := w.ask(neighbour, "main password", "remote_ip", nat); v.word != "granted" || time.Since(began) > time.Second {
		t.Errorf("the neighbour: %v after %v", v, time.Since(began))
	}
	if a := w.allow(neighbour, nat, "s3"); a.Status != 0 {
		t.Errorf("the neighbour waits: %+v", a)
	}
	if v := w.ask(phone, "new password", "remote_ip", nat); v.word != "granted" {
		t.Errorf("the phone, with the new password at last: %v", v)
	}
}

// TestAttack17_RedisGone: with Redis gone the policyserver's own memory limits
// guessing, and logins go on.
func TestAttack17_RedisGone(t *testing.T) {
	t.Parallel()
	redis := mailtest.NewRedis(t)
	o := doors[0].options(t)
	o.Settings = mailtest.Settings{"throttle": {"redis_url": redis.URL()}}
	w := fresh(t, o)
	user := w.user("main password")
	for _, gone := range []bool{false, true} {
		if gone {
			redis.Kill()
		}
		address := map[bool]string{false: "203.0.113.1", true: "203.0.113.2"}[gone]
		w.want(mailclient.OK, user, "main password")
		for i := range 60 {
			w.ask(fmt.Sprintf("v%d@example.test", i), "x", "remote_ip", address)
		}
		if v := w.ask(user, "main password", "remote_ip", address); v.word != "denied" {
			t.Errorf("Redis gone %v: a sprayer got in: %v", gone, v)
		}
	}
	res, err := http.Get("http://" + w.Listen + "/metrics")
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	var b bytes.Buffer
	_, err = b.ReadFrom(res.Body)
	must(t, err)
	if !strings.Contains(b.String(), "postern_throttle_degraded 1") {
		t.Error("the loss is not in the metrics")
	}
	eventually(t, "the loss is in the log", func() bool { return strings.Contains(w.Policyserver.Log(), "edis") })
}

type policyAnswer struct {
	Status int
	Msg    string
}

// allow asks the auth policy's first question about a login.
func (w *world) allow(user, remote, session string) policyAnswer {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"login": user, "remote": remote, "session_id": session, "protocol": "imap", "mech": "PLAIN", "pwhash": "12345678", "tls": false})
	must(w.t, err)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, strings.TrimSuffix(w.URL(), "verify")+"?command=allow", bytes.NewReader(body))
	must(w.t, err)
	req.Header.Set("X-API-Key", w.Key)
	res, err := http.DefaultClient.Do(req)
	must(w.t, err)
	defer func() { _ = res.Body.Close() }()
	var a policyAnswer
	must(w.t, json.NewDecoder(res.Body).Decode(&a))
	return a
}
