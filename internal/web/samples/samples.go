// Package samples has one of every page in every state, with invented people, for
// the tests of package web and for its gallery.
package samples

import (
	"fmt"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/web"
)

// Sample is one page in one state.
type Sample struct {
	Name string // "signin-totp-wrong"
	Page web.Page
	// Long: names and addresses as long as they get.
	Long bool
}

// Now is when the samples are.
var Now = time.Date(2026, time.March, 9, 14, 3, 22, 0, time.UTC)

const longUser = "maximiliane.oberhuber-schattenfroh@verwaltungsgemeinschaft-niederbayern.example.test"

func common() web.Common {
	return web.Common{
		User: "alice@example.test", Webmail: web.Webmail{Name: "Roundcube", URL: "/"},
		Token: "tok_5vQ2", CSRF: "csrf_8sd7", Self: "/2fa/sign-in?p=1",
	}
}

func with(p web.ProblemCode) web.Common {
	c := common()
	c.Problem = &web.Problem{Code: p}
	return c
}

func done(n web.NoticeCode, name string) web.Common {
	c := common()
	c.Notice = &web.Notice{Code: n, Name: name}
	return c
}

// All returns every sample.
func All() []Sample {
	return slices.Concat(start(), signIn(), problems(), passkeys(), enrol(), security(), changes(), apps(), messages(), admin())
}

// Find returns the sample of that name; false if there is none.
func Find(name string) (Sample, bool) {
	all := All()
	i := slices.IndexFunc(all, func(s Sample) bool { return s.Name == name })
	if i < 0 {
		return Sample{}, false
	}
	return all[i], true
}

func choices(ms ...web.Method) []web.Choice {
	cs := make([]web.Choice, 0, len(ms))
	for _, m := range ms {
		c := web.Choice{Method: m}
		if m.Plugin() {
			c.Label = "Push to your phone"
		}
		cs = append(cs, c)
	}
	return cs
}

const requestOptions = `{"challenge":"q83vEjRWeJCrze8SNFZ4kA","timeout":300000,"rpId":"localhost","userVerification":"preferred"}`

const createOptions = `{"rp":{"name":"Example","id":"localhost"},"user":{"id":"q83vEjRW","name":"alice@example.test",` +
	`"displayName":"alice@example.test"},"challenge":"q83vEjRWeJCrze8SNFZ4kA","pubKeyCredParams":[{"type":"public-key","alg":-7}],` +
	`"timeout":300000,"excludeCredentials":[],"authenticatorSelection":{"residentKey":"preferred","userVerification":"preferred"},"attestation":"none"}`

func signInPage(c web.Common, m web.Method) *web.SignIn {
	return &web.SignIn{Common: c, TrustDays: 30, Challenge: web.Challenge{
		Method: m, Methods: choices(web.Passkey, web.TOTP, web.Backup), Options: requestOptions,
	}}
}

func signIn() []Sample {
	long := common()
	long.User, long.Webmail.Name = longUser, "Webmail der Verwaltungsgemeinschaft"
	wrong := with(web.CodeWrong)
	wrong.Problem.Drift, wrong.Problem.Server = -90*time.Second, Now
	fast := with(web.CodeWrong)
	fast.Problem.Drift, fast.Problem.Server = 61*time.Second, Now
	wait := with(web.TooManyTries)
	wait.Problem.Wait = 30 * time.Second
	plugin := signInPage(common(), "plugin:push")
	plugin.Methods = choices("plugin:push", web.TOTP)
	plugin.Prompt = web.Prompt{Text: "Confirm the message that we sent to your phone.", Wait: "/2fa/sign-in/wait?s=x", Seconds: 3, Again: true}
	pending := *plugin
	choice := signInPage(common(), "plugin:push")
	choice.Methods = choices("plugin:push", web.TOTP)
	choice.Prompt = web.Prompt{Title: "Where to?", Text: "Choose where we send the code.",
		Options: []web.PromptOption{{ID: "1", Label: "Text message to +49 … 42"}, {ID: "2", Label: "Call to +49 … 17"}}}
	pending.Common = with(web.Pending)
	radius := signInPage(common(), "plugin:radius")
	radius.Methods = choices("plugin:radius")
	radius.Prompt = web.Prompt{Text: "Enter the code of your token.", Kind: "code", Label: "Token code", Digits: 8}
	alone := signInPage(common(), web.TOTP)
	alone.Methods, alone.TrustDays, alone.Digits = choices(web.TOTP), 0, 8
	disabled := signInPage(common(), web.TOTP)
	disabled.Disabled = true
	return []Sample{
		{Name: "signin-totp", Page: signInPage(common(), web.TOTP)},
		{Name: "signin-totp-slow", Page: signInPage(wrong, web.TOTP)},
		{Name: "signin-totp-fast", Page: signInPage(fast, web.TOTP)},
		{Name: "signin-totp-wait", Page: signInPage(wait, web.TOTP)},
		{Name: "signin-totp-alone", Page: alone},
		{Name: "signin-totp-disabled", Page: disabled},
		{Name: "signin-totp-long", Page: signInPage(long, web.TOTP), Long: true},
		{Name: "signin-passkey", Page: signInPage(common(), web.Passkey)},
		{Name: "signin-backup", Page: signInPage(common(), web.Backup)},
		{Name: "signin-choose", Page: signInPage(common(), "")},
		{Name: "signin-plugin-push", Page: plugin},
		{Name: "signin-plugin-pending", Page: &pending},
		{Name: "signin-plugin-code", Page: radius},
		{Name: "signin-plugin-choice", Page: choice},
		{Name: "signin-nobody", Page: &web.SignIn{Challenge: web.Challenge{Method: web.TOTP, Methods: choices(web.TOTP)}}},
	}
}

