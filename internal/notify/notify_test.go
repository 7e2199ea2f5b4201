package notify_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/notify"
	"postern/internal/web/catalogue"
)

// Every topic, in every language, is a mail that says what, when, where and by whom,
// and has nothing to click on.
func TestA11_EveryTopicInEveryLanguage(t *testing.T) {
	c := composer(t)
	templates, err := notify.ReadTemplates("")
	if err != nil {
		t.Fatal(err)
	}
	subjects := map[string]bool{}
	for _, lang := range catalogue.Languages() {
		for _, topic := range notify.Topics() {
			l := &notify.Letter{ID: "1", Topic: topic, Time: began, Account: "x", User: "alice@example.test", Domain: "example.test",
				Credential: "totp:abc", Name: "Pixel 9", Address: "192.0.2.7", Client: "Firefox, Linux", By: "root@host", Left: 2}
			m, err := c.Compose([]*notify.Letter{l}, lang.Tag, true)
			if err != nil {
				t.Errorf("%s %s: %v", lang.Tag, topic, err)
				continue
			}
			e, err := templates.Write(m, "alice@example.test", []*notify.Letter{l}, began)
			if err != nil {
				t.Fatal(err)
			}
			got := parse(t, e.Data)
			for _, body := range []string{got.plain, got.html} {
				wants := []string{m.Text, "Pixel 9", "14:03", "192.0.2.7", "Firefox, Linux", "root@host", "alice@example.test"}
				if !topic.ByItself() { // else there is nobody to ask about
					wants = append(wants, "help@example.test")
				}
				for _, want := range wants {
					if !strings.Contains(body, want) && !strings.Contains(body, strings.NewReplacer("'", "&#39;", "’", "’").Replace(want)) {
						t.Errorf("%s %s: no %q in\n%s", lang.Tag, topic, want, body)
					}
				}
				if strings.Contains(body, "http") || strings.Contains(body, "<a ") || strings.Contains(body, "{{") {
					t.Errorf("%s %s has a link or a loose end:\n%s", lang.Tag, topic, body)
				}
			}
			if got.header.Get("Auto-Submitted") != "auto-generated" || got.header.Get("Message-Id") == "" || got.header.Get("Date") == "" {
				t.Errorf("header %v", got.header)
			}
			subjects[lang.Tag+got.subject(t)] = true
		}
	}
	if want := len(catalogue.Languages()) * len(notify.Topics()); len(subjects) != want {
		t.Errorf("%d subjects for %d mails", len(subjects), want)
	}
}

// What one change brings about is one mail, of which the gravest part is the subject.
func TestA11_OneMailForOneMoment(t *testing.T) {
	b := newBench(t)
	b.Settle = 2 * time.Second
	for _, e := range []effect.Event{
		happened(effect.BackupCodesMade, nil),
		happened(effect.TOTPAdded, func(e *effect.Event) { e.Credential, e.Name = "totp:1", "Pixel 9" }),
		happened(effect.TwoFactorOn, func(e *effect.Event) {
			e.Client, e.Agent = netip.MustParseAddr("192.0.2.7"), "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
		}),
		happened(effect.Renamed, nil), // nobody is told
		happened(effect.TOTPRemoved, func(e *effect.Event) { e.Outcome = "refused" }),
	} {
		b.recorder.Record(e)
	}
	if left := b.pass(time.Second); left != 0 || len(b.box.all()) != 0 {
		t.Errorf("%d left; sent before the moment was over", left)
	}
	b.pass(2 * time.Second)
	m := b.only()
	if got := m.subject(t); got != "Two-step login was switched on" {
		t.Errorf("subject %q", got)
	}
	m.wants(t, "When: 22 November 2026, 14:03 CET", "Address: 192.0.2.7", "Firefox, Linux", "A sign-in method was added: Authenticator app, “Pixel 9”", "New backup codes were made",
		"If this was you, there is nothing to do.")
	if strings.Contains(m.plain, "By:") {
		t.Error("owners are told that they did it")
	}
	from, err := m.header.AddressList("From")
	if err != nil || len(from) != 1 || from[0].Address != "postmaster@example.test" || from[0].Name != "Beispiel-Post" {
		t.Errorf("from %v %v", from, err)
	}
	if left := b.pass(time.Hour); left != 0 || len(b.box.all()) != 1 {
		t.Error("sent again")
	}
	if len(b.events.list) != 3 || b.events.list[0].Action != effect.Mailed || b.events.list[0].Outcome != "done" ||
		b.events.list[0].Detail != "to 1 of the owner's addresses" {
		t.Errorf("recorded %+v", b.events.list)
	}
}

