package main

import (
	"context"
	"fmt"

	"postern/internal/mailtest"
)

const (
	siteAdmin  = "admin@example.test"
	adminGroup = "cn=mail-site-admins," + mailtest.Base
)

// furnish makes siteAdmin a member of the group that [admin] names, and tells the pages
// about the mail server, whose ports are known only once it runs.
//
// Only IMAP is told of: the ports for sending are not the usual ones, and on others mail
// programs are told that TLS begins at once, which at the demo's it does not.
func furnish(ctx context.Context, s *mailtest.Site) error {
	group := map[string][]string{"objectClass": {"groupOfNames"}, "member": {mailtest.UserDN(siteAdmin)}}
	if err := s.Slapd.Add(adminGroup, group); err != nil {
		return fmt.Errorf("%s: %w", adminGroup, err)
	}
	imap := fmt.Sprintf("localhost:%d", s.Dovecot.IMAPS)
	if err := s.Reconfigure(mailtest.Settings{"client_setup": {"imap": imap}}); err != nil {
		return err
	}
	return s.Webmail.Webhook().Restart(ctx)
}
