package main

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/internal/mailtest"
)

// example is what docs/hook-api.md shows of a terminal: a file, and a command about it.
var example = regexp.MustCompile("(?s)```\n\\$ cat (\\w+)\n(.*?)\n\\$ (curl .*?)\n(\\{.*?)\n```")

// The documents' own example works as it stands there, but for names and addresses.
func TestExampleOfTheDocuments(t *testing.T) {
	w := shared(t)
	text, err := os.ReadFile("../docs/hook-api.md")
	must(t, err)
	m := example.FindStringSubmatch(string(text))
	if m == nil {
		t.Fatal("docs/hook-api.md shows no example")
	}
	user, _ := w.twoFactor()
	here := strings.NewReplacer("alice@example.test", user, "…", mailtest.Password,
		"https://mail.example.test/", w.Webmail.URL, "/run/postern/webhook.sock", w.Webmail.Webhook().Socket)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, m[1]), []byte(here.Replace(m[2])), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "key"), []byte("X-API-Key: "+w.Key+"\n"), 0o600))
	curl := exec.CommandContext(t.Context(), "sh", "-c", here.Replace(m[3])+" --silent --show-error")
	curl.Dir = dir
	out, err := curl.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", curl, err, out)
	}
	for _, answer := range []string{string(out), m[4]} {
		if !strings.HasPrefix(answer, `{"result":"second_factor","transaction":"`) {
			t.Errorf("%s", answer)
		}
	}
	u, err := url.Parse(w.Webmail.PublicURL)
	must(t, err)
	if !strings.Contains(m[4], "https://mail.example.test"+u.Path) {
		t.Errorf("the example's page is elsewhere: %s", m[4])
	}
}

// Every method and field that the documents name is one.
func TestMethodsOfTheDocuments(t *testing.T) {
	text, err := os.ReadFile("../docs/hook-api.md")
	must(t, err)
	for _, m := range regexp.MustCompile("/v1/[a-z.]+[a-z]").FindAllString(string(text), -1) {
		if _, ok := methods[m]; !ok && m != "/v1/openapi.yaml" {
			t.Errorf("there is no %s", m)
		}
	}
	for path := range methods {
		if !strings.Contains(string(text), "`"+path+"`") {
			t.Errorf("docs/hook-api.md says nothing about %s", path)
		}
	}
}