// A5: the mail after a reset says by whom.
func TestA5_ResetSaysByWhom(t *testing.T) {
	b := newBench(t)
	b.recorder.Record(happened(effect.Reset, func(e *effect.Event) { e.ByOwner, e.Actor = false, "helpdesk@example.test" }))
	b.pass(0)
	b.only().wants(t, "By: helpdesk@example.test", "If you asked for this")
}

// Two languages, two brands: the owner's language first, then the domain's.
func TestA9_A11_BrandAndLanguage(t *testing.T) {
	for _, c := range []struct{ domain, wanted, subject, name, from string }{
		{"example.test", "de-AT, en;q=0.5", "Ein App-Passwort wurde erzeugt", "Beispiel-Post", "postmaster@example.test"},
		{"example.test", "ja", "An app password was made", "Beispiel-Post", "postmaster@example.test"},
		{"OTHER.test", "", "Создан пароль приложения", "Другая почта", "security@mail.other.test"},
		{"other.test", "fr", "Un mot de passe d’application a été créé", "Другая почта", "security@mail.other.test"},
	} {
		b := newBench(t)
		b.directory.language = c.wanted
		b.recorder.Record(happened(effect.AppPasswordCreated, func(e *effect.Event) { e.Domain, e.Name = c.domain, "Телефон" }))
		b.pass(0)
		m := b.only()
		from, err := m.header.AddressList("From")
		if err != nil || m.subject(t) != c.subject || from[0].Name != c.name || from[0].Address != c.from {
			t.Errorf("%v: %q, %v %v", c, m.subject(t), from, err)
		}
		m.wants(t, "Телефон", c.name)
		if accent := map[bool]string{true: "#7a1f5c", false: "#0f6768"}[strings.EqualFold(c.domain, "other.test")]; !strings.Contains(m.html, accent) {
			t.Errorf("%v: not in the domain's colour", c)
		}
	}
}

// A mail server that is down holds up nobody, is complained about once, and gets every
// mail when it is back; also after a restart.
func TestA11_ServerDownAndRestart(t *testing.T) {
	b := newBench(t)
	up := b.Transport
	b.Transport = &notify.Server{URL: "smtp://127.0.0.1:1"}
	b.recorder.Record(happened(effect.Reset, nil))
	b.recorder.Record(happened(effect.AppPasswordCreated, func(e *effect.Event) { e.Account = "id-bob" }))
	for second := range 60 {
		if left := b.pass(time.Duration(second) * time.Second); left == 0 && second == 0 {
			t.Error("nothing left")
		}
	}
	if len(b.failed) != 1 {
		t.Errorf("told %q", b.failed)
	}
	b.Transport = up
	b.restart()
	if left := b.pass(time.Hour); left != 0 || len(b.box.all()) != 2 {
		t.Errorf("%d left, %d mails", left, len(b.box.all()))
	}
}

// The directory being down loses nothing either; an account that is gone is no mail.
func TestA11_DirectoryDown(t *testing.T) {
	b := newBench(t)
	b.directory.err = errDirectory
	b.recorder.Record(happened(effect.Reset, nil))
	if left := b.pass(0); left != 1 {
		t.Errorf("%d left", left)
	}
	b.directory.err = nil
	b.pass(time.Minute)
	b.only()
	b.directory.err = account.ErrUnknown
	b.recorder.Record(happened(effect.Reset, nil))
	if left := b.pass(2 * time.Minute); left != 0 || len(b.box.all()) != 1 {
		t.Errorf("%d left, %d mails", left, len(b.box.all()))
	}
}

// A20: the address outside of the mailbox gets every mail as well, and one that fails
// keeps the other from nothing. None gets a mail twice.
func TestA20_SecondAddress(t *testing.T) {
	b := newBench(t)
	b.directory.addresses = []string{"alice@example.test", "alice@elsewhere.test"}
	b.box.refuse["alice@example.test"] = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "mailbox full"}
	b.recorder.Record(happened(effect.Reset, nil))
	if left := b.pass(0); left != 1 {
		t.Errorf("%d left", left)
	}
	b.restart()
	b.pass(time.Minute)
	b.box.mu.Lock()
	delete(b.box.refuse, "alice@example.test")
	b.box.mu.Unlock()
	b.restart()
	if left := b.pass(time.Hour); left != 0 {
		t.Errorf("%d left", left)
	}
	var to []string
	for _, m := range b.box.all() {
		to = append(to, m.to)
	}
	if !slices.Equal(to, []string{"alice@elsewhere.test", "alice@example.test"}) {
		t.Errorf("sent to %v", to)
	}
	if e := b.events.list; len(e) != 1 || e[0].Detail != "to 2 of the owner's addresses" {
		t.Errorf("recorded %+v", e)
	}
	first, second := parse(t, b.box.all()[0].data), parse(t, b.box.all()[1].data)
	if first.header.Get("Message-Id") != second.header.Get("Message-Id") {
		t.Error("one mail with two names")
	}
}

