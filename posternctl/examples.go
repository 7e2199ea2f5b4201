package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// examples are those of commands whose definition has none: one line each, or two where
// the second says more. The help, the manual page and docs/reference show them.
var examples = map[string]string{
	"app-password create": "posternctl app-password create alice@example.test --name \"mail on my phone\"\n" +
		"posternctl app-password create scanner@example.test --name copier --services smtp --networks 192.0.2.16/28 --expires 90d",
	"app-password list":    "posternctl app-password list alice@example.test --all",
	"app-password revoke":  "posternctl app-password revoke alice@example.test mb4q",
	"backup-codes new":     "posternctl backup-codes new alice@example.test",
	"config reference":     "posternctl config reference > /etc/postern/postern.toml.example",
	"devices list":         "posternctl devices list alice@example.test",
	"devices remove":       "posternctl devices remove alice@example.test",
	"keys export":          "posternctl keys export > ticket.pub",
	"keys new":             "posternctl keys new\nposternctl keys new --role door",
	"keys register":        "posternctl keys register",
	"mechanism declare":    "posternctl mechanism declare OAUTHBEARER XOAUTH2",
	"passkey list":         "posternctl passkey list alice@example.test",
	"passkey remove":       "posternctl passkey remove alice@example.test mfzwizltoq2a",
	"policy list":          "posternctl policy list",
	"report main-password": "posternctl report main-password --domain example.test --since 7d",
	"sessions end":         "posternctl sessions end alice@example.test",
	"sessions list":        "posternctl sessions list alice@example.test",
	"status":               "posternctl status --domain example.test\nposternctl --json status alice@example.test",
	"totp add": "posternctl totp add alice@example.test --name phone\n" +
		"posternctl totp add alice@example.test --name \"token 4711\" --secret-file token.txt --algorithm SHA256 --digits 8 --period 60",
	"totp list":        "posternctl totp list alice@example.test",
	"totp remove":      "posternctl totp remove alice@example.test mfzwizltoq2a",
	"user disable":     "posternctl user disable alice@example.test",
	"user enrol-token": "posternctl user enrol-token alice@example.test --token-life 24h",
	"user reset":       "posternctl user reset alice@example.test\nposternctl user reset --users lost.txt --dry-run",
	"user revoke-all":  "posternctl user revoke-all alice@example.test",
	"user show":        "posternctl user show alice@example.test",
}

// illustrate gives each command below cmd its example.
func illustrate(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		path := strings.TrimPrefix(sub.CommandPath(), cmd.Root().Name()+" ")
		if text := examples[path]; text != "" && sub.Example == "" {
			sub.Example = "  " + strings.ReplaceAll(text, "\n", "\n  ")
		}
		illustrate(sub)
	}
}
