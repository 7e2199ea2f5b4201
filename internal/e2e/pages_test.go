package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/pquerna/otp/totp"

	"postern/internal/account"
	"postern/internal/browsertest"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// pages is a site whose webmail and hosted pages people use in a browser, at a name and
// over TLS as in earnest.
func pages(t *testing.T) *webmail {
	t.Helper()
	mailtest.Long(t)
	return &webmail{world: fresh(t, mailtest.Options{
		Dovecot: &mailtest.DovecotOptions{Door: "2.3-lua.conf", Extra: "auth_debug = yes\nauth_debug_passwords = yes\n"},
		Postfix: &mailtest.PostfixOptions{},
		Webmail: &mailtest.WebmailOptions{Roundcube: &mailtest.RoundcubeOptions{}, TLS: true, Webhooks: 2,
			PluginConfig: "$config['postern_passkey_button'] = true;\n"},
	})}
}

// security goes from the inbox to the security pages.
func (w *webmail) security(rc *browsertest.Webmail) {
	rc.Task("_task=settings")
	rc.Follow("#settings-menu li.postern a")
	rc.WaitFor("#methods")
}

// give answers the page that asks for the password again.
func give(rc *browsertest.Webmail, password string) {
	rc.Fill("#password", password)
	rc.Follow("button.primary")
}

// codeOf is the code that an app makes of a typed key.
func codeOf(t *testing.T, key string, steps int) string {
	t.Helper()
	c, err := totp.GenerateCode(strings.Join(strings.Fields(key), ""), time.Now().Add(time.Duration(steps)*30*time.Second))
	must(t, err)
	return c
}

// addApp goes from the QR code to the backup codes, and returns the key, the code that
// it used up, and the backup codes.
func addApp(t *testing.T, rc *browsertest.Webmail, steps int) (key, used string, codes []string) {
	t.Helper()
	rc.WaitFor("#code")
	key = browsertest.Eval[string](rc.Tab, `document.getElementById("key").textContent`)
	rc.Fill("#name", "Alice's telephone")
	used = codeOf(t, key, steps)
	rc.Fill("#code", used)
	rc.Follow("button.primary")
	rc.WaitFor("#codes")
	codes = browsertest.Eval[[]string](rc.Tab, `Array.from(document.querySelectorAll("#codes li"), e => e.textContent.trim())`)
	return key, used, codes
}

