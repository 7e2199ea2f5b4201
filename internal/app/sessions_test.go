package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/app"
)

// Each address of a doveadm API is right, or names what is wrong with it.
func TestDoveadmAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"http://127.0.0.1:8080/doveadm/v1":       "",
		"http://[::1]:8080/doveadm/v1":           "",
		"http://localhost:8080/doveadm/v1":       "",
		"https://mx.example.test:443/doveadm/v1": "",
		"http://192.0.2.1:8080/doveadm/v1":       "use https://",
		"http://mx.example.test:8080/doveadm/v1": "use https://",
		"ftp://127.0.0.1:8080/doveadm/v1":        "use https://",
		"127.0.0.1:8080":                         "not an address",
		"http://127.0.0.1/doveadm/v1":            "must be like",
		"http://127.0.0.1:8080/":                 "must be like",
		"http://a:b@127.0.0.1:8080/doveadm/v1":   "must be like",
		"":                                       "must be like",
	} {
		_, err := app.Parse("f", []byte(minimal+"[sessions]\ndoveadm_key_file = \"/k\"\ndoveadm = [\""+address+"\"]\n"))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestSessionsProblems(t *testing.T) {
	_, err := app.Parse("f", []byte(minimal+`
[sessions]
doveadm = ["http://127.0.0.1:8080/doveadm/v1", "http://127.0.0.1:8080/doveadm/v1", "http://127.0.0.1:8081/doveadm/v1"]
spool = "here"
[sessions.doveadm_key_files]
"http://127.0.0.1:8081/doveadm/v1" = "/k"
"http://127.0.0.1:8082/doveadm/v1" = "/k"
`))
	for _, want := range []string{"sessions.spool", "is there twice", "needed for http://127.0.0.1:8080", "8082/doveadm/v1\" is not in sessions.doveadm"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in: %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "needed for http://127.0.0.1:8081") {
		t.Error(err)
	}
}

func TestDoveadmKeys(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := app.Default()
	if hosts, err := cfg.Doveadms(); len(hosts) != 0 || err != nil || cfg.Sessions.On() {
		t.Errorf("without hosts: %v %v", hosts, err)
	}
	one, two := "http://127.0.0.1:8080/doveadm/v1", "https://mx.example.test:443/doveadm/v1"
	cfg.Sessions.Doveadm, cfg.Sessions.KeyFile = []string{one, two}, key
	cfg.Sessions.KeyFiles = map[string]string{two: key + ".none"}
	hosts, err := cfg.Doveadms()
	if len(hosts) != 1 || hosts[0].Host() != one || err == nil || !strings.Contains(err.Error(), "key.none") {
		t.Errorf("one key is missing: %v %v", hosts, err)
	}
	cfg.Sessions.KeyFiles, cfg.Sessions.CAFile = nil, key
	if _, err := cfg.Doveadms(); err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("authorities: %v", err)
	}
}