// What no server takes is given up, and that is an event.
func TestA11_GivesUp(t *testing.T) {
	for name, c := range map[string]struct {
		code  int
		after time.Duration
	}{"refused": {550, 4 * time.Hour}, "busy": {451, 4 * 24 * time.Hour}} {
		b := newBench(t)
		b.box.refuse["alice@example.test"] = &smtp.SMTPError{Code: c.code, Message: "no"}
		b.recorder.Record(happened(effect.Reset, nil))
		if left := b.pass(c.after - time.Minute); left != 1 {
			t.Errorf("%s: given up too early", name)
		}
		if left := b.pass(c.after); left != 0 || len(b.events.list) != 1 || b.events.list[0].Outcome != "unavailable" {
			t.Errorf("%s: %d left, %+v", name, left, b.events.list)
		}
	}
}

// ATTACKS 7: the owner hears of wrong second factors, and not a hundred times.
func TestAttack07_OwnerToldOncePerHour(t *testing.T) {
	b := newBench(t)
	wrong := func(after time.Duration) {
		b.recorder.Record(happened(effect.SecondFactor, func(e *effect.Event) {
			e.Time, e.Outcome, e.Reason, e.Proven, e.ByOwner = began.Add(after), "denied", "wrong_code", true, false
		}))
	}
	for i := range 100 {
		wrong(time.Duration(i) * 10 * time.Second)
	}
	if list, err := b.Spool.List(); err != nil || len(list) != 1 {
		t.Errorf("%d files, %v", len(list), err)
	}
	b.pass(1000 * time.Second)
	// Another process knows nothing of the first one's.
	b.recorder = &notify.Recorder{Spool: b.Spool, Failed: b.fail}
	wrong(50 * time.Minute)
	b.restart()
	b.pass(50 * time.Minute)
	if n := len(b.box.all()); n != 1 {
		t.Errorf("%d mails within the hour", n)
	}
	wrong(61 * time.Minute)
	b.recorder = &notify.Recorder{Spool: b.Spool, Failed: b.fail}
	wrong(61 * time.Minute)
	b.pass(61 * time.Minute)
	if n := len(b.box.all()); n != 2 {
		t.Errorf("%d mails within two hours", n)
	}
	b.recorder.Record(happened(effect.FactorDisabled, func(e *effect.Event) { e.Outcome, e.ByOwner = "alarm", false }))
	b.pass(62 * time.Minute)
	if got := parse(t, b.box.all()[2].data).subject(t); got != "A sign-in method was switched off after too many wrong tries" {
		t.Error(got)
	}
}

// P4: a revoked app password that is presented is told once a day, each.
func TestP4_RevokedPresentedOncePerDay(t *testing.T) {
	b := newBench(t)
	tried := func(id string, after time.Duration) {
		b.recorder.Record(happened(effect.Login, func(e *effect.Event) {
			e.Time, e.Outcome, e.Reason, e.Credential, e.Name, e.ByOwner = began.Add(after), "denied", "app_password_revoked", "app:"+id, "old phone", false
		}))
	}
	for hour := range 24 {
		tried("aaaa", time.Duration(hour)*time.Hour)
		b.restart()
		b.pass(time.Duration(hour) * time.Hour)
	}
	if n := len(b.box.all()); n != 1 {
		t.Errorf("%d mails on one day", n)
	}
	tried("bbbb", 23*time.Hour)
	tried("aaaa", 24*time.Hour+time.Minute)
	b.pass(24*time.Hour + time.Minute)
	m := parse(t, b.box.all()[1].data)
	m.wants(t, "old phone")
	if n := len(b.box.all()); n != 2 {
		t.Errorf("%d mails", n)
	}
}

