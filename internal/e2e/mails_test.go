package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-message/mail"

	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// mailed is a mail as its reader sees it.
type mailed struct {
	subject, text, raw string
}

// inbox reads all mails of a user by IMAP, with an app password.
func (w *world) inbox(user, app string) []mailed {
	w.t.Helper()
	c, err := imapclient.DialTLS(local(w.Dovecot.IMAPS), &imapclient.Options{TLSConfig: trusting(w.t, w.Dovecot.CAFile)})
	must(w.t, err)
	defer c.Close()
	must(w.t, c.Login(user, app).Wait())
	box, err := c.Select("INBOX", nil).Wait()
	must(w.t, err)
	if box.NumMessages == 0 {
		return nil
	}
	var set imap.SeqSet
	set.AddRange(1, box.NumMessages)
	found, err := c.Fetch(set, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{}}}).Collect()
	must(w.t, err)
	var list []mailed
	for _, m := range found {
		list = append(list, readMail(w.t, m.BodySection[0].Bytes))
	}
	return list
}

func readMail(t *testing.T, raw []byte) mailed {
	t.Helper()
	r, err := mail.CreateReader(bytes.NewReader(raw))
	must(t, err)
	m := mailed{raw: string(raw)}
	m.subject, err = r.Header.Subject()
	must(t, err)
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return m
		}
		must(t, err)
		b, err := io.ReadAll(p.Body)
		must(t, err)
		m.text += string(b)
	}
}

// awaitMail waits until a mail with a subject has come.
func (w *world) awaitMail(user, app, subject string) mailed {
	w.t.Helper()
	var found mailed
	eventually(w.t, "the mail: "+subject, func() bool {
		for _, m := range w.inbox(user, app) {
			if m.subject == subject {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// ctlField runs posternctl with --json, and returns one field of what it printed.
func (w *world) ctlField(field string, args ...string) string {
	w.t.Helper()
	out, err := w.Posternctl(w.t.Context(), append([]string{"--json"}, args...)...)
	must(w.t, err)
	var object map[string]any
	must(w.t, json.Unmarshal([]byte(out), &object))
	text, _ := object[field].(string)
	return text
}

// A11, A5, A20, P4: what an administrator does, and what a thief tries, arrives in the
// mailbox by the site's own Postfix and Dovecot, in the owner's language, and at the
// address outside of it; and nothing that is secret is in any mail.
func TestA11_MailsArrive(t *testing.T) {
	mailtest.Long(t)
	t.Parallel()
	w := fresh(t, mailtest.Options{
		Mails: true, Dovecot: &mailtest.DovecotOptions{Door: "2.3-lua.conf"}, Postfix: &mailtest.PostfixOptions{},
		Settings: mailtest.Settings{"mail": {"second_address_attribute": "carLicense", "contact": "help@example.test"}, "pages": {"name": "Beispiel-Post"}},
	})
	user, outside := w.user("pw"), w.user("pw2")
	must(t, w.Slapd.SetAttr(user, "preferredLanguage", "de"))
	must(t, w.Slapd.SetAttr(user, "carLicense", outside))
	other := w.ctlField("password", "app-password", "create", outside, "--name", "reader")
	w.awaitMail(outside, other, "An app password was made")

	secret := w.ctlField("secret", "totp", "add", user, "--name", "Pixel 9")
	app := w.ctlField("password", "app-password", "create", user, "--name", "Telefon")
	m := w.awaitMail(user, app, "Die Anmeldung in zwei Schritten wurde eingeschaltet")
	for _, want := range []string{"Pixel 9", "Von: posternctl ", "help@example.test", "Beispiel-Post"} {
		if !strings.Contains(m.text, want) {
			t.Errorf("no %q in\n%s", want, m.text)
		}
	}
	w.awaitMail(outside, other, "Die Anmeldung in zwei Schritten wurde eingeschaltet")

	stolen := w.ctlField("password", "app-password", "create", user, "--name", "altes Telefon")
	w.ctlField("id", "app-password", "revoke", user, strings.ReplaceAll(stolen, "-", "")[:4])
	for range 3 {
		if r := w.login(mailclient.IMAP, mailclient.MechPlain, user, stolen); r.Outcome != mailclient.Refused {
			t.Errorf("a revoked app password: %v", r)
		}
	}
	m = w.awaitMail(user, app, "Ein widerrufenes App-Passwort wird noch benutzt")
	if !strings.Contains(m.text, "altes Telefon") || !strings.Contains(m.text, "127.0.0.1") {
		t.Errorf("%s", m.text)
	}

	token := w.ctlField("token", "user", "reset", user)
	m = w.awaitMail(outside, other, "Die Anmeldung in zwei Schritten wurde zurückgesetzt")
	if !strings.Contains(m.text, "Von: posternctl ") {
		t.Errorf("does not say by whom:\n%s", m.text)
	}
	reader := w.ctlField("password", "app-password", "create", user, "--name", "reader")
	w.awaitMail(user, reader, "Die Anmeldung in zwei Schritten wurde zurückgesetzt")
	all := append(w.inbox(user, reader), w.inbox(outside, other)...)
	tried := 0
	for _, m := range all {
		for _, secret := range []string{secret, app, stolen, token, reader, other, "pw2", mailtest.Password, "://"} {
			if secret == "" {
				t.Error("planted nothing")
			} else if strings.Contains(m.raw+m.text, secret) || strings.Contains(m.text, strings.ReplaceAll(secret, "-", "")) {
				t.Errorf("%q tells %q", m.subject, secret)
			}
		}
		if m.subject == "Ein widerrufenes App-Passwort wird noch benutzt" {
			tried++
		}
	}
	if len(all) < 6 || tried != 2 {
		t.Errorf("%d mails, %d of the revoked app password", len(all), tried)
	}
}
