// Package nginx tests the guide of the host where nginx and the webhook are:
// docs/guides/webmail.md.
package nginx

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/internal/mailtest"
)

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```")

// snippet is the code block of a language in a guide.
func snippet(t *testing.T, guide, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs/guides", guide))
	must(t, err)
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		if m[1] == language {
			return m[2]
		}
	}
	t.Fatalf("%s: no %s", guide, language)
	return ""
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// TestGuideWebhook: the configuration that two guides put together starts a
// webhook, which knows the key and answers by its public name, as the guide says.
func TestGuideWebhook(t *testing.T) {
	mailtest.Long(t)
	s := mailtest.New(t, mailtest.Options{WithoutPolicyserver: true})
	dir := s.Dir
	toml := strings.NewReplacer(
		"ldapi:///", s.Slapd.SocketURI(), "/etc/postern", dir, "/run/postern", dir, "/var/log/postern", dir,
	).Replace(snippet(t, "openldap.md", "toml") + snippet(t, "webmail.md", "toml") + "\n[keys]\ndirectory = \"" + s.Keys + "\"\n")
	write(t, s.Path, toml)
	const key = "as long as openssl rand makes it"
	write(t, filepath.Join(dir, "roundcube.key"), key+"\n")
	_, err := s.Posternctl(t.Context(), "keys", "new")
	must(t, err)
	s.WebhookSocket = filepath.Join(dir, "webhook.sock")
	binary, err := s.Binary(t.Context(), "webhook")
	must(t, err)
	out, err := exec.CommandContext(t.Context(), binary, "-config", s.Path, "-check").CombinedOutput()
	if err != nil {
		t.Fatalf("-check: %v: %s", err, out)
	}
	hook, err := mailtest.StartWebhook(t.Context(), binary, s.Config)
	must(t, err)
	t.Cleanup(hook.Kill)
	for _, tt := range []struct {
		url, key string
		want     int
	}{
		{"http://localhost/readyz", "", http.StatusOK},
		{"http://localhost/v1/openapi.yaml", "", http.StatusOK},
		{"http://localhost/v1/renew", "", http.StatusUnauthorized},
		{"http://localhost/v1/renew", key, http.StatusMethodNotAllowed},
		{"http://mail.example.test/2fa/", "", http.StatusNotFound},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.url, nil)
		must(t, err)
		req.Header.Set("X-API-Key", tt.key)
		res, err := hook.Client().Do(req)
		must(t, err)
		_ = res.Body.Close()
		if res.StatusCode != tt.want {
			t.Errorf("%s: %s", tt.url, res.Status)
		}
	}
}

// TestGuideNginx: nginx takes each block of nginx's configuration in a guide, with
// the files that it includes.
func TestGuideNginx(t *testing.T) {
	guides, err := filepath.Glob("../../docs/guides/*.md")
	must(t, err)
	taken := 0
	for _, guide := range guides {
		text, err := os.ReadFile(guide)
		must(t, err)
		for i, m := range fence.FindAllStringSubmatch(string(text), -1) {
			if m[1] == "nginx" {
				taken++
				t.Run(fmt.Sprintf("%s/%d", filepath.Base(guide), i), func(t *testing.T) { nginxTakes(t, m[2]) })
			}
		}
	}
	if taken < 3 {
		t.Errorf("only %d blocks were found", taken)
	}
}

func nginxTakes(t *testing.T, block string) {
	t.Helper()
	mailtest.Long(t)
	n, err := mailtest.PrepareNginx()
	must(t, err)
	t.Cleanup(n.Stop)
	own := strings.NewReplacer("/etc/nginx/", n.Dir+"/")
	snippets, err := filepath.Glob("*.conf")
	must(t, err)
	for _, name := range snippets {
		text, err := os.ReadFile(name)
		must(t, err)
		write(t, filepath.Join(n.Dir, "snippets", name), own.Replace(string(text)))
	}
	write(t, filepath.Join(n.Dir, "postern-basic.key"), "proxy_set_header X-API-Key \"0123\";\n")
	certificate := "ssl_certificate " + filepath.Join(n.Dir, "cert.pem") + "; ssl_certificate_key " + filepath.Join(n.Dir, "key.pem") + ";\n}\n"
	server := strings.TrimSuffix(strings.TrimSpace(block), "}") + certificate
	conf := filepath.Join(n.Dir, "nginx.conf")
	write(t, conf, "pid "+n.Dir+"/pid;\nevents {}\nhttp {\n"+server+"}\n")
	if out, err := exec.CommandContext(t.Context(), "/usr/sbin/nginx", "-t", "-c", conf, "-e", filepath.Join(n.Dir, "error.log")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
