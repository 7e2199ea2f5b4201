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
		{"DEMO_CONFIG", s.Path, "postern.toml"},
		{"DEMO_DOVECOT_CONF", filepath.Join(s.Dovecot.Dir, "dovecot.conf"), "dovecot.conf"},
		{"DEMO_BIN", bin, "Postern's programs"},
		{"DEMO_PASSWORD", mailtest.Password, "main password of every account"},
	}
}

// writeEnv leaves the addresses as shell variables. The file appears whole: who
// waits for it may read it at once.
func writeEnv(s *mailtest.Site) error {
	var b strings.Builder
	for _, v := range variables(s) {
		fmt.Fprintf(&b, "%s=%s\n", v.name, quote(v.value))
	}
	part := envFile() + ".part"
	if err := os.WriteFile(part, []byte(b.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(part, envFile())
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

func printAddresses(s *mailtest.Site, w io.Writer) {
	fmt.Fprintf(w, "\nWhat runs now (as shell variables in %s):\n\n", envFile())
	for _, v := range variables(s) {
		fmt.Fprintf(w, "  %-17s %-46s %s\n", v.name, v.value, v.meaning)
	}
	fmt.Fprintf(w, "\nAccounts: plain, alice, bob, carol, admin @example.test and dave@other.test.\n"+
		"Try, in another terminal:\n\n"+
		"  . %s\n"+
		"  $DEMO_BIN/posternctl -config $DEMO_CONFIG app-password create bob@example.test --name phone\n"+
		"  curl -u bob@example.test imap://$DEMO_IMAP/INBOX\n"+
		"  $DEMO_BIN/posternctl -config $DEMO_CONFIG user show bob@example.test\n"+
		"  tail -f %s/postern/audit.jsonl\n", envFile(), stateDir)
}
