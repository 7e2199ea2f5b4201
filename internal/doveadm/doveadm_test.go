package doveadm_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"postern/internal/account"
	"postern/internal/doveadm"
	"postern/internal/effect"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// What the versions list, cut down to what matters.
const (
	lists23 = `[{"command":"kick", "parameters":[{"name":"mask","type":"array"}]},{"command":"authCacheFlush", "parameters":[{"name":"user","type":"array"}]}]`
	lists24 = `[{"command":"kick","parameters":[{"name":"passdbField","type":"string"},{"name":"mask","type":"array"}]},{"command":"authCacheFlush","parameters":[{"name":"user","type":"array"}]}]`
	listsTo = `[{"command":"kick","parameters":[{"name":"passdbField"},{"name":"mask"}]},{"command":"authCacheFlush","parameters":[{"name":"userMask"}]}]`
)

// fakeDoveadm lists commands and answers every POST alike; it notes what was asked.
func fakeDoveadm(t *testing.T, list, answer string, asked *string) *doveadm.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "X-Dovecot-API a2V5" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, list)
			return
		}
		b, _ := io.ReadAll(r.Body)
		*asked = string(b)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return doveadm.New(doveadm.Config{URL: s.URL, Key: account.SecretString("key"), ByCredential: true})
}

func TestCalls(t *testing.T) {
	const flushed = `["doveadmResponse",[{"entries":"1"}],"1"]`
	for name, c := range map[string]struct {
		list, answer, user, credential string
		asked, said                    string // said: of Kicked, or part of an error
	}{
		"2.3":              {lists23, `[["doveadmResponse",[{"result":"bob"}],"0"],` + flushed + `]`, "bob", "app:1", `[["kick",{"mask":["bob"]},"0"],["authCacheFlush",{"user":["bob"]},"1"]]`, "all sessions"},
		"2.3, nobody":      {lists23, `[["error",{"type":"exitCode", "exitCode":68},"0"],` + flushed + `]`, "bob", "", `[["kick",{"mask":["bob"]},"0"],["authCacheFlush",{"user":["bob"]},"1"]]`, "no session"},
		"2.3, two rows":    {lists23, `[["doveadmResponse",[{"result":"bob"}],{"result":"Bob"},"0"],` + flushed + `]`, "bob", "", `[["kick",{"mask":["bob"]},"0"],["authCacheFlush",{"user":["bob"]},"1"]]`, "all sessions"},
		"2.4, credential":  {lists24, `[["doveadmResponse",[{"count":"2"}],"0"]]`, "bob", "app:1", `[["kick",{"mask":["id/app:1"],"passdbField":"user_cred"},"0"]]`, "2 sessions"},
		"2.4, user":        {lists24, `[["doveadmResponse",[{"count":"1"}],"0"]]`, "bob", "", `[["kick",{"mask":["bob"]},"0"]]`, "1 session"},
		"later 2.4":        {listsTo, `[["doveadmResponse",[{"count":"0"}],"0"],` + flushed + `]`, "bob", "", `[["kick",{"mask":["bob"]},"0"],["authCacheFlush",{"userMask":["bob"]},"1"]]`, "no session"},
		"capitals":         {lists24, `[["doveadmResponse",[{"count":"1"}],"0"],["doveadmResponse",[{"count":"1"}],"1"]]`, "Bob", "", `[["kick",{"mask":["Bob"]},"0"],["kick",{"mask":["bob"]},"1"]]`, "2 sessions"},
		"a pattern":        {lists24, "", "*@example.test", "", "", "none of its login names"},
		"another pattern":  {lists24, "", "b?b", "", "", "none of its login names"},
		"an address":       {lists23, "", "192.0.2.7", "", "", "none of its login names"},
		"a network":        {lists23, "", "2001:db8::/32", "", "", "none of its login names"},
		"other error":      {lists24, `[["error",{"type":"exitCode","exitCode":75},"0"]]`, "bob", "", `[["kick",{"mask":["bob"]},"0"]]`, "exitCode 75"},
		"unknown command":  {lists24, `[["error",{"type":"unknownMethod","exitCode":0},"0"]]`, "bob", "", `[["kick",{"mask":["bob"]},"0"]]`, "unknownMethod"},
		"wrong tag":        {lists24, `[["doveadmResponse",[],"1"]]`, "bob", "", `[["kick",{"mask":["bob"]},"0"]]`, "does not have"},
		"no answer":        {lists24, `[]`, "bob", "", `[["kick",{"mask":["bob"]},"0"]]`, "0 answers to 1 commands"},
		"no JSON":          {lists24, `<html>`, "bob", "", `[["kick",{"mask":["bob"]},"0"]]`, "does not have"},
		"not even a list":  {"[", "", "bob", "", "", "does not have"},
		"strange contents": {lists24, `[["doveadmResponse",7,"0"]]`, "bob", "", `[["kick",{"mask":["bob"]},"0"]]`, "does not have"},
	} {
		var asked string
		d := fakeDoveadm(t, c.list, c.answer, &asked)
		k, err := d.Kick(t.Context(), &effect.Ending{User: c.user, Account: "id", Names: []string{c.user}, Credential: c.credential})
		said := k.String()
		if err != nil {
			said = err.Error()
		}
		if asked != c.asked || !strings.Contains(said, c.said) {
			t.Errorf("%s: asked %s\nsaid %s", name, asked, said)
		}
	}
}