// TestT1_SecondFactorInSecurity: a person switches two-step login on, signs in by a
// code, by a backup code, from a trusted device, and switches it off.
func TestT1_SecondFactorInSecurity(t *testing.T) {
	w := pages(t)
	user := w.user(mainPassword)
	other := browsertest.New(t).Webmail(w.Webmail.URL) // begun with the password alone
	other.SignIn(user, mainPassword)
	other.WaitInbox()
	_, rc := w.signIn(t, user, "")
	w.security(rc)
	rc.WaitText("main", "off")
	rc.Follow("a[href$='security/add']")
	give(rc, "not my password")
	rc.WaitFor("#password")
	give(rc, mainPassword)
	rc.Follow("button[value=totp]")
	key, used, codes := addApp(t, rc, -1)
	if len(codes) != 10 || w.account(user).TwoFactor() {
		t.Fatalf("%d backup codes; two-factor login before they were saved: %v", len(codes), w.account(user).TwoFactor())
	}
	rc.Click("#saved")
	rc.Follow("button.primary")
	rc.WaitText("main", "Two-step login is on")
	rc.NoProblems("status of 422")
	w.want(mailclient.Refused, user, mainPassword)
	rc.Task("_task=mail")
	rc.WaitInbox() // the session that switched it on goes on
	other.Task("_task=mail")
	other.WaitLogin() // the other one, begun with the password alone, does not (E7)
	rc.Logout()

	t.Run("code, and trust", func(t *testing.T) {
		rc.SignIn(user, mainPassword)
		rc.Fill("#code", used)
		if status := rc.Follow("button.primary"); status != http.StatusUnprocessableEntity {
			t.Errorf("the code that enrolled: status %d", status)
		}
		rc.Fill("#code", codeOf(t, key, 0))
		rc.Click("#trust")
		rc.Follow("button.primary")
		rc.WaitInbox()
		rc.Logout()
		rc.SignIn(user, mainPassword)
		rc.WaitInbox() // no code was asked for
	})
	t.Run("not in another browser", func(t *testing.T) {
		rc := browsertest.New(t).Webmail(w.Webmail.URL)
		rc.SignIn(user, mainPassword)
		rc.WaitFor("#code")
		rc.Follow("button[value=backup]")
		rc.Fill("#code", strings.ToUpper(codes[4]))
		rc.Follow("button.primary")
		rc.WaitInbox()
		rc.Logout()
		rc.SignIn(user, mainPassword)
		rc.Follow("button[value=backup]")
		rc.Fill("#code", codes[4])
		if status := rc.Follow("button.primary"); status != http.StatusUnprocessableEntity {
			t.Errorf("a backup code twice: status %d", status)
		}
	})
	t.Run("removed device", func(t *testing.T) {
		w.security(rc)
		rc.WaitText("#backup", "1 of 10")
		rc.Follow("#devices a[href*='kind=device']")
		rc.Follow("button[value=backup]")
		rc.Fill("#code", codes[5])
		rc.Follow("button.primary")
		rc.Follow("main form button[class*=danger], main form button.primary")
		rc.WaitFor("#methods")
		rc.Task("_task=mail")
		rc.WaitInbox() // this session has proved a code by now
		rc.Logout()
		rc.SignIn(user, mainPassword)
		rc.WaitFor("#code")
	})
	t.Run("without JavaScript", func(t *testing.T) {
		rc := browsertest.New(t).Webmail(w.Webmail.URL)
		rc.SignIn(user, mainPassword)
		rc.WaitFor("#code")
		rc.JavaScript(false)
		rc.Fill("#code", codeOf(t, key, 1))
		rc.Follow("button.primary")
		rc.JavaScript(true)
		rc.Task("_task=mail")
		rc.WaitInbox()
		w.security(rc)
		rc.Follow("a[href$='security/disable']")
		rc.Follow("button[value=backup]")
		rc.Fill("#code", codes[6])
		rc.Follow("button.primary")
		rc.Follow("main form button[class*=danger], main form button.primary")
		rc.WaitText("main", "off")
		w.want(mailclient.OK, user, mainPassword)
	})
}

// TestA3_EnrolmentCannotBeSkipped: policy demands a factor; the page comes right after
// the password, and there is no way around it.
func TestA3_EnrolmentCannotBeSkipped(t *testing.T) {
	w := pages(t)
	user := w.user(mainPassword)
	_, err := w.Posternctl(t.Context(), "policy", "set", "user", user, "twofactor=mandatory")
	must(t, err)
	rc := browsertest.New(t).Webmail(w.Webmail.URL)
	rc.SignIn(user, mainPassword)
	rc.WaitFor("button[value=totp]")
	page := rc.Tab.URL()
	rc.Task("_task=mail")
	rc.WaitLogin()
	rc.Go(page)
	rc.Follow("button[value=totp]")
	_, _, codes := addApp(t, rc, 0)
	if len(codes) != 10 {
		t.Errorf("%d codes", len(codes))
	}
	rc.Click("#saved")
	rc.Follow("button.primary")
	if rc.Has("form[action$='enrol/done']") {
		rc.Follow("button.primary")
	}
	w.want(mailclient.Refused, user, mainPassword)
}

