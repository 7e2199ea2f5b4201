package mailtest

import (
	"context"
)

// Policyserver is a running policyserver.
type Policyserver struct{ daemon }

// StartPolicyserver starts the program on a configuration and waits until
// /readyz says that logins can be answered.
func StartPolicyserver(ctx context.Context, binary string, c *Config) (*Policyserver, error) {
	p := &Policyserver{daemon{name: "policyserver", binary: binary, config: c, dial: dialer(c.Socket, c.Listen)}}
	if err := p.start(ctx, "/readyz"); err != nil {
		return nil, err
	}
	return p, nil
}
