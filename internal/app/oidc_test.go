package app

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each mistake in a client of the OpenID provider is found when the configuration is
// loaded, and only that.
func TestOIDCProblems(t *testing.T) {
	const uri = "https://app.example.test/back"
	good := OIDCClient{RedirectURIs: []string{uri, "http://localhost:8080/x?y=z", "http://127.0.0.1/"}, PostLogoutRedirectURIs: []string{uri},
		PasswordClaim: "postern_ticket", AccessToken: AccessTicket}
	problems := func(id string, c OIDCClient) problemList {
		var ps problemList
		o := OIDC{Clients: map[string]OIDCClient{id: c}}
		o.problems(&ps, map[string]HookClient{"roundcube": {}})
		return ps
	}
	if ps := problems("app-1_x.y", good); len(ps) != 0 {
		t.Errorf("a right one: %q", ps)
	}
	for _, id := range []string{"", "a b", "ä", strings.Repeat("a", 65), "roundcube"} {
		if ps := problems(id, good); len(ps) != 1 || !strings.HasPrefix(ps[0].Error(), "oidc.clients."+id+":") {
			t.Errorf("id %q: %q", id, ps)
		}
	}
	for key, change := range map[string]func(*OIDCClient, string){
		"redirect_uris":             func(c *OIDCClient, v string) { c.RedirectURIs = []string{v} },
		"post_logout_redirect_uris": func(c *OIDCClient, v string) { c.PostLogoutRedirectURIs = []string{v} },
	} {
		for _, v := range []string{"", "/back", "http://app.example.test/", "javascript:alert(1)", "https://", uri + "#x", "https://u@app.example.test/",
			"https://app.example.test/ x", "https://app.example.test/\r\nX: y", "https://app.example.test/ä", "https://app.example.test/" + strings.Repeat("x", 512),
			"http://localhost.example.test/", "org.example.app:/back"} {
			c := good
			change(&c, v)
			if ps := problems("app", c); len(ps) != 1 || !strings.HasPrefix(ps[0].Error(), "oidc.clients.app."+key) {
				t.Errorf("%s %q: %q", key, v, ps)
			}
		}
	}
	for _, claim := range []string{"sub", "aud", "email", "sid", "nonce", "a b", "ä", strings.Repeat("a", 65)} {
		c := good
		c.PasswordClaim = claim
		if ps := problems("app", c); len(ps) != 1 || !strings.Contains(ps[0].Error(), "password_claim") {
			t.Errorf("password_claim %q: %q", claim, ps)
		}
	}
	c := good
	c.RedirectURIs, c.AccessToken = nil, "jwt"
	if ps := problems("app", c); len(ps) != 2 {
		t.Errorf("no address, and tokens of another kind: %q", ps)
	}
}

// A client with a secret file has that secret; one without is public; a file that
// cannot be read, is short or for everybody is an error, never a public client.
func TestOIDCSecrets(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c := Default()
	clients := func(secret string) (string, error) {
		c.OIDC.Clients = map[string]OIDCClient{"app": {SecretFile: secret, RedirectURIs: []string{"https://app.example.test/"}}}
		list, err := c.OIDCClients()
		if err != nil {
			return "", err
		}
		switch {
		case list[0].Public:
			return "public", nil
		case list[0].Secret == sha256.Sum256([]byte("a secret of the application")):
			return "secret", nil
		}
		return "another", nil
	}
	if got, err := clients(""); got != "public" || err != nil {
		t.Errorf("without a file: %s %v", got, err)
	}
	if got, err := clients(file("right", "a secret of the application\n", 0o600)); got != "secret" || err != nil {
		t.Errorf("with a file: %s %v", got, err)
	}
	for what, path := range map[string]string{"missing": filepath.Join(dir, "none"), "empty": file("empty", "", 0o600),
		"short": file("short", "short\n", 0o600), "for everybody": file("open", "a secret of the application\n", 0o644)} {
		if got, err := clients(path); err == nil || !strings.Contains(err.Error(), "oidc.clients.app.secret_file") {
			t.Errorf("%s: %s %v", what, got, err)
		}
	}
}
