package policy_test

import (
	"testing"

	"postern/internal/policy"
)

func TestSetAndUnset(t *testing.T) {
	var s policy.Settings
	for key, text := range map[string]string{
		"twofactor": "mandatory", "grace": "336h", "grace_start": "2027-01-31", "methods": "totp, plugin:radius", "totp_tolerance": "2",
		"backup_codes": "false", "app_password_services": "imap,smtp",
	} {
		if err := s.Set(key, text); err != nil {
			t.Errorf("%s=%s: %v", key, text, err)
		}
	}
	want := `{"twofactor":"mandatory","grace":"14d","grace_start":"2027-01-31","methods":["totp","plugin:radius"],"totp_tolerance":2,"backup_codes":false,"app_password_services":["imap","smtp"]}`
	if s.JSON() != want {
		t.Errorf("%s", s.JSON())
	}
	if l := policy.ParseJSON("x", s.JSON()); l.Err != nil || l.JSON() != want || l.Text != want {
		t.Errorf("%+v", l)
	}
	if err := s.Set("methods", ""); err != nil || policy.Text(s.Get("methods")) != "none" {
		t.Errorf("%v, %v", s.Get("methods"), err)
	}
	for _, f := range policy.Fields() {
		if err := s.Unset(f.Key); err != nil {
			t.Error(err)
		}
	}
	if !s.Empty() || s.JSON() != "{}" {
		t.Errorf("%s", s.JSON())
	}
	for key, text := range map[string]string{
		"colour": "red", "Twofactor": "off", "": "", "backup_codes": "yes", "totp_tolerance": "two", "grace": "soon", "app_passwords": "null", "session_life": "",
	} {
		if err := s.Set(key, text); err == nil {
			t.Errorf("%s=%s was taken", key, text)
		}
	}
	if s.Unset("colour") == nil || !s.Empty() {
		t.Error("what was refused left something")
	}
}

// FuzzParseJSON: whatever is read is what it is written as, and nothing panics.
func FuzzParseJSON(f *testing.F) {
	for _, text := range []string{`{"twofactor":"mandatory","grace":"1d12h","methods":["plugin:*"]}`, `{"grace_start":"2027-01-31T12:00:00+02:00"}`, `{"twofactor":"off"} {}`, `{"a":{"b":[1]}}`, `null`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := policy.ParseJSON("account", text)
		e, err := policy.Layers{l}.Resolve()
		if (err != nil) != (l.Err != nil) {
			t.Fatalf("%v, %v", err, l.Err)
		}
		if err != nil {
			return
		}
		again := policy.ParseJSON("account", l.JSON())
		if again.Err != nil || again.JSON() != l.JSON() {
			t.Fatalf("%s became %s, %v", l.JSON(), again.JSON(), again.Err)
		}
		for _, field := range policy.Fields() {
			if v := l.Get(field.Key); v != nil && (policy.Text(v) != policy.Text(e.Get(field.Key)) || e.Origin[field.Key] != "account") {
				t.Fatalf("%s: %v, %v", field.Key, v, e.Get(field.Key))
			}
		}
		e.Check()
	})
}

func BenchmarkResolve(b *testing.B) {
	layers := policy.Layers{
		{Origin: "default"}, policy.ParseJSON("domain example.test", `{"twofactor":"mandatory","grace":"14d"}`),
		policy.ParseJSON("class students", `{"app_passwords":false}`), policy.ParseJSON("account", `{"app_password_max":3}`),
	}
	for b.Loop() {
		if _, err := layers.Resolve(); err != nil {
			b.Fatal(err)
		}
	}
}
