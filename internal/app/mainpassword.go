package app

import (
	"context"
	"fmt"
	"time"

	"postern/internal/dovecotauth"
	"postern/internal/login"
)

// The values of login.main_password: who says whether a main password is right, at
// the mail doors and at webmail. It is one setting, so that the doors cannot differ.
const (
	// MainByBind: the directory, at both.
	MainByBind = "bind"
	// MainByNext: the site's own passdb. At the mail doors Dovecot goes on to it;
	// webmail, from where nobody can go on, asks Dovecot.
	MainByNext = "next"
	// MainByDovecot: the site's own passdb, and Postern asks Dovecot at both: it hears
	// the answer, so that it can tell mail programs, the limits and the log.
	MainByDovecot = "dovecot"
)

// PasswordCheck is how this site's programs check a main password themselves; nil
// means by the directory. failed hears, once each, why Dovecot cannot be asked.
func (c *Config) PasswordCheck(p login.Prover, failed func(error)) login.PasswordCheck {
	if c.Login.MainPassword == MainByBind {
		return nil
	}
	return login.ByDovecot{Dovecot: c.dovecotAuth(failed), Prover: p, Now: time.Now}
}

func (c *Config) dovecotAuth(failed func(error)) *dovecotauth.Client {
	return dovecotauth.New(dovecotauth.Config{
		Socket: c.Login.AuthSocket, Service: string(login.PrivateService), Limit: c.Login.MaxBinds, Failed: failed})
}

// CheckAuthSocket is for -check: it reports why Dovecot cannot be asked. It is nil
// where main passwords are checked by the directory.
func (c *Config) CheckAuthSocket(ctx context.Context) error {
	if c.Login.MainPassword == MainByBind {
		return nil
	}
	client := c.dovecotAuth(nil)
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return fmt.Errorf("login.auth_socket: %w; contrib/dovecot/*-main-password.conf makes it", err)
	}
	return nil
}