// A day has a limit; the last mail says so, and what matters most comes all the same.
func TestA11_DailyLimit(t *testing.T) {
	b := newBench(t)
	b.Most = 5
	for i := range 8 {
		b.recorder.Record(happened(effect.AppPasswordCreated, nil))
		if i == 6 {
			b.restart()
		}
		b.pass(time.Duration(i) * time.Minute)
	}
	mails := b.box.all()
	if len(mails) != 5 {
		t.Fatalf("%d mails", len(mails))
	}
	more := "No more mails of this kind"
	if l := parse(t, mails[4].data); !strings.Contains(l.plain, more) || strings.Contains(parse(t, mails[3].data).plain, more) {
		t.Errorf("the last one:\n%s", l.plain)
	}
	for i, a := range []effect.Action{effect.TwoFactorOn, effect.TwoFactorOff, effect.Reset, effect.BypassGranted} {
		b.recorder.Record(happened(a, nil))
		b.pass(10 * time.Minute)
		if n := len(b.box.all()); n != 6+i {
			t.Errorf("no mail of %s", a)
		}
	}
	b.recorder.Record(happened(effect.AppPasswordCreated, func(e *effect.Event) { e.Account = "id-bob" }))
	b.pass(10 * time.Minute)
	b.recorder.Record(happened(effect.AppPasswordCreated, nil))
	b.pass(25 * time.Hour)
	if n := len(b.box.all()); n != 11 {
		t.Errorf("%d mails, of another account and on another day", n)
	}
}

var hostile = []string{
	"x\r\nBcc: eve@evil.test", "x\nSubject: y\n\nhello", "=?utf-8?q?=0ABcc:_eve=40evil.test?=", "a\u202egnp.exe", "a\x00b", strings.Repeat("long ", 100),
	"<script>alert(1)</script>", "Log in at https://evil.test/login?x=1 now", "www.evil.test", "call evil.test/a or eve@evil.test", "\" <eve@evil.test>, \"", "Телефон 📱",
}

// Whoever names an app password, a device or a browser writes no mail: no header, no
// further recipient, no line, no link.
func TestAttack31_HostileNamesInMails(t *testing.T) {
	link := regexp.MustCompile(`(?i)[a-z]+://|www\.|\w@evil|evil\.test`)
	for _, name := range hostile {
		b := newBench(t)
		b.Composer.Site.Name = name
		b.recorder.Record(happened(effect.AppPasswordCreated, func(e *effect.Event) { e.Name, e.Agent, e.Actor, e.ByOwner = name, name, "root", false }))
		b.recorder.Record(happened(effect.DeviceTrusted, func(e *effect.Event) { e.Name, e.Credential = name, "device:1" }))
		b.recorder.Record(happened(effect.PasswordChanged, func(e *effect.Event) { e.Kept = []string{name, name} }))
		b.pass(0)
		mails := b.box.all()
		if len(mails) != 1 || mails[0].to != "alice@example.test" || mails[0].from != "postmaster@example.test" {
			t.Fatalf("%q: %d mails; told %q", name, len(mails), b.failed)
		}
		m := parse(t, mails[0].data)
		for _, field := range []string{"Bcc", "Cc"} {
			if m.header.Has(field) {
				t.Errorf("%q made a header", name)
			}
		}
		to, err := m.header.AddressList("To")
		if from, err2 := m.header.AddressList("From"); err != nil || err2 != nil || len(to) != 1 || len(from) != 1 || from[0].Address != "postmaster@example.test" {
			t.Errorf("%q: to %v, from %v, %v %v", name, to, from, err, err2)
		}
		if got := m.subject(t); got != "The main password was changed, app passwords go on" {
			t.Errorf("%q: subject %q", name, got)
		}
		body := strings.ReplaceAll(m.plain[:strings.LastIndex(m.plain, "\n-- ")], "alice@example.test", "") // below is the site's own name
		if found := link.FindString(body); found != "" {
			t.Errorf("%q: a mail program makes a link of %q", name, found)
		}
		if strings.Contains(m.html, "<script") || strings.ContainsAny(body, "\u202e\x00") {
			t.Errorf("%q goes through", name)
		}
		for _, line := range strings.Split(body, "\n") {
			if strings.HasPrefix(line, "hello") || strings.HasPrefix(line, "Bcc") || strings.HasPrefix(line, "Subject") {
				t.Errorf("%q made a line", name)
			}
		}
	}
}

// A20: addresses as far as the site's privacy lets them be written.
func TestA20_AddressPrivacyInMails(t *testing.T) {
	for privacy, want := range map[effect.AddressPrivacy][2]string{
		effect.AddressFull: {"192.0.2.7", "2001:db8:1:2::7"}, effect.AddressPrefix: {"192.0.2.0/24", "2001:db8:1::/48"}, effect.AddressNone: {},
	} {
		for i, addr := range []string{"192.0.2.7", "2001:db8:1:2::7"} {
			b := newBench(t)
			b.recorder.Privacy = privacy
			b.recorder.Record(happened(effect.AppPasswordCreated, func(e *effect.Event) { e.Client = netip.MustParseAddr(addr) }))
			b.pass(0)
			m := b.only()
			found := regexp.MustCompile(`(?m)^Address: (.*)$`).FindStringSubmatch(m.plain)
			if got := strings.Join(found, ""); strings.TrimPrefix(got, "Address: "+want[i]) != want[i] {
				t.Errorf("%s: %q", privacy, found)
			}
		}
	}
}

