package authpolicy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/authpolicy"
)

// The bodies in testdata were recorded from real Dovecots with our snippets.
func TestRecordedBodies(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		q, err := authpolicy.Parse(b)
		if err != nil || q.Login != "plain@example.test" || q.Remote != "127.0.0.1" || q.RealRemote != "127.0.0.1" ||
			q.Protocol != "imap" || q.Mech != "PLAIN" || q.SessionID == "" || len(q.PwHash) != 8 {
			t.Errorf("%s: %+v, %v", f, q, err)
		}
		name := filepath.Base(f)
		if (q.CredID != "") != (strings.Contains(name, "right") && !strings.Contains(name, "first")) {
			t.Errorf("%s: cred_id %q", f, q.CredID)
		}
		if q.Success != strings.Contains(name, "report-right") {
			t.Errorf("%s: success %v", f, q.Success)
		}
		if q.FailType != map[string]string{"2.4-report-wrong.json": "credentials", "2.4-report-outage.json": "internal"}[name] {
			t.Errorf("%s: fail_type %q", f, q.FailType)
		}
	}
}

// The hash is Dovecot's: what it sent for this login and password.
func TestHash(t *testing.T) {
	if got := authpolicy.Hash([]byte("testnonce"), "plain@example.test", []byte("wrong")); got != "34ebafcf" {
		t.Errorf("%s, Dovecot says 34ebafcf", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, body := range []string{"", "{", "[]", `"x"`, `{"login":1}`, `{"success":"true"}`, `{"login":{}}`, `{} {}`,
		`{"login":"` + strings.Repeat("a", authpolicy.MaxBody) + `"}`, strings.Repeat("[", 100000)} {
		if q, err := authpolicy.Parse([]byte(body)); err == nil {
			t.Errorf("%.40q: %+v", body, q)
		}
	}
	if _, err := authpolicy.Parse([]byte(`{"login":"a","new in 2.5":[{"x":1}]}`)); err != nil {
		t.Errorf("an attribute we do not know: %v", err)
	}
}

// Answers are flat, have both keys, and are JSON whatever the text.
func TestAppend(t *testing.T) {
	for _, c := range []struct {
		answer authpolicy.Answer
		want   string
	}{
		{authpolicy.Answer{}, `{"status":0,"msg":""}`},
		{authpolicy.Answer{Delay: time.Millisecond}, `{"status":1,"msg":""}`},
		{authpolicy.Answer{Delay: 3 * time.Second}, `{"status":3,"msg":""}`},
		{authpolicy.Answer{Refuse: true, Text: "No.", Delay: time.Hour}, `{"status":-1,"msg":"No."}`},
		{authpolicy.Answer{Refuse: true, Text: "a\"\\\r\nb\x00ü"}, `{"status":-1,"msg":"a\"\\??b??"}`},
	} {
		got := authpolicy.Append(nil, c.answer)
		if string(got) != c.want || !json.Valid(got) {
			t.Errorf("%+v: %s", c.answer, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"cred_id":"","login":"a","success":false}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := authpolicy.Parse(b)
		if err == nil && !json.Valid(authpolicy.Append(nil, authpolicy.Answer{Refuse: true, Text: q.Login})) {
			t.Error("an answer that is not JSON")
		}
	})
}
