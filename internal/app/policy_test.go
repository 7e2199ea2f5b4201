package app_test

import (
	"strings"
	"testing"
	"time"

	"postern/internal/app"
	"postern/internal/policy"
)

func TestDefaultPolicy(t *testing.T) {
	cfg, err := app.Parse("f", []byte(minimal+`
[policy]
twofactor = "mandatory"
grace = "14d"
grace_start = 2027-01-31
methods = ["passkey"]
`))
	if err != nil {
		t.Fatal(err)
	}
	e, err := policy.Layers{{Origin: "default", Settings: cfg.Policy}}.Resolve()
	if err != nil || e.Grace != 14*24*time.Hour || !e.GraceStart.Equal(time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)) || e.AllowsMethod("totp") {
		t.Errorf("%+v, %v", e, err)
	}
	// What the file does not say is not the file's.
	if e.Origin["methods"] != "default" || e.Origin["session_life"] != policy.BuiltIn {
		t.Errorf("%v", e.Origin)
	}
}

func TestAttack34_Policy(t *testing.T) {
	for text, want := range map[string]string{
		`grace = 14`:                              "not a duration",
		`grace_start = "soon"`:                    "not a date",
		`session_idle = "1h"`:                     "policy.session_idle must be from 2h to 365d, not 1h",
		`methods = ["sms"]`:                       `policy.methods: "sms" is none of`,
		`session_life = "60d"`:                    "policy.trusted_device_days (30, built in) must exceed session_life (60d, default), or be 0",
		"twofactor = \"mandatory\"\nmethods = []": "policy.twofactor (mandatory, default) while methods (none, default) allows none",
		`Grace = "1d"`:                            "write it policy.grace",
		`colour = "red"`:                          "there is no such setting",
	} {
		_, err := app.Parse("f", []byte(minimal+"\n[policy]\n"+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
