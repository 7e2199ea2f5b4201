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
	return &cobra.Command{Use: "declare MECHANISM…", Short: "Print the token by which your passdb for a strong mechanism passes Postern's second net",
		Long: "With Dovecot's auth policy switched on, Postern refuses accounts with two-factor login whenever a passdb other\n" +
			"than Postern's lets them in. A passdb that checks something stronger than a password (Kerberos, OAuth 2,\n" +
			"client certificates) passes with this token as its field cred_id. The token holds for these mechanisms alone;\n" +
			"it is the same each time, and a new door key makes it void. Mechanisms with a password behind them are refused.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return c.declareMechanisms(args) }}
}

func (c *ctl) declareMechanisms(names []string) error {
	mechs, err := checkMechanisms(names)
	if err != nil {
		return err
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	ring, err := cfg.OpenRing(account.RoleDoor)
	if err != nil {
		return err
	}
	tokens := make([]string, len(mechs))
	for i, m := range mechs {
		if tokens[i], err = login.DeclareMechanism(ring, m); err != nil {
			return err
		}
		c.warn("%s", caution(m))
	}
	token := strings.Join(tokens, ",")
	v23, v24 := declaration23(mechs, token), declaration24(mechs, token)
	c.say("Dovecot 2.3, in your passdb, which comes before Postern's:\n%s\nDovecot 2.4, %s:\n%s", v23, place24(mechs), v24)
	return c.print(object{"mechanisms": mechs, "token": token, "dovecot_23": v23, "dovecot_24": v24}, token)
}

// checkMechanisms returns the names in capitals if each may be declared.
func checkMechanisms(names []string) ([]string, error) {
	mechs := make([]string, len(names))
	for i, name := range names {
		mechs[i] = strings.ToUpper(name)
		if !mechanismName(mechs[i]) {
			return nil, usagef("%q is no name of a SASL mechanism, such as OAUTHBEARER", printable(name))
		}
		if why := login.WeakMechanism(mechs[i]); why != "" {
			return nil, fmt.Errorf("%s cannot be declared: %s", mechs[i], why)
		}
	}
	if i := slices.IndexFunc(mechs, isOAuth); i >= 0 && !allOAuth(mechs) {
		return nil, usagef("%s has a passdb of its own kind: declare it apart from the others", mechs[i])
	}
	return mechs, nil
}

func isOAuth(mech string) bool { return mech == "OAUTHBEARER" || mech == "XOAUTH2" }

func allOAuth(mechs []string) bool {
	return !slices.ContainsFunc(mechs, func(m string) bool { return !isOAuth(m) })
}

// mechanismName checks the form of RFC 4422 section 3.1, which fits a line of
// dovecot.conf.
func mechanismName(s string) bool {
	return len(s) >= 1 && len(s) <= 20 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
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

// declaration23 makes a failure final: the passdbs behind would take the token or
// ticket for a password, and guessing would be counted.
func declaration23(mechs []string, token string) string {
	return "  mechanisms = " + lowered(mechs) + "\n  override_fields = cred_id=" + token + "\n" + finalFailure
}

// declaration24 is for Dovecot 2.4, which asks no passdb about a token of OAuth 2:
// the fields come from the oauth2 block.
func declaration24(mechs []string, token string) string {
	fields := "  fields {\n    cred_id = " + token + "\n  }"
	if allOAuth(mechs) {
		return fields
	}
	return "  mechanisms_filter = " + lowered(mechs) + "\n" + fields + "\n" + finalFailure
}

const finalFailure = "  result_failure = return-fail\n  result_internalfail = return-fail"

func place24(mechs []string) string {
	if allOAuth(mechs) {
		return "in the oauth2 block"
	}
	return "in your passdb, which comes before Postern's"
}

func lowered(mechs []string) string { return strings.ToLower(strings.Join(mechs, " ")) }
