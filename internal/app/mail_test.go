package app_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/effect"
	"postern/internal/mailtest"
	"postern/internal/notify"
)

func TestMailProblems(t *testing.T) {
	for text, want := range map[string]string{
		`server = "smtp://127.0.0.1"`:                                                              "",
		`server = "lmtp:///run/dovecot/lmtp"`:                                                      "",
		"server = \"smtp://mail.example.test\"\nuser = \"p\"\npassword_file = \"/p\"":              "readably",
		"server = \"smtps://mail.example.test\"\nuser = \"p\"\npassword_file = \"/p\"":             "",
		"server = \"smtp://mail.example.test\"\nuser = \"p\"\npassword_file=\"/p\"\nstarttls=true": "",
		"server = \"smtp://[::1]:25\"\nuser = \"p\"\npassword_file = \"/p\"":                       "",
		"server = \"lmtp://127.0.0.1\"\nuser = \"p\"\npassword_file = \"/p\"":                      "no AUTH",
		"server = \"smtp://127.0.0.1\"\nuser = \"p\"":                                              "both or neither",
		"server = \"lmtp://127.0.0.1\"\nstarttls = true":                                           "smtp:// only",
		`server = "mail.example.test"`:                                                             "mail.server",
		`from = "postmaster"`:                                                                      "mail.from",
		`from = "a@%d\r\nBcc: x@y"`:                                                                "mail.from",
		`spool = "here"`:                                                                           "mail.spool",
		`templates = "here"`:                                                                       "mail.templates",
		`daily_limit = 0`:                                                                          "mail.daily_limit",
		"[mail.domains.\"other.test\"]\nlanguage = \"xx\"":                                         "mail.domains.other.test.language",
		"[mail.domains.\"other.test\"]\nfrom = \"x\"":                                              "mail.domains.other.test",
		"[mail.domains.\"other.test\"]\nform = \"x\"":                                              "no such setting",
	} {
		_, err := app.Parse("f", []byte(minimal+"[mail]\n"+text+"\n"))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A site that sends no mails has no spool, and no event goes anywhere but where it did.
func TestA11_NoMailsUnlessConfigured(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mail")
	cfg, err := app.Parse("f", []byte(minimal+"[mail]\nspool = \""+dir+"\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	var plain effect.Recorder = effect.Discard{}
	r, err := cfg.MailRecorder(plain, func(err error) { t.Error(err) })
	if err != nil || r != plain {
		t.Errorf("%T %v", r, err)
	}
	if d, err := cfg.OpenMails(nil, plain, nil); d != nil || err != nil || cfg.CheckMails() != nil {
		t.Error(d, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a spool all the same: %v", err)
	}
}

// -check finds what is wrong with files.
func TestMailFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "reste.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := app.Parse("f", []byte(minimal+"[mail]\nserver = \"smtps://127.0.0.1\"\nspool = \""+dir+"/s/mail\"\ntemplates = \""+dir+
		"\"\nuser = \"x\"\npassword_file = \"/nowhere\"\nca_file = \"/nowhere/ca\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	err = cfg.CheckMails()
	for _, want := range []string{"reste.txt", "mail.password_file", "mail.ca_file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in: %v", want, err)
		}
	}
}

// Addresses and language come from the directory, the sender and the texts from the
// configuration.
func TestA20_ContactFromTheDirectory(t *testing.T) {
	user := "carol@example.test"
	site, err := mailtest.Start(t.Context(), mailtest.Options{WithoutPolicyserver: true, Settings: mailtest.Settings{
		"mail": {"server": "smtp://127.0.0.1:1", "second_address_attribute": "carLicense", "spool": filepath.Join(t.TempDir(), "mail")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Stop)
	for attribute, value := range map[string]string{"preferredLanguage": "fr-CH, de;q=0.5", "carLicense": "carol@elsewhere.test"} {
		if err := site.Slapd.SetAttr(user, attribute, value); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := app.Load(site.Path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := site.Posternctl(t.Context(), "keys", "new"); err != nil {
		t.Fatal(err)
	}
	store, _, err := cfg.OpenStore(account.RoleDoor, account.RoleFactor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	d, err := cfg.OpenMails(store, effect.Discard{}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	a, err := store.Find(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Directory.Contact(t.Context(), &notify.Letter{Account: a.ID, User: a.Name})
	if err != nil || !slices.Equal(c.Addresses, []string{user, "carol@elsewhere.test"}) || c.Language != "fr-CH, de;q=0.5" {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := d.Directory.Contact(t.Context(), &notify.Letter{Account: "no-such"}); !errors.Is(err, account.ErrUnknown) {
		t.Errorf("nobody: %v", err)
	}
	r, err := cfg.MailRecorder(effect.Discard{}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	r.Record(effect.Event{Time: time.Now(), Action: effect.Reset, Outcome: "done", Account: a.ID, User: a.Name, Client: netip.MustParseAddr("192.0.2.7")})
	if list, err := d.Spool.List(); err != nil || len(list) != 1 || list[0].Address != "192.0.2.7" {
		t.Errorf("%v %v", list, err)
	}
}
