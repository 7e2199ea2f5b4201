package app

import (
	"strings"
	"testing"
)

func TestClientSetup(t *testing.T) {
	c := ClientSetup{IMAP: "imap.%d:993", SMTP: "smtp.example.test:587"}
	list, err := c.Servers()
	if err != nil || len(list) != 2 || !list[1].StartTLS {
		t.Errorf("%+v, %v", list, err)
	}
	var ps problemList
	(&ClientSetup{IMAP: "imap", Sieve: "a:b", CertFile: "/x"}).problems(&ps)
	text := ""
	for _, p := range ps {
		text += p.Error() + "\n"
	}
	for _, want := range []string{"client_setup.imap", "client_setup.sieve", "client_setup.profile_cert_file"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in: %s", want, text)
		}
	}
}
