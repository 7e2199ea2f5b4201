package web

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"time"
)

// cookiePrefix makes browsers take a cookie only from this very host, over https,
// for all paths (RFC 6265bis, section 4.1.3.2): no sibling host can plant one.
const cookiePrefix = "__Host-"

// Cookie is a kind of cookie. Every one is Secure, HttpOnly, for the whole of this
// host and no other.
type Cookie struct {
	Name string        // without the prefix
	Life time.Duration // 0: until the browser is closed
	// SameSite is Strict unless set. Lax where a link of another site (a webmail on
	// a host of its own) must find the cookie again.
	SameSite http.SameSite
}

// Set gives the browser the cookie. Errors: a name or value that no cookie can have.
func (c Cookie) Set(w http.ResponseWriter, value string) error {
	k := c.cookie(value) //nolint:gosec // G124: all set in cookie
	if err := k.Valid(); err != nil {
		return fmt.Errorf("cookie %s: %w", c.Name, err)
	}
	k.MaxAge = int(c.Life / time.Second)
	http.SetCookie(w, k)
	return nil
}

// Clear makes the browser drop the cookie.
func (c Cookie) Clear(w http.ResponseWriter) {
	k := c.cookie("") //nolint:gosec // likewise
	k.MaxAge = -1
	http.SetCookie(w, k)
}

// Get returns the cookie's value; false if there is none, or more than one.
func (c Cookie) Get(r *http.Request) (string, bool) {
	found := r.CookiesNamed(cookiePrefix + c.Name)
	if len(found) != 1 || found[0].Value == "" {
		return "", false
	}
	return found[0].Value, true
}

func (c Cookie) cookie(value string) *http.Cookie {
	site := c.SameSite
	if site == 0 {
		site = http.SameSiteStrictMode
	}
	return &http.Cookie{ //nolint:gosec // SameSite is Lax or Strict
		Name: cookiePrefix + c.Name, Value: value, Path: "/",
		Secure: true, HttpOnly: true, SameSite: site,
	}
}

// BrowserCookie holds a random name for the browser: what transactions, settings
// sessions and CSRF tokens are bound to, and no more.
var BrowserCookie = Cookie{Name: "postern_browser", SameSite: http.SameSiteLaxMode}

// Browser returns the browser's random name, giving it one first if it has none.
func Browser(w http.ResponseWriter, r *http.Request) (string, error) {
	if name, ok := BrowserCookie.Get(r); ok {
		return name, nil
	}
	name := rand.Text() // 128 bits
	return name, BrowserCookie.Set(w, name)
}