// problems shows each problem where it can happen.
func problems() []Sample {
	var all []Sample
	add := func(code web.ProblemCode, page web.Page) {
		all = append(all, Sample{Name: "problem-" + string(code), Page: page})
	}
	for _, p := range []web.ProblemCode{
		web.CodeEmpty, web.CodeShort, web.CodeLong, web.CodeNotDigits, web.CodeUsed, web.MethodDisabled, web.MethodDown,
		web.Unavailable, web.FormOld, web.Busy, web.NotAllowed,
	} {
		add(p, signInPage(with(p), web.TOTP))
	}
	for _, p := range []web.ProblemCode{web.BackupForm, web.BackupWrong, web.BackupUsed} {
		add(p, signInPage(with(p), web.Backup))
	}
	for _, p := range []web.ProblemCode{
		web.PasskeyRefused, web.PasskeyUV, web.PasskeyCopied, web.PasskeySetup, web.PasskeyExpired,
	} {
		add(p, signInPage(with(p), web.Passkey))
	}
	expired := signInPage(with(web.CodeExpired), "plugin:sms")
	expired.Methods, expired.Prompt = choices("plugin:sms"), web.Prompt{Text: "We sent you a message.", Over: true}
	add(web.CodeExpired, expired)
	for _, p := range []web.ProblemCode{web.PluginWrong, web.PluginForm} {
		page := signInPage(with(p), "plugin:sms")
		page.Methods, page.Prompt = choices("plugin:sms", web.TOTP), web.Prompt{Text: "We sent you a message.", Kind: "code", Label: "Code", Again: true}
		add(p, page)
	}
	for _, p := range []web.ProblemCode{web.PasskeyKnown, web.PasskeyKind} {
		add(p, &web.EnrolPasskey{Common: with(p), Options: createOptions})
	}
	for _, p := range []web.ProblemCode{web.PasswordEmpty, web.PasswordWrong} {
		add(p, confirmPage(with(p), web.Password))
	}
	for _, p := range []web.ProblemCode{web.NameEmpty, web.NameLong, web.NameForm, web.NameTaken} {
		add(p, &web.Rename{Common: with(p), Kind: web.KindTOTP, ID: "abcd2345", Was: "Pixel 9"})
	}
	for _, p := range []web.ProblemCode{web.ServicesNone, web.NetworksWrong, web.ExpiresWrong, web.AppMaximum} {
		page := appNew(with(p))
		page.Problem.Value, page.Networks = "300.1.2.3", "192.0.2.7, 300.1.2.3"
		add(p, page)
	}
	add(web.EnrolTokenWrong, &web.EnrolToken{Common: with(web.EnrolTokenWrong), Duty: web.Duty{Mandatory: true}})
	add(web.SavedMissing, codes(with(web.SavedMissing), false))
	return all
}

func confirmPage(c web.Common, m web.Method) *web.Confirm {
	ms := choices(web.Passkey, web.TOTP, web.Backup)
	if m == web.Password {
		ms = choices(web.Password)
	}
	return &web.Confirm{Common: c, Next: "security/add", Cancel: "/2fa/security", Challenge: web.Challenge{Method: m, Methods: ms, Options: requestOptions}}
}

