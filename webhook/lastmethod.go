package main

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/web"
)

// methodCookie remembers by which method an account was last signed in to in this
// browser, which is then offered first: who has a passkey on the telephone only is not
// asked for it at the office every morning. It proves nothing, and is read only where
// the account is known already, so that strangers learn of no account (ATTACKS 10). The
// browser forgets it after a year without sign-in.
func methodCookie(id account.ID) web.Cookie {
	sum := sha256.Sum256([]byte("method cookie " + string(id)))
	return web.Cookie{Name: "postern-method-" + hex.EncodeToString(sum[:4]), Life: 365 * 24 * time.Hour, SameSite: http.SameSiteLaxMode}
}

// remember notes the method that was just used. Backup codes are for emergencies: they
// are never first.
func (t *turn) remember(id account.ID, method string) {
	if method == string(web.Backup) {
		return
	}
	if err := methodCookie(id).Set(t.w, method); err != nil {
		t.s.log.Error("a method is not remembered", "error", err)
	}
}

// lastMethod is the one to offer first, of those that the account can use now; empty:
// the best of them.
func (t *turn) lastMethod(id account.ID, usable []string) string {
	if method, _ := methodCookie(id).Get(t.r); slices.Contains(usable, method) {
		return method
	}
	return ""
}
