package main

import (
	"bytes"
	"fmt"

	"postern/internal/login"
)

// reasons are the reasons of the audit log with what they mean, as posternctl explain
// says it.
func reasons(c code) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# Why a login was refused\n\nEvery reason in the [audit log](audit.md): what it means, and what to do. `posternctl explain` says the same\n" +
		"about a certain login: [Why was this login refused?](../guides/refused-logins.md)\n")
	for _, r := range c.constants("login", "Reason") {
		m, ok := login.Reason(r.value).Meaning()
		if !ok {
			return nil, fmt.Errorf("reason %s has no meaning in package login", r.value)
		}
		fmt.Fprintf(&b, "\n## `%s`\n\n%s\n\n**To do:** %s\n", r.value, m.Text, m.Do)
	}
	b.WriteString("\n## Limits\n\nWith `throttled`, the event's `detail` names the limit:\n\n")
	for _, limit := range []string{"prefix", "account", "site", "binds"} {
		fmt.Fprintf(&b, "- `%s`: %s\n", limit, login.LimitMeaning(limit))
	}
	return b.Bytes(), nil
}
