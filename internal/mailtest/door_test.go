package mailtest

import (
	"context"
	"strings"
	"testing"
)

// doorScript decides by the user's name alone, so that what is tested is what
// Dovecot does with each answer in each of contrib's snippets.
const doorScript = `
function auth_password_verify(req, password)
  if req.user:match("^down") then return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "" end
  if req.user:match("^next") then return dovecot.auth.PASSDB_RESULT_NEXT, "" end
  if req.user:match("^granted") and password == "app" then return dovecot.auth.PASSDB_RESULT_OK, {cred_id = "c1"} end
  return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, ""
end
function auth_passdb_lookup(req)
  return dovecot.auth.PASSDB_RESULT_NEXT, ""
end
`

// siteUsers is the passdb of a site that keeps its own: everybody's main password
// is "main".
const siteUsers = "granted@example.test:{PLAIN}main\nnext@example.test:{PLAIN}main\n" +
	"denied@example.test:{PLAIN}main\ndown@example.test:{PLAIN}main\n"

// TestDoorSnippets shows for every Lua snippet who gets in when the door says
// granted, denied, next or unavailable and the site's passdb knows the password.
func TestDoorSnippets(t *testing.T) {
	for _, v := range []Version{V23, V24} {
		for _, snippet := range []string{"lua", "lua-own-passdb", "lua-fields"} {
			t.Run(string(v)+"-"+snippet, func(t *testing.T) {
				t.Parallel()
				o := DovecotOptions{Version: v, Door: string(v) + "-" + snippet + ".conf", Script: doorScript, Debug: true}
				if snippet != "lua" {
					o.Passdb = passwdFile[v]
				}
				d := startWithUsers(t, o, siteUsers)
				next, wrong := "a OK", "a NO [AUTHENTICATIONFAILED]"
				if snippet == "lua" {
					next, wrong = "a NO [UNAVAILABLE]", "a NO [UNAVAILABLE]" // nobody is left to ask
				}
				for login, want := range map[string]string{
					"granted@example.test app":  "a OK",
					"granted@example.test main": "a NO [AUTHENTICATIONFAILED]",
					"denied@example.test main":  "a NO [AUTHENTICATIONFAILED]",
					"down@example.test main":    "a NO [UNAVAILABLE]",
					"next@example.test main":    next,
					"next@example.test wrong":   wrong,
				} {
					if got := answer(t, d, login); !strings.HasPrefix(got, want) {
						t.Errorf("%s: %q, want %q", login, got, want)
					}
				}
				if t.Failed() {
					t.Log(d.Log())
				}
			})
		}
	}
}

// answer is the end of an IMAP login, without capabilities sent unasked.
func answer(t *testing.T, d *Dovecot, login string) string {
	t.Helper()
	return ask(t, d.IMAP, "a LOGIN "+login, "a ")
}

// startWithUsers starts a Dovecot in whose directory there is a file of users.
func startWithUsers(t *testing.T, o DovecotOptions, users string) *Dovecot {
	t.Helper()
	Long(t)
	d, err := PrepareDovecot(context.Background(), o.Version)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	if err := writeFiles(d.Dir, map[string]string{"users": users}); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	return d
}
