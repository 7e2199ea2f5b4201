package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/notify"
	"postern/internal/secretfile"
	"postern/internal/web/catalogue"
	"postern/ldapstore"
)

// Mail configures the mails to users about what happens to their accounts.
type Mail struct {
	Server       string                `toml:"server" doc:"Where mails are handed over: smtp://127.0.0.1:25, smtps://mail.example.test:465, lmtp://127.0.0.1:24 or lmtp:///run/dovecot/lmtp. Empty: no mails."`
	StartTLS     bool                  `toml:"starttls" doc:"With smtp://, STARTTLS (RFC 3207); refused means that nothing is sent."`
	CAFile       string                `toml:"ca_file" doc:"PEM file of the authorities to trust instead of the system's."`
	User         string                `toml:"user" doc:"User name for SMTP AUTH. Empty: none."`
	PasswordFile string                `toml:"password_file" doc:"File with its password (mode 0600 or 0640), or credential:NAME."`
	From         string                `toml:"from" doc:"Sender; %d is the domain of the account. Where answers and bounces go."`
	Contact      string                `toml:"contact" doc:"Whom users write to if it was not them: an address, a telephone number. Empty: pages.contact, or pages.support, or \"your mail administrator\"."`
	Address      string                `toml:"address_attribute" doc:"Attribute with the address of the user's mailbox. Empty: the account's own name (directory.login_attribute)."`
	Second       string                `toml:"second_address_attribute" doc:"Attribute with an address outside of the mailbox, which gets every mail as well: who has broken into the mailbox cannot delete that. Users should not be able to change it by themselves. Empty: none."`
	Language     string                `toml:"language_attribute" doc:"Attribute with the user's language, as RFC 2798 has it. Empty: the domain's, or pages.language."`
	NewSignIn    bool                  `toml:"new_sign_in" doc:"Also a mail for each sign-in at webmail with a browser and system that were not used before."`
	DailyLimit   int                   `toml:"daily_limit" doc:"Mails to one account in 24 hours; the last says that there are more. 2FA on and off, resets and bypasses are told in any case."`
	Templates    string                `toml:"templates" doc:"Directory of templates of your own, such as /etc/postern/mail: docs/mails.md. Empty: the built-in ones."`
	Spool        string                `toml:"spool" doc:"Where mails wait for the mail server, on this host."`
	Domains      map[string]MailDomain `toml:"domains" doc:"What is different for accounts of a domain: from, contact, language. Name and colours are those of pages.domains."`
}

// MailDomain is what is different for a domain.
type MailDomain struct {
	From     string `toml:"from"`
	Contact  string `toml:"contact"`
	Language string `toml:"language"`
}

func defaultMail() Mail {
	return Mail{From: "postmaster@%d", Language: "preferredLanguage", NewSignIn: true, DailyLimit: 20,
		Spool: "/var/lib/postern/mail", Domains: map[string]MailDomain{}}
}

// On reports whether mails are sent at all.
func (m *Mail) On() bool { return m.Server != "" }

func (m *Mail) problems(ps *problemList) {
	ps.absolute("mail.spool", m.Spool)
	ps.count("mail.daily_limit", m.DailyLimit)
	if m.Templates != "" {
		ps.absolute("mail.templates", m.Templates)
	}
	ps.join("mail", m.fromProblem("from", m.From))
	for domain, d := range m.Domains {
		if d.From != "" {
			ps.join("mail.domains."+domain, m.fromProblem("from", d.From))
		}
		if d.Language != "" && catalogue.Known(d.Language) == "" {
			ps.add("mail.domains.%s.language: %q: there are %s", domain, d.Language, catalogue.Names())
		}
	}
	m.serverProblems(ps)
}

func (m *Mail) serverProblems(ps *problemList) {
	if (m.User == "") != (m.PasswordFile == "") {
		ps.add("mail.user and mail.password_file: both or neither")
	}
	if !m.On() {
		return
	}
	network, address, err := (&notify.Server{URL: m.Server}).Parse()
	if err != nil {
		ps.add("mail.server: %w", err)
		return
	}
	host, _, _ := net.SplitHostPort(address) //nolint:errcheck // a path has no host
	plain := network == "tcp" && !strings.HasPrefix(m.Server, "smtps:") && !m.StartTLS && !loopback(host)
	switch {
	case m.StartTLS && !strings.HasPrefix(m.Server, "smtp:"):
		ps.add("mail.starttls: goes with smtp:// only")
	case m.User != "" && plain:
		ps.add("mail.user: set mail.starttls, or use smtps://: the password would cross the network readably")
	case m.User != "" && strings.HasPrefix(m.Server, "lmtp:"):
		ps.add("mail.user: LMTP knows no AUTH")
	}
}

func (m *Mail) fromProblem(key, from string) error {
	if !notify.ValidAddress(strings.ReplaceAll(from, "%d", "example.test")) {
		return fmt.Errorf("%s: %q is no address like postmaster@%%d", key, from)
	}
	return nil
}

