package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/login"
)

func (c *ctl) mechanismCommand() *cobra.Command {
	return group("mechanism", "Passdbs of your own for mechanisms without a password", c.mechanismDeclare())
}

func (c *ctl) mechanismDeclare() *cobra.Command {
	return &cobra.Command{Use: "declare MECHANISM", Short: "Print the token by which your passdb for a strong mechanism passes Postern's second net",
		Long: "With Dovecot's auth policy switched on, Postern refuses accounts with two-factor login whenever a passdb other\n" +
			"than Postern's lets them in. A passdb that checks something stronger than a password (Kerberos, OAuth 2,\n" +
			"client certificates) passes with this token in its answer. The token holds for one mechanism; it is the same\n" +
			"each time, and a new door key makes it void. Mechanisms with a password behind them are refused.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return c.declareMechanism(args[0]) }}
}

func (c *ctl) declareMechanism(name string) error {
	mech := strings.ToUpper(name)
	if !mechanismName(mech) {
		return usagef("%q is no name of a SASL mechanism, such as OAUTHBEARER", printable(name))
	}
	if why := weakness(mech); why != "" {
		return fmt.Errorf("%s cannot be declared: %s", mech, why)
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	ring, err := cfg.OpenRing(account.RoleDoor)
	if err != nil {
		return err
	}
	token, err := login.DeclareMechanism(ring, mech)
	if err != nil {
		return err
	}
	c.warn("%s", caution(mech))
	v23, v24 := declaration23(mech, token), declaration24(mech, token)
	c.say("Put your passdb for %s before Postern's, with these lines.\nDovecot 2.3:\n%s\nDovecot 2.4:\n%s", mech, v23, v24)
	return c.print(object{"mechanism": mech, "token": token, "dovecot_2.3": v23, "dovecot_2.4": v24}, token)
}

// mechanismName checks the form of RFC 4422 section 3.1, which fits a line of
// dovecot.conf.
func mechanismName(s string) bool {
	return len(s) >= 1 && len(s) <= 20 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// withPassword are mechanisms that prove nothing but the knowledge of a password,
// however they carry it, but for SCRAM's many names.
var withPassword = []string{
	"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "APOP", "NTLM", "LANMAN", "RPA", "OTP", "SKEY", "SRP",
}

// weakness says why a mechanism cannot stand in for a second factor.
func weakness(mech string) string {
	switch {
	case slices.Contains(withPassword, mech) || strings.HasPrefix(mech, "SCRAM-"):
		return "there is a password behind it, and whoever knows it would get in without the second factor"
	case mech == "ANONYMOUS" || mech == "DOVECOT-TOKEN":
		return "it does not check who somebody is"
	}
	return ""
}

// caution says what a declaration leaves to the site.
func caution(mech string) string {
	switch mech {
	case "GSSAPI", "GSS-SPNEGO":
		return mech + " is as strong as getting a ticket is: a realm that gives one for the main password alone makes two-factor login worthless, and SPNEGO must not fall back to NTLM"
	case "OAUTHBEARER", "XOAUTH2":
		return mech + " is as strong as getting a token is: the provider must ask for the second factor, and must not grant tokens for a password (grant type \"password\")"
	case "EXTERNAL":
		return "EXTERNAL is as strong as getting a client certificate is: the authority must not issue one for the main password alone"
	}
	return "Postern does not know " + mech + ": declare it only if nobody gets in by it with the main password"
}

// A failure must be final: the passdbs behind would take the token or ticket for a
// password, and guessing would be counted.
func declaration23(mech, token string) string {
	return fmt.Sprintf("  mechanisms = %s\n  override_fields = cred_id=%s\n  result_failure = return-fail\n  result_internalfail = return-fail",
		strings.ToLower(mech), token)
}

func declaration24(mech, token string) string {
	return fmt.Sprintf("  mechanisms_filter = %s\n  fields {\n    cred_id = %s\n  }\n  result_failure = return-fail\n  result_internalfail = return-fail",
		strings.ToLower(mech), token)
}
