package browsertest

import (
	"context"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// Cookie is one that the browser holds.
type Cookie struct {
	Name, Value, Domain, Path string
	Expires                   time.Time // zero: with the browser session
	HTTPOnly, Secure          bool
	SameSite                  string // Strict, Lax, None, or empty
}

// Cookies are all that the browser holds, of every site.
func (b *Browser) Cookies() []Cookie {
	b.t.Helper()
	res := run(b.Tab, "cookies", func(ctx context.Context, _ *chromedp.Target) (storage.GetCookiesResult, error) {
		return chromedp.CallBrowser(ctx, storage.GetCookies, storage.GetCookiesParams{BrowserContextID: b.contextID()})
	})
	var all []Cookie
	for _, c := range res.Cookies {
		k := Cookie{
			Name: c.Name, Value: c.Value, Domain: c.Domain, Path: c.Path,
			HTTPOnly: c.HTTPOnly, Secure: c.Secure, SameSite: string(c.SameSite),
		}
		if c.Expires > 0 {
			k.Expires = time.Unix(int64(c.Expires), 0)
		}
		all = append(all, k)
	}
	return all
}

// Cookie is the one with a name, and whether there is one.
func (b *Browser) Cookie(name string) (Cookie, bool) {
	b.t.Helper()
	for _, c := range b.Cookies() {
		if c.Name == name {
			return c, true
		}
	}
	return Cookie{}, false
}

// SetCookie gives the browser a cookie for a page's address, such as one that
// somebody has stolen.
func (b *Browser) SetCookie(url string, c Cookie) {
	b.t.Helper()
	b.do("set cookie", call(network.SetCookies, network.SetCookiesParams{Cookies: []*network.CookieParam{{
		Name: c.Name, Value: c.Value, URL: url, Path: c.Path, Secure: c.Secure, HTTPOnly: c.HTTPOnly,
		SameSite: network.CookieSameSite(c.SameSite),
	}}}))
}

// DeleteCookie removes all cookies with a name that a page of an address would be
// sent.
func (b *Browser) DeleteCookie(url, name string) {
	b.t.Helper()
	b.do("delete cookie", call(network.DeleteCookies, network.DeleteCookiesParams{Name: name, URL: url}))
}

// ClearCookies removes all.
func (b *Browser) ClearCookies() {
	b.t.Helper()
	b.do("clear cookies", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.CallBrowser(ctx, storage.ClearCookies, storage.ClearCookiesParams{BrowserContextID: b.contextID()})
		return err
	}))
}

// contextID names the browser among those of this Chromium.
func (b *Browser) contextID() cdp.BrowserContextID {
	return chromedp.FromContext(b.ctx).BrowserContextID
}
