package e2e

import (
	"testing"

	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// TestForwardedAddress: behind a trusted webmail host the address that it forwards
// by IMAP ID counts, for the limits and in the audit log. For a ticket, webmail's own
// counts: whoever may forward addresses cannot forward that one (ATTACKS 24).
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
			ticket := w.visit(user).text()
			for name, c := range map[string]struct {
				from, forwarded, password string
				reason                    login.Reason
			}{
				"main password":        {"127.0.0.1", "203.0.113.77", "main password", ""},
				"ticket":               {"127.0.0.1", "203.0.113.77", ticket, ""},
				"stolen ticket":        {elsewhere, "203.0.113.77", ticket, login.WrongNetwork},
				"stolen, and forwards": {elsewhere, "127.0.0.1", ticket, login.WrongNetwork},
			} {
				m := w.now()
				r := w.forwarding(c.from, c.forwarded, user, c.password)
				e := w.last(m, user, effect.Login)
				if (r.Outcome == mailclient.OK) != (c.reason == "") || e.Reason != string(c.reason) ||
					e.Client.String() != c.forwarded || e.Peer.String() != c.from {
					t.Errorf("%s: %s; reason %q, client %v, peer %v", name, r.Text, e.Reason, e.Client, e.Peer)
				}
			}
		})
	}
}

// forwarding logs in by IMAP from an address of this host, and forwards another.
func (w *world) forwarding(from, address, user, password string) mailclient.Result {
	w.t.Helper()
	target := w.target(mailclient.IMAP)
	target.From = from
	c, err := mailclient.Dial(w.t.Context(), target)
	must(w.t, err)
	defer func() { _ = c.Close() }()
	_, err = c.Command(w.t.Context(), `ID ("x-originating-ip" "`+address+`")`)
	must(w.t, err)
	r, err := c.Native(w.t.Context(), user, password)
	must(w.t, err)
	return r
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