// MailRecorder records, and writes into the spool what owners are told by mail. failed
// hears what could not be written.
func (c *Config) MailRecorder(r effect.Recorder, failed func(error)) (effect.Recorder, error) {
	spool, err := c.OpenMailSpool()
	if err != nil || spool == nil {
		return r, err
	}
	return effect.Fanout{r, &notify.Recorder{Spool: spool, Privacy: c.Privacy.Address, NewSignIn: c.Mail.NewSignIn, Failed: failed}}, nil
}

// OpenMailSpool opens the spool of mails, and sees that it can be written; nil where the
// site sends none.
func (c *Config) OpenMailSpool() (*notify.Spool, error) {
	if !c.Mail.On() {
		return nil, nil //nolint:nilnil // see above
	}
	spool, err := notify.OpenSpool(c.Mail.Spool)
	if err != nil {
		return nil, err
	}
	return spool, spool.Writable()
}

// settleTime is how long a mail waits for what else happens at the same moment.
const settleTime = 2 * time.Second

// OpenMails opens what delivers mails; nil where the site sends none. The error names
// every problem: of the password, the authorities, the templates, the spool.
func (c *Config) OpenMails(store *ldapstore.Store, r effect.Recorder, failed func(error)) (*notify.Deliverer, error) {
	if !c.Mail.On() {
		return nil, nil //nolint:nilnil // see above
	}
	var errs [5]error
	d := &notify.Deliverer{Directory: &contacts{c, store}, Recorder: r, Most: c.Mail.DailyLimit, Settle: settleTime, Failed: failed}
	d.Spool, errs[0] = c.OpenMailSpool()
	d.Templates, errs[1] = notify.ReadTemplates(c.Mail.Templates)
	d.Composer, errs[2] = c.composer()
	server := &notify.Server{URL: c.Mail.Server, StartTLS: c.Mail.StartTLS, User: c.Mail.User}
	server.TLS, errs[3] = c.Mail.tlsConfig()
	if c.Mail.User != "" {
		password, err := secretfile.ReadLine(c.Mail.PasswordFile)
		if err != nil {
			errs[4] = fmt.Errorf("mail.password_file: %w", err)
		}
		server.Password = account.NewSecret(password)
	}
	d.Transport = server
	return d, errors.Join(errs[:]...)
}

// CheckMails is the part of -check about mails.
func (c *Config) CheckMails() error {
	_, err := c.OpenMails(nil, effect.Discard{}, func(error) {})
	return err
}

func (c *Config) composer() (*notify.Composer, error) {
	texts, err := catalogue.Load()
	if err != nil {
		return nil, err
	}
	zone, err := c.Pages.Location()
	if err != nil {
		return nil, err
	}
	site := brandOf(c.Pages.Brand())
	site.From, site.Language = c.Mail.From, c.Pages.Language
	if c.Mail.Contact != "" {
		site.Contact = c.Mail.Contact
	}
	composer := &notify.Composer{Texts: texts, Location: zone, Site: site, Domains: make(map[string]notify.Brand)}
	for domain, b := range c.Pages.Domains {
		composer.Domains[strings.ToLower(domain)] = brandOf(b)
	}
	for domain, d := range c.Mail.Domains {
		b := composer.Domains[strings.ToLower(domain)]
		b.From, b.Language = d.From, d.Language
		if d.Contact != "" {
			b.Contact = d.Contact
		}
		composer.Domains[strings.ToLower(domain)] = b
	}
	return composer, nil
}

// brandOf is the part of a brand that mails show.
func brandOf(b Brand) notify.Brand {
	contact := b.Contact
	if contact == "" {
		_, contact, _ = strings.Cut(b.Support, ":")
		contact = strings.TrimPrefix(contact, "//")
	}
	return notify.Brand{Name: b.Name, Accent: b.Accent, Contact: contact}
}

func (m *Mail) tlsConfig() (*tls.Config, error) {
	if m.CAFile == "" {
		return nil, nil //nolint:nilnil // the system's
	}
	pem, err := os.ReadFile(m.CAFile)
	if err != nil {
		return nil, fmt.Errorf("mail.ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("mail.ca_file: %s holds no certificate in PEM", m.CAFile)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

// contacts finds where owners are told, in the directory.
type contacts struct {
	cfg   *Config
	store *ldapstore.Store
}

// Contact implements notify.Directory.
func (c *contacts) Contact(ctx context.Context, l *notify.Letter) (notify.Contact, error) {
	m := &c.cfg.Mail
	to := notify.Contact{Addresses: []string{l.User}}
	var names []string
	for _, name := range []string{m.Address, m.Second, m.Language} {
		if name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return to, nil
	}
	values, err := c.store.Attributes(ctx, l.Account, names...)
	if err != nil {
		return to, err
	}
	if own := values[m.Address]; m.Address != "" && len(own) > 0 {
		to.Addresses[0] = own[0]
	}
	if m.Second != "" {
		to.Addresses = append(to.Addresses, values[m.Second]...)
	}
	if lang := values[m.Language]; m.Language != "" && len(lang) > 0 {
		to.Language = lang[0]
	}
	return to, nil
}
