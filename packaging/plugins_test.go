package packaging

import (
	"strings"
	"testing"
)

// withPlugins installs postern-plugins, and follows the guide: the webhook starts both
// as users of their own, a program that was changed it does not, and policies know them.
func withPlugins(t *testing.T, m *machine, dir string) {
	t.Helper()
	m.run("dpkg -i " + m.give(one(t, dir, "postern-plugins_*.deb")))
	configuration := blocks(t, "plugins", "2", "toml") + `
[plugins.sms]
path = "/usr/lib/postern/plugins/httpcode"
sha256 = "SUM-OF-SMS"
config = "/etc/postern-plugins/sms.toml"
user = "postern-sms"

[webhook]
public_url = "https://mail.example.test/2fa/"

[webhook.clients.webmail]
key_file = "/etc/postern/policyserver.key"
return_urls = ["https://mail.example.test/"]
`
	sum := func(name string) string { return m.run("sha256sum /usr/lib/postern/plugins/" + name)[:64] }
	m.write("/root/plugins.toml", strings.NewReplacer("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", sum("radius"),
		"SUM-OF-SMS", sum("httpcode")).Replace(configuration), "root:root", "600")
	m.run(`cat /root/plugins.toml >>/etc/postern/postern.toml
		cd /etc/postern-plugins; umask 027; cp /usr/share/doc/postern-plugins/examples/*.toml .
		echo a secret of RADIUS >radius.secret; chgrp postern-radius radius.*; chgrp postern-sms sms.toml; chmod 640 *`)
	check, _, _ := strings.Cut(blocks(t, "plugins", "2", "sh"), "\n")
	m.run(check)
	m.run("posternctl policy set domain example.test methods=totp,passkey,plugin:radius,plugin:sms")
	if shown := m.run("posternctl policy show domain example.test"); !strings.Contains(shown, "plugin:radius") {
		t.Errorf("policy: %s", shown)
	}
	m.run("echo >>/usr/lib/postern/plugins/radius")
	if out, err := m.try(check); err == nil || !strings.Contains(out, "sha256") {
		t.Errorf("a plug-in that was changed: %v: %s", err, out)
	}
}
