package policy_test

import (
	"strings"
	"testing"

	"postern/internal/policy"
)

func TestNearestLevelWinsFieldByField(t *testing.T) {
	layers := policy.Layers{
		policy.ParseJSON("default", `{"twofactor":"optional","app_passwords":true,"app_password_max":10}`),
		policy.ParseJSON("domain example.test", `{"twofactor":"mandatory"}`),
		policy.ParseJSON("account", `{"app_passwords":false}`),
	}
	e, err := layers.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	if e.TwoFactor != policy.Mandatory || e.AppPasswords || e.AppPasswordMax != 10 {
		t.Errorf("%+v", e)
	}
	for key, want := range map[string]string{"twofactor": "domain example.test", "app_passwords": "account", "app_password_max": "default"} {
		if e.Origin[key] != want {
			t.Errorf("%s comes from %q, want %q", key, e.Origin[key], want)
		}
	}
}

func TestBuiltin(t *testing.T) {
	e, err := policy.Layers(nil).Resolve()
	if err != nil || e.TwoFactor != policy.Optional || !e.AppPasswords || e.AppPasswordMax != 25 {
		t.Errorf("%+v, %v", e, err)
	}
}

// A level that cannot be read must not count as a level that sets nothing:
// spoiling a value would otherwise relax the policy.
func TestUnreadableLevelIsAnError(t *testing.T) {
	for _, value := range []string{``, `{`, `[]`, `{"twofactor":"of"}`, `{"two":1}`, `{"app_password_max":-1}`, `{} {}`, `null x`} {
		_, err := policy.Layers{policy.ParseJSON("account", value)}.Resolve()
		if err == nil || !strings.Contains(err.Error(), "policy of account") {
			t.Errorf("%q: %v", value, err)
		}
	}
}
