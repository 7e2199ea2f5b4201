package e2e

import (
	"testing"

	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// TestForwardedAddress: behind a trusted webmail host the address that it forwards
// by IMAP ID counts, for the limits and in the audit log.
func TestForwardedAddress(t *testing.T) {
	t.Parallel()
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := d.options(t)
			o.Dovecot.Policy = true
			o.Dovecot.Extra = "login_trusted_networks = 127.0.0.0/8\n"
			w := fresh(t, o)
			user := w.user("main password")
			m := w.now()
			c, err := mailclient.Dial(t.Context(), w.target(mailclient.IMAP))
			must(t, err)
			defer func() { _ = c.Close() }()
			_, err = c.Command(t.Context(), `ID ("x-originating-ip" "203.0.113.77")`)
			must(t, err)
			r, err := c.Native(t.Context(), user, "main password")
			must(t, err)
			if e := w.last(m, user, effect.Login); r.Outcome != mailclient.OK || e.Client.String() != "203.0.113.77" || e.Peer.String() != "127.0.0.1" {
				t.Errorf("%s; client %v, peer %v", r.Text, e.Client, e.Peer)
			}
		})
	}
}

// TestAttack13_MasterUserWithPolicy: where a master passdb is final, ours is never
// asked. The auth policy lets through only masters of the list, from its networks.
func TestAttack13_MasterUserWithPolicy(t *testing.T) {
	t.Parallel()
	for _, d := range []door{doors[1], doors[2]} {
		for name, networks := range map[string][]string{"not listed": nil, "from elsewhere": {"192.0.2.0/24"}, "listed": {"127.0.0.0/8"}} {
			t.Run(d.name+" "+name, func(t *testing.T) {
				t.Parallel()
				o := d.options(t)
				o.Dovecot.Policy = true
				o.Dovecot.Extra = "auth_master_user_separator = *\n"
				o.Dovecot.Before = map[mailtest.Version]string{
					mailtest.V23: "passdb {\n driver = static\n args = password=" + masterPassword + "\n master = yes\n}\n",
					mailtest.V24: "passdb masters {\n driver = static\n static_password = " + masterPassword + "\n master = yes\n}\n",
				}[d.version]
				if networks != nil {
					o.Settings["login.master_users"] = map[string]any{"support": networks}
				}
				w := fresh(t, o)
				user := w.twoFactor(w.user("main password"))
				want := mailclient.Refused
				if name == "listed" {
					want = mailclient.OK
				}
				m := w.now()
				w.want(want, user+"*support", masterPassword)
				w.want(mailclient.Refused, user+"*somebody", masterPassword)
				if e := w.last(m, user, effect.Policy); e.Reason != string(login.Impersonation) {
					t.Errorf("audit: %+v", e)
				}
			})
		}
	}
}
