package policy_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/policy"
)

func resolve(t *testing.T, texts ...string) policy.Effective {
	t.Helper()
	origins := []string{"default", "domain example.test", "class students", "account"}
	var layers policy.Layers
	for i, text := range texts {
		layers = append(layers, policy.ParseJSON(origins[i], text))
	}
	e, err := layers.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestNearestLevelWinsFieldByField(t *testing.T) {
	e := resolve(t, `{"twofactor":"optional","app_passwords":true,"app_password_max":10}`, `{"twofactor":"mandatory"}`, `{}`, `{"app_passwords":false}`)
	if e.TwoFactor != policy.Mandatory || e.AppPasswords || e.AppPasswordMax != 10 {
		t.Errorf("%+v", e)
	}
	for key, want := range map[string]string{"twofactor": "domain example.test", "app_passwords": "account", "app_password_max": "default", "grace": policy.BuiltIn} {
		if e.Origin[key] != want {
			t.Errorf("%s comes from %q, want %q", key, e.Origin[key], want)
		}
	}
}

func TestBuiltin(t *testing.T) {
	e, err := policy.Layers(nil).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Effective{
		TwoFactor: policy.Optional, Methods: []string{"totp", "passkey", "plugin:*"}, TOTPTolerance: 1, BackupCodes: true,
		TrustedDeviceDays: 30, SessionLife: 168 * time.Hour, SessionIdle: 12 * time.Hour, Passwordless: true,
		AppPasswords: true, AppPasswordMax: 25, AppPasswordServices: []string{"imap", "pop3", "smtp", "sieve", "dav"},
		UserMayDisable: true, ResetNeedsToken: true, Recommend: true, Origin: e.Origin,
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("%+v", e)
	}
	for _, f := range policy.Fields() {
		if e.Origin[f.Key] != policy.BuiltIn {
			t.Errorf("%s comes from %q", f.Key, e.Origin[f.Key])
		}
	}
	if problems := e.Check(); len(problems) > 0 {
		t.Error(problems)
	}
}

// One answer does not change the next.
func TestAnswersAreApart(t *testing.T) {
	resolve(t, `{"twofactor":"off"}`)
	if b := resolve(t, `{}`); b.TwoFactor != policy.Optional || b.Origin["twofactor"] != policy.BuiltIn {
		t.Errorf("%+v", b)
	}
}

// Every field is documented, and has the same key in JSON and TOML and a place in the
// answer.
func TestFields(t *testing.T) {
	s := reflect.TypeFor[policy.Settings]()
	if len(policy.Fields()) != s.NumField() {
		t.Errorf("%d fields listed, %d there", len(policy.Fields()), s.NumField())
	}
	e := resolve(t)
	for i, f := range policy.Fields() {
		tag := s.Field(i).Tag
		if f.Key == "" || f.Values == "" || f.Doc == "" || tag.Get("json") != f.Key+",omitempty" {
			t.Errorf("%+v", f)
		}
		if _, ok := reflect.TypeFor[policy.Effective]().FieldByName(s.Field(i).Name); !ok {
			t.Errorf("%s has no place in Effective", f.Key)
		}
		if f.Key != "grace_start" && e.Get(f.Key) == nil {
			t.Errorf("%s has no built-in value", f.Key)
		}
	}
	if e.Get("grace_start") != nil || e.Get("nonsense") != nil {
		t.Error("values from nowhere")
	}
}

// A level that cannot be read must not count as a level that sets nothing: spoiling
// a value would otherwise relax the policy (ATTACKS 22).
func TestAttack22_UnreadableLevelIsAnError(t *testing.T) {
	for _, value := range []string{
		``, ` `, `{`, `[]`, `null`, `"x"`, `7`, `{"twofactor":"of"}`, `{"twofactor":7}`, `{"two":1}`, `{"app_password_max":-1}`,
		`{} {}`, `{} x`, `null x`, `{"twofactor":null}`, `{"TwoFactor":"off"}`, `{"twofactor":"mandatory","twofactor":"off"}`,
		`{"app_passwords":"true"}`, `{"app_password_max":"5"}`, `{"app_password_max":1.5}`, `{"grace":14}`, `{"grace":"14"}`,
		`{"grace":"-1d"}`, `{"grace":"367d"}`, `{"session_idle":"119m"}`, `{"session_life":"366d"}`, `{"totp_tolerance":11}`,
		`{"trusted_device_days":366}`, `{"methods":"totp"}`, `{"methods":["sms"]}`, `{"methods":["plugin:"]}`, `{"methods":["plugin:a b"]}`,
		`{"methods":[null]}`, `{"app_password_services":[]}`, `{"app_password_services":["ftp"]}`, `{"app_password_unused_days":3651}`,
		`{"grace_start":"soon"}`, `{"grace_start":5}`, `{"twofactor":"off",}`, `{"twofactor":"off"`, `{"methods":["totp"`,
		strings.Repeat(" ", 70_000) + `{}`,
	} {
		_, err := policy.Layers{policy.ParseJSON("account", value)}.Resolve()
		if err == nil || !strings.Contains(err.Error(), "policy of account") {
			t.Errorf("%.60q: %v", value, err)
		}
	}
}

// Errors name every level that is unreadable.
func TestEveryUnreadableLevelIsNamed(t *testing.T) {
	_, err := policy.Layers{policy.ParseJSON("domain example.test", "x"), policy.ParseJSON("class students", "{}"), policy.ParseJSON("account", "y")}.Resolve()
	if err == nil || !strings.Contains(err.Error(), "policy of domain example.test") || !strings.Contains(err.Error(), "policy of account") {
		t.Error(err)
	}
}

func TestMethods(t *testing.T) {
	for methods, want := range map[string][]string{
		`["totp"]`:                     {"totp"},
		`["passkey","plugin:*"]`:       {"passkey", "plugin:radius", "plugin:push"},
		`["plugin:radius"]`:            {"plugin:radius"},
		`[]`:                           nil,
		`["totp","totp","plugin:a.b"]`: {"totp"},
	} {
		e := resolve(t, `{"methods":`+methods+`}`)
		for _, m := range []string{"totp", "passkey", "plugin:radius", "plugin:push", "*", ""} {
			if got := e.AllowsMethod(m); got != slices.Contains(want, m) {
				t.Errorf("%s allows %q: %v", methods, m, got)
			}
		}
	}
}

// The services are those that app passwords have.
func TestServices(t *testing.T) {
	e := resolve(t)
	for _, s := range account.Scopes {
		if !e.AllowsService(string(s)) {
			t.Errorf("%s is not allowed", s)
		}
	}
	if len(e.AppPasswordServices) != len(account.Scopes) {
		t.Error(e.AppPasswordServices)
	}
	if e := resolve(t, `{"app_password_services":["imap"]}`); e.AllowsService("smtp") || !e.AllowsService("imap") {
		t.Error(e.AppPasswordServices)
	}
}

// Contradictions name both values and their levels.
func TestCheck(t *testing.T) {
	for _, c := range []struct{ domain, class, want string }{
		{`{"session_idle":"8d"}`, `{}`, "session_idle (8d, domain example.test) must not exceed session_life (7d, built in)"},
		{`{"session_life":"30d"}`, `{}`, "trusted_device_days (30, built in) must exceed session_life (30d, domain example.test), or be 0"},
		{`{"session_life":"30d"}`, `{"trusted_device_days":0}`, ""},
		{`{"session_life":"30d"}`, `{"trusted_device_days":31}`, ""},
		{`{"twofactor":"mandatory"}`, `{"methods":[]}`, "twofactor (mandatory, domain example.test) while methods (none, class students) allows none"},
		{`{"methods":[]}`, `{"twofactor":"optional"}`, ""},
		{`{"app_passwords":false}`, `{"service_account":true}`, "service_account (true, class students) needs app_passwords (false, domain example.test)"},
	} {
		e := resolve(t, `{}`, c.domain, c.class)
		var got []string
		for _, p := range e.Check() {
			got = append(got, p.Error())
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s, %s: %q, want %q", c.domain, c.class, got, c.want)
		}
	}
}