func passkeys() []Sample {
	c := common()
	c.User = ""
	refused := with(web.PasskeyRefused)
	refused.User = ""
	return []Sample{
		{Name: "passkey", Page: &web.SignInPasskey{Common: c, Options: requestOptions}},
		{Name: "passkey-refused", Page: &web.SignInPasskey{Common: refused, Options: requestOptions}},
		{Name: "confirm-totp", Page: confirmPage(common(), web.TOTP)},
		{Name: "confirm-passkey", Page: confirmPage(common(), web.Passkey)},
		{Name: "confirm-password", Page: confirmPage(common(), web.Password)},
	}
}

var (
	forced = web.Duty{Mandatory: true}
	anew   = web.Duty{Mandatory: true, Anew: true, Code: true, LastCode: true}
	grace  = web.Duty{Mandatory: true, DaysLeft: 9, Until: Now.AddDate(0, 0, 9)}
	said   = web.Duty{Mandatory: true, DaysLeft: grace.DaysLeft, Until: grace.Until, Said: true}
	both   = []web.Method{web.TOTP, web.Passkey}
)

func totpPage(c web.Common) *web.EnrolTOTP {
	return &web.EnrolTOTP{
		Common: c, Apps: true, Name: "Pixel 9",
		URI: account.SecretString("otpauth://totp/Example%20Mail:alice%40example.test?algorithm=SHA1&digits=6&issuer=Example%20Mail" +
			"&period=30&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
		Key: account.SecretString("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
	}
}

func codes(c web.Common, fresh bool) *web.BackupCodes {
	page := &web.BackupCodes{Common: c, Fresh: fresh, Steps: !fresh, Created: Now}
	page.Self = ""
	for i := range 10 {
		page.Codes = append(page.Codes, account.SecretString(fmt.Sprintf("k%dvx-m2qd-7hra-w%dtz", i%8+2, (i*3)%8+2)))
	}
	return page
}

func enrol() []Sample {
	more := totpPage(common())
	more.More, more.Cancel, more.Name = true, "/2fa/security", ""
	wrong := totpPage(with(web.CodeWrong))
	wrong.Problem.Drift, wrong.Problem.Server = -3*time.Minute, Now
	due := totpPage(common())
	due.Duty = grace
	long := totpPage(common())
	long.User = longUser
	return []Sample{
		{Name: "enrol", Page: &web.EnrolChoose{Common: common(), Methods: both, Cancel: "/2fa/security"}},
		{Name: "enrol-forced", Page: &web.EnrolChoose{Common: common(), Duty: forced, Methods: both}},
		{Name: "enrol-grace", Page: &web.EnrolChoose{Common: common(), Duty: grace, Methods: both}},
		{Name: "enrol-anew", Page: &web.EnrolChoose{Common: common(), Duty: anew, Methods: both}},
		{Name: "enrol-more", Page: &web.EnrolChoose{Common: common(), Methods: both, More: true, Cancel: "/2fa/security"}},
		{Name: "enrol-token", Page: &web.EnrolToken{Common: common(), Duty: forced}},
		{Name: "enrol-totp", Page: totpPage(common())},
		{Name: "enrol-totp-wrong", Page: wrong},
		{Name: "enrol-totp-grace", Page: due},
		{Name: "enrol-totp-more", Page: more},
		{Name: "enrol-totp-long", Page: long, Long: true},
		{Name: "enrol-passkey", Page: &web.EnrolPasskey{Common: common(), Duty: said, Options: createOptions, Name: "Firefox on Linux", Apps: true}},
		{Name: "enrol-plugin", Page: &web.EnrolPlugin{Common: common(), Duty: said, Method: "plugin:sms", Name: "Text message", Apps: true,
			Prompt: web.Prompt{Text: "We send a code to this number.", Kind: "tel", Label: "Telephone number", Hint: "With the country's code, such as +49 151 23456789"}}},
		{Name: "enrol-plugin-more", Page: &web.EnrolPlugin{Common: with(web.CodeWrong), Method: "plugin:sms", Name: "Text message", More: true, Cancel: "/2fa/security",
			Prompt: web.Prompt{Text: "Enter the code that we sent to +49 … 89.", Kind: "code", Label: "Code", Digits: 6, Again: true}}},
		{Name: "enrol-passkey-more", Page: &web.EnrolPasskey{Common: common(), Options: createOptions, More: true, Cancel: "/2fa/security"}},
		{Name: "backup-codes", Page: codes(common(), false)},
		{Name: "backup-codes-fresh", Page: codes(common(), true)},
		{Name: "enrol-done", Page: &web.EnrolDone{Common: common(), Apps: true}},
		{Name: "enrol-done-known", Page: &web.EnrolDone{Common: common(), Apps: true, Known: Now.Add(14 * day)}},
		{Name: "enrol-done-noapps", Page: &web.EnrolDone{Common: common()}},
	}
}