// Templates of the site's own: the most particular is taken, also for the subject.
func TestA11_OwnTemplates(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("reset.txt", "Subject: Reset of {{.User}}\n\nOURS {{.Text}}\n")
	write("other.test/reset.ru.txt", "THEIRS {{.Brand.Name}}\n")
	write("mail.html", "<p>{{.Subject}}</p>")
	templates, err := notify.ReadTemplates(dir)
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]string{"example.test": "OURS All sign-in", "other.test": "THEIRS Другая"} {
		b := newBench(t)
		b.Templates = templates
		b.recorder.Record(happened(effect.Reset, func(e *effect.Event) { e.Domain = domain }))
		b.pass(0)
		m := b.only()
		if !strings.HasPrefix(m.plain, want) || domain == "example.test" && (m.subject(t) != "Reset of alice@example.test" || !strings.Contains(m.html, "<p>Reset of alice")) {
			t.Errorf("%s: %q\n%s\n%s", domain, m.subject(t), m.plain, m.html)
		}
	}
	write("rest.txt", "x")
	write("reset.xx.txt", "x")
	write("mail.md", "x")
	write("app_created.txt", "{{.Secret}}")
	write("app_revoked.html", "{{.User")
	_, err = notify.ReadTemplates(dir)
	for _, name := range []string{"rest.txt", "reset.xx.txt", "mail.md", "app_created.txt", "app_revoked.html"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not among %v", name, err)
		}
	}
	if _, err := notify.ReadTemplates(filepath.Join(dir, "nothing")); err == nil {
		t.Error("a directory that is not there")
	}
}

// Of two daemons on one spool one delivers.
func TestA11_OneDelivererPerSpool(t *testing.T) {
	b := newBench(t)
	unlock, ok, err := b.Spool.Lock()
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	other, err := notify.OpenSpool(filepath.Join(t.TempDir(), "mail"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := b.Spool.Lock(); ok {
		t.Error("locked twice")
	}
	if _, ok, _ := other.Lock(); !ok {
		t.Error("another spool is locked, too")
	}
	unlock()
	if _, ok, _ := b.Spool.Lock(); !ok {
		t.Error("locked for ever")
	}
}

// ATTACKS 36: the mail after a change of the main password names the app passwords that
// go on, and tells neither address nor program of whoever's login it was noticed at.
func TestAttack36_MailNamesKeptAppPasswords(t *testing.T) {
	b := newBench(t)
	b.recorder.Record(happened(effect.PasswordChanged, func(e *effect.Event) {
		e.Kept, e.At, e.ByOwner = []string{"iPhone", "Thunderbird"}, began.Add(-24*time.Hour), false
		e.Client, e.Agent = netip.MustParseAddr("203.0.113.7"), "K-9 Mail"
	}))
	b.recorder.Record(happened(effect.BackupCodeUsed, func(e *effect.Event) { e.Left = 3 }))
	b.pass(0)
	m := b.only()
	m.wants(t, "App passwords that go on: “iPhone”, “Thunderbird”", "When: 21 November 2026, 14:03 CET", "A backup code was used: 3 are left", "Few backup codes are left")
	if strings.Contains(m.plain, "203.0.113.7") || strings.Contains(m.plain, "K-9") {
		t.Errorf("%s", m.plain)
	}
}

// P3: that an app password has stopped is told with the time at which it did, and who
// noticed does not matter.
func TestP3_StoppedAppPasswordIsMailed(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"app:1", "app:2"} {
		b.recorder.Record(happened(effect.AppPasswordStopped, func(e *effect.Event) {
			e.ByOwner, e.Actor, e.Reason, e.Credential, e.Name = false, "policyserver", effect.ReasonUnused, id, "tablet"
			if e.At = e.Time.Add(-24 * time.Hour); id == "app:2" {
				e.At = e.Time.Add(-8 * 24 * time.Hour) // no news any more
			}
		}))
	}
	b.pass(0)
	m := b.only()
	if got := m.subject(t); got != "An app password no longer works, because nobody used it" {
		t.Errorf("subject %q", got)
	}
	m.wants(t, "“tablet”", "When: 21 November 2026, 14:03 CET", "renew it in Security")
	if strings.Contains(m.plain, "policyserver") || strings.Contains(m.plain, "If this was you") {
		t.Error(m.plain)
	}
}
