package effect_test

import (
	"testing"

	"postern/internal/effect"
)

// What is told, and what is not: a wrong code while enrolling or without a password is
// nobody's guess at an account, a refused change is none.
func TestTopicOf(t *testing.T) {
	for name, c := range map[string]struct {
		e    effect.Event
		want effect.Topic
	}{
		"2FA on":                    {effect.Event{Action: effect.TwoFactorOn, Outcome: "done"}, effect.TopicTwoFactorOn},
		"refused":                   {effect.Event{Action: effect.TwoFactorOff, Outcome: "refused"}, ""},
		"unavailable":               {effect.Event{Action: effect.Reset, Outcome: "unavailable"}, ""},
		"wrong after password":      {effect.Event{Action: effect.SecondFactor, Outcome: "denied", Reason: "wrong_code", Proven: true}, effect.TopicWrongFactor},
		"wrong while enrolling":     {effect.Event{Action: effect.SecondFactor, Outcome: "denied", Reason: "wrong_code"}, ""},
		"too soon":                  {effect.Event{Action: effect.SecondFactor, Outcome: "denied", Reason: "too_soon", Proven: true}, ""},
		"cloned on a page":          {effect.Event{Action: effect.SecondFactor, Outcome: "denied", Reason: "cloned_key"}, effect.TopicPasskeyCopied},
		"cloned at the exchange":    {effect.Event{Action: effect.Login, Outcome: "denied", Reason: "cloned_key"}, effect.TopicPasskeyCopied},
		"disabled":                  {effect.Event{Action: effect.FactorDisabled, Outcome: "alarm"}, effect.TopicMethodDisabled},
		"revoked app password":      {effect.Event{Action: effect.Login, Outcome: "denied", Reason: "app_password_revoked"}, effect.TopicAppRevokedTried},
		"expired app password":      {effect.Event{Action: effect.Login, Outcome: "denied", Reason: "app_password_expired"}, ""},
		"app password expired":      {effect.Event{Action: effect.AppPasswordStopped, Outcome: "done", Reason: effect.ReasonExpired}, effect.TopicAppExpired},
		"app password unused":       {effect.Event{Action: effect.AppPasswordStopped, Outcome: "done", Reason: effect.ReasonUnused}, effect.TopicAppUnused},
		"unused long ago":           {effect.Event{Action: effect.AppPasswordStopped, Outcome: "done", Reason: effect.ReasonUnused, Time: began}, ""},
		"login":                     {effect.Event{Action: effect.Login, Outcome: "granted"}, ""},
		"passwordless on":           {effect.Event{Action: effect.PasswordlessSet, Outcome: "done", Detail: "on"}, effect.TopicPasswordless},
		"passwordless off":          {effect.Event{Action: effect.PasswordlessSet, Outcome: "done", Detail: "off"}, ""},
		"bypass":                    {effect.Event{Action: effect.BypassGranted, Outcome: "done"}, effect.TopicBypass},
		"bypass over":               {effect.Event{Action: effect.BypassEnded, Outcome: "done"}, effect.TopicBypassEnded},
		"revoked since an incident": {effect.Event{Action: effect.RevokedSince, Outcome: "done"}, effect.TopicAllRevoked},
		"erased":                    {effect.Event{Action: effect.Erased, Outcome: "done"}, effect.TopicTwoFactorOff},
		"policy":                    {effect.Event{Action: effect.PolicyChanged, Outcome: "done"}, ""},
		"class":                     {effect.Event{Action: effect.ClassChanged, Outcome: "done"}, ""},
		"mailed":                    {effect.Event{Action: effect.Mailed, Outcome: "done"}, ""},
		"code shown":                {effect.Event{Action: effect.TOTPCodeShown, Outcome: "done"}, effect.TopicCodeShown},
	} {
		c.e.Account = "x"
		if got := effect.TopicOf(&c.e); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		c.e.Account = ""
		if got := effect.TopicOf(&c.e); got != "" {
			t.Errorf("%s of nobody: %q", name, got)
		}
	}
}

func TestProgramName(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0": "Firefox, Linux", "": "", "Thunderbird 128": "Thunderbird 128",
	} {
		if got := effect.ProgramName(agent); got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
}
