package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"postern/internal/mailtest"
)

// variable is one line of build/demo/env.
type variable struct{ name, value, meaning string }

func variables(s *mailtest.Site) []variable {
	port := func(n int) string { return fmt.Sprintf("127.0.0.1:%d", n) }
	bin, err := filepath.Abs(binDir)
	if err != nil {
		bin = binDir
	}
	return []variable{
		{"DEMO_IMAP", port(s.Dovecot.IMAP), "Dovecot, IMAP"},
		{"DEMO_POP3", port(s.Dovecot.POP3), "Dovecot, POP3"},
		{"DEMO_SIEVE", port(s.Dovecot.Sieve), "Dovecot, ManageSieve"},
		{"DEMO_SUBMISSION", port(s.Dovecot.Submission), "Dovecot, submission"},
		{"DEMO_SMTP", port(s.Postfix.Port), "Postfix, SMTP AUTH through Dovecot"},
		{"DEMO_LDAP", s.Slapd.URI(), "slapd"},
		{"DEMO_LDAP_BASE", mailtest.Base, "its base"},
		{"DEMO_VERIFY", s.URL(), "policyserver, what the Lua passdb asks"},
		{"DEMO_POLICY", strings.TrimSuffix(s.URL(), "/verify"), "policyserver: /metrics, /livez, /readyz"},
		{"DEMO_POLICY_KEY", s.Key, "its X-API-Key"},
		{"DEMO_WEBMAIL", browserURL(s), "for a browser: Roundcube, and Postern's pages below /2fa/"},
		{"DEMO_WEBHOOK", strings.TrimSuffix(s.Webmail.Webhook().URL(), "/"), "webhook: the hook API (/v1/openapi.yaml), /metrics, /livez, /readyz"},
		{"DEMO_WEBHOOK_KEY", s.Webmail.HookKey, "its X-API-Key; return_to must begin with $DEMO_WEBMAIL/"},
		{"DEMO_CONFIG", s.Path, "postern.toml"},
		{"DEMO_DOVECOT_CONF", filepath.Join(s.Dovecot.Dir, "dovecot.conf"), "dovecot.conf"},
		{"DEMO_POSTFIX_CONF", s.Postfix.Dir, "directory of Postfix's main.cf"},
		{"DEMO_ADMIN_PASSWORD_FILE", adminFile(s), "password of cn=admin,$DEMO_LDAP_BASE, the directory's administrator"},
		{"DEMO_BIN", bin, "Postern's programs"},
		{"DEMO_PASSWORD", mailtest.Password, "main password of every account"},
	}
}

// browserURL is the webmail's address, without a / at the end like the others.
func browserURL(s *mailtest.Site) string { return strings.TrimSuffix(s.Webmail.URL, "/") }

// writeEnv leaves the addresses as shell variables.
func writeEnv(s *mailtest.Site) error {
	var b strings.Builder
	for _, v := range variables(s) {
		fmt.Fprintf(&b, "%s=%s\n", v.name, quote(v.value))
	}
	return appear(envFile(), b.String())
}

// writeWelcome leaves the text for people.
func writeWelcome(s *mailtest.Site) error {
	var b strings.Builder
	welcome(s, &b)
	return appear(welcomeFile(), b.String())
}

// appear writes a file that is there whole or not at all: who waits for it may read
// it at once.
func appear(path, text string) error {
	part := path + ".part"
	if err := os.WriteFile(part, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// headerFile holds the hook API's key as a header, for curl: what is on its command
// line, every process sees.
func headerFile(s *mailtest.Site) string { return filepath.Join(s.Dir, "webhook.header") }

func writeHeader(s *mailtest.Site) error {
	return os.WriteFile(headerFile(s), []byte("X-API-Key: "+s.Webmail.HookKey+"\n"), 0o600)
}

// adminFile holds the directory administrator's password, for doctor.
func adminFile(s *mailtest.Site) string { return filepath.Join(s.Dir, "admin.password") }

func writeAdmin(s *mailtest.Site) error {
	return os.WriteFile(adminFile(s), []byte(mailtest.Password+"\n"), 0o600)
}

// quote makes a value one word for the shell, and leaves plain ones plain.
func quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.,:/=@%+", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// welcome says what there is and what to try.
func welcome(s *mailtest.Site, w io.Writer) {
	fmt.Fprintf(w, "\nWhat runs now (as shell variables in %s):\n\n", envFile())
	for _, v := range variables(s) {
		fmt.Fprintf(w, "  %-24s %-46s %s\n", v.name, v.value, v.meaning)
	}
	fmt.Fprint(w, strings.NewReplacer("@WEBMAIL@", browserURL(s), "@ENV@", envFile(), "@DIR@", stateDir, "@SUDO@", sudo()).Replace(tryThis))
}

// sudo is what goes before commands that read the servers' files, which are root's.
func sudo() string {
	if os.Getenv("SUDO_USER") != "" {
		return "sudo "
	}
	return ""
}

const tryThis = `
Accounts: plain, alice, bob, carol, admin @example.test and dave@other.test, all with $DEMO_PASSWORD.

Try in a browser:

  Open @WEBMAIL@/ and sign in as bob@example.test. Below Settings, Security
  set up an authenticator app by the QR code, keep the backup codes, log out, and sign in again.
  A mail in bob@'s inbox tells him what happened to his account, and by whom; Security shows it, too.
  No telephone at hand? "totp add" below gives carol@ an authenticator; sign in as her with
  the code that "totp code" shows.

  Administration: @WEBMAIL@/2fa/admin/ lets admin@example.test in, with a second factor
  only: "totp add admin@example.test" below gives it one, "totp code" its code. Then find carol@,
  see what she has, and reset her; or look who still signs in by the main password.

Try in another terminal:

  . @ENV@; posternctl() { @SUDO@$DEMO_BIN/posternctl -config $DEMO_CONFIG "$@"; }
  posternctl totp add carol@example.test --name phone
  posternctl totp code carol@example.test
  posternctl app-password create carol@example.test --name phone
  curl -u carol@example.test imap://$DEMO_IMAP/INBOX
  posternctl user show carol@example.test
  posternctl doctor --doveconf "doveconf -c $DEMO_DOVECOT_CONF" --postconf "postconf -c $DEMO_POSTFIX_CONF" \
    --canary-base ou=people,$DEMO_LDAP_BASE --admin-dn cn=admin,$DEMO_LDAP_BASE --admin-password-file $DEMO_ADMIN_PASSWORD_FILE
  @SUDO@tail -f @DIR@/postern/audit.jsonl
`