// TestW1_Passkeys: a passkey is added in Security, signs in after the password, and,
// once its owner has switched that on, alone.
func TestW1_Passkeys(t *testing.T) {
	w := pages(t)
	user := w.user(mainPassword)
	b := browsertest.New(t)
	key := b.EnableVirtualAuthenticator(browsertest.Passkeys())
	rc := b.Webmail(w.Webmail.URL)
	rc.SignIn(user, mainPassword)
	rc.WaitInbox()
	w.security(rc)
	rc.Follow("a[href$='security/add?method=passkey']")
	give(rc, mainPassword)
	rc.WaitFor("form[data-webauthn=create]")
	rc.Fill("#name", "Laptop")
	rc.Follow("form[data-webauthn=create] button")
	rc.WaitFor("#codes")
	rc.Click("#saved")
	rc.Follow("button.primary")
	rc.WaitText("#methods", "Laptop")
	if n := len(key.Credentials()); n != 1 {
		t.Fatalf("%d credentials", n)
	}
	rc.NoProblems()

	t.Run("W3, the same twice", func(t *testing.T) {
		rc.Follow("a[href$='security/add?method=passkey']")
		passkeyConfirm(rc)
		rc.WaitFor("form[data-webauthn=create]")
		rc.Fill("#name", "Laptop again")
		rc.Click("form[data-webauthn=create] button")
		rc.WaitText("main", "already")
	})
	t.Run("after the password", func(t *testing.T) {
		rc.Task("_task=mail")
		rc.WaitInbox()
		rc.Logout()
		rc.SignIn(user, mainPassword)
		rc.WaitFor("form[data-webauthn=get]")
		rc.Follow("form[data-webauthn=get] button")
		rc.WaitInbox()
		w.want(mailclient.Refused, user, mainPassword)
	})
	alone := func() {
		rc.Task("_task=login")
		rc.WaitLogin()
		rc.Click("[formaction*='_postern=passkey']")
	}
	t.Run("W4, alone", func(t *testing.T) {
		w.security(rc)
		rc.Follow("button.switch")
		if rc.Has("form[data-webauthn=get]") {
			passkeyConfirm(rc)
			rc.WaitFor("#methods")
			rc.Follow("button.switch")
		}
		rc.WaitFor("button.switch[aria-checked=true]")
		rc.Task("_task=mail")
		rc.WaitInbox()
		rc.Logout()
		before := len(w.passwords(user))
		alone() // autofill answers at once, as the authenticator touches itself
		rc.WaitInbox()
		for _, p := range w.passwords(user)[before:] {
			if !strings.HasPrefix(p, "pt1_") {
				t.Errorf("a mail server saw %q", p)
			}
		}
	})
	t.Run("not after it was removed", func(t *testing.T) {
		rc.Logout()
		a := w.account(user)
		list, err := a.Records(account.KindPasskey)
		must(t, err)
		_, err = w.Posternctl(t.Context(), "passkey", "remove", user, list[0].ID)
		must(t, err)
		alone()
		rc.WaitText(".alert.bad", "not accepted")
		key.Remove() // it would touch itself again and again
		rc.Task("_task=mail")
		rc.WaitLogin()
	})
}

// passkeyConfirm answers the page that asks for a factor again, if it is shown.
func passkeyConfirm(rc *browsertest.Webmail) {
	if rc.Has("form[data-webauthn=get]") {
		rc.Follow("form[data-webauthn=get] button")
	}
}

// u2f is a security key of before WebAuthn.
func u2f() webauthn.VirtualAuthenticatorOptions {
	return webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolU2f, Transport: webauthn.AuthenticatorTransportUsb, AutomaticPresenceSimulation: true,
	}
}

// TestW1_SecurityKeys: keys that only notice a touch, old and new, are second factors;
// one that somebody copied is refused (ATTACKS 29).
func TestW1_SecurityKeys(t *testing.T) {
	w := pages(t)
	for name, o := range map[string]webauthn.VirtualAuthenticatorOptions{"CTAP2": browsertest.SecurityKey(), "U2F": u2f()} {
		t.Run(name, func(t *testing.T) {
			user := w.user(mainPassword)
			b := browsertest.New(t)
			key := b.EnableVirtualAuthenticator(o)
			rc := b.Webmail(w.Webmail.URL)
			rc.SignIn(user, mainPassword)
			rc.WaitInbox()
			w.security(rc)
			rc.Follow("a[href$='security/add?method=passkey']")
			give(rc, mainPassword)
			rc.WaitFor("form[data-webauthn=create]")
			rc.Fill("#name", "Key ring")
			rc.Follow("form[data-webauthn=create] button")
			rc.WaitFor("#codes")
			rc.Click("#saved")
			rc.Follow("button.primary")
			rc.WaitText("#methods", "Key ring")
			rc.Task("_task=mail")
			rc.WaitInbox()
			rc.Logout()
			touch := func() int {
				rc.SignIn(user, mainPassword)
				rc.WaitFor("form[data-webauthn=get]")
				return rc.Follow("form[data-webauthn=get] button")
			}
			touch()
			rc.WaitInbox()
			rc.Logout()
			if name == "U2F" {
				return // Chromium's virtual one takes no copies
			}
			copied := key.Credentials()[0]
			copied.SignCount = 0
			key.RemoveCredential(copied.CredentialID)
			key.AddCredential(copied)
			if status := touch(); status != http.StatusUnprocessableEntity {
				t.Errorf("a copy of the key: status %d", status)
			}
			rc.WaitText(".alert.bad", "copied")
			rc.Follow("button[value=backup]") // another way is one click away
			rc.WaitFor("#code")
		})
	}
}