func TestFailures(t *testing.T) {
	e := &effect.Ending{User: "bob", Names: []string{"bob"}}
	s := httptest.NewServer(http.RedirectHandler("http://192.0.2.1/", http.StatusFound))
	defer s.Close()
	redirected := doveadm.New(doveadm.Config{URL: s.URL, Key: account.SecretString("key")})
	if _, err := redirected.Kick(t.Context(), e); err == nil || !strings.Contains(err.Error(), "302") {
		t.Errorf("a redirection was followed, with the key: %v", err)
	}
	var asked string
	fake := fakeDoveadm(t, lists24, "", &asked)
	wrong := doveadm.New(doveadm.Config{URL: fake.Host(), Key: account.SecretString("wrong")})
	if _, err := wrong.Kick(t.Context(), e); err == nil || !strings.Contains(err.Error(), "doveadm_api_key") {
		t.Errorf("wrong key: %v", err)
	}
}

// TestVersions asks the real ones.
func TestVersions(t *testing.T) {
	passdb := map[mailtest.Version]string{
		mailtest.V23: "passdb {\n driver = static\n args = password=secret userdb_user_cred=%u/main\n}\n",
		mailtest.V24: "passdb static {\n static_password = secret\n fields {\n userdb_user_cred = %{user}/main\n }\n}\n",
	}
	for _, v := range []mailtest.Version{mailtest.V23, mailtest.V24} {
		t.Run(string(v), func(t *testing.T) {
			d := mailtest.NewDovecot(t, mailtest.DovecotOptions{Version: v, Passdb: passdb[v], Extra: "auth_cache_size = 1M\n"})
			admin := client(d)
			kick := func(credential string, names ...string) effect.Kicked {
				t.Helper()
				k, err := admin.Kick(t.Context(), &effect.Ending{User: names[0], Account: account.ID(names[0]), Names: names, Credential: credential})
				if err != nil {
					t.Error(err)
				}
				return k
			}
			login := func(user string) *mailclient.Conn {
				t.Helper()
				r, err := mailclient.Login(t.Context(), mailclient.Target{Service: mailclient.IMAP, Addr: fmt.Sprintf("127.0.0.1:%d", d.IMAP)},
					mailclient.MechPlain, user, "secret")
				if err != nil || r.Outcome != mailclient.OK {
					t.Fatal(r.Text, err)
				}
				t.Cleanup(func() { _ = r.Conn.Close() })
				return r.Conn
			}
			if k := kick("", "nobody@example.test"); k.N != 0 {
				t.Errorf("nobody: %v", k)
			}
			one, two := login("eve@example.test"), login("12345") // which is no address
			if k := kick("", "Eve@Example.test", "nobody@example.test"); k.N < 1 {
				t.Errorf("eve: %v", k)
			}
			ended(t, one)
			if _, err := two.Command(t.Context(), "NOOP"); err != nil {
				t.Errorf("another user's session has ended: %v", err)
			}
			if k := kick("main", "12345"); k.N != 1 {
				t.Errorf("by credential: %v", k)
			}
			ended(t, two)
			if log := d.Log(); strings.Contains(log, "Panic") || strings.Contains(log, "Fatal") {
				t.Errorf("doveadm has crashed:\n%s", log)
			}
		})
	}
}

// ended reads until the server hangs up.
func ended(t *testing.T, c *mailclient.Conn) {
	t.Helper()
	for {
		if _, err := c.ReadLine(t.Context()); err != nil {
			return
		}
	}
}

// luaPassdb lets everybody in with one password. Dovecot 2.3 caches what it says.
const luaPassdb = `function auth_password_verify(req, pass)
  return dovecot.auth.PASSDB_RESULT_OK, { password = "secret" }
end
function script_init() return 0 end
function script_deinit() end
`

// TestFlush: what 2.3 has cached of a user is gone after the kick.
func TestFlush(t *testing.T) {
	mailtest.Long(t)
	d, err := mailtest.PrepareDovecot(t.Context(), mailtest.V23)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	if err := os.WriteFile(d.Dir+"/test.lua", []byte(luaPassdb), 0o644); err != nil {
		t.Fatal(err)
	}
	o := mailtest.DovecotOptions{Passdb: "passdb {\n driver = lua\n args = file=@DIR@/test.lua cache_key=%u\n}\n", Extra: "auth_cache_size = 1M\n"}
	if err := d.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	user := "eve@example.test"
	login := func() {
		t.Helper()
		r, err := mailclient.Login(t.Context(), mailclient.Target{Service: mailclient.IMAP, Addr: fmt.Sprintf("127.0.0.1:%d", d.IMAP)},
			mailclient.MechPlain, user, "secret")
		if err != nil || r.Outcome != mailclient.OK {
			t.Fatal(r.Text, err, d.Log())
		}
		_ = r.Conn.Close()
	}
	flushed := func() string {
		t.Helper()
		out, err := d.Doveadm(t.Context(), "auth", "cache", "flush", user)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	login()
	if got := flushed(); got != "1 cache entries flushed" {
		t.Fatalf("nothing was cached: %s", got)
	}
	login()
	if _, err := client(d).Kick(t.Context(), &effect.Ending{User: user, Names: []string{user}}); err != nil {
		t.Error(err)
	}
	if got := flushed(); got != "0 cache entries flushed" {
		t.Errorf("after the kick: %s", got)
	}
}

// client is one for a running Dovecot.
func client(d *mailtest.Dovecot) *doveadm.Client {
	return doveadm.New(doveadm.Config{URL: fmt.Sprintf("http://127.0.0.1:%d/doveadm/v1", d.DoveadmHTTP),
		Key: account.SecretString(mailtest.DoveadmPassword), ByCredential: true})
}
