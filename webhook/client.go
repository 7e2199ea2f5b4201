package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"postern/internal/app"
	"postern/internal/web"
)

// client is one caller of the hook API: a webmail.
type client struct {
	name, title string
	key         [sha256.Size]byte // hash of its key
	returns     []*url.URL        // where browsers may be sent back to
}

// openClients reads the clients of the configuration and their keys.
func openClients(cfg *app.Config) ([]*client, error) {
	keys, err := cfg.HookKeys()
	if err != nil {
		return nil, err
	}
	var list []*client
	for _, name := range slices.Sorted(maps.Keys(cfg.Webhook.Clients)) {
		c := &client{name: name, title: cfg.Webhook.Clients[name].Title, key: sha256.Sum256(keys[name].Reveal())}
		for _, text := range cfg.Webhook.Clients[name].ReturnURLs {
			u, err := url.Parse(text)
			if err != nil {
				return nil, fmt.Errorf("webhook.clients.%s.return_urls: %w", name, err)
			}
			c.returns = append(c.returns, u)
		}
		list = append(list, c)
	}
	return list, nil
}

// caller is the client whose key the request has; nil if nobody's. All keys are
// compared, each in constant time, so that the time taken says nothing.
func (s *server) caller(r *http.Request) *client {
	sum := sha256.Sum256([]byte(presentedKey(r)))
	var found *client
	for _, c := range s.clients {
		if subtle.ConstantTimeCompare(c.key[:], sum[:]) == 1 {
			found = c
		}
	}
	return found
}

// presentedKey is the key of a request: Authorization: Bearer KEY (RFC 6750, section
// 2.1) or X-API-Key: KEY. Keys are never empty, so "" is nobody's.
func presentedKey(r *http.Request) string {
	scheme, key, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(key)
	}
	return r.Header.Get("X-API-Key")
}

// home is the webmail to go back to where a page does not know whence its visitor came;
// with several there is none to choose.
func (s *server) home() web.Webmail {
	if len(s.clients) != 1 {
		return web.Webmail{}
	}
	return web.Webmail{Name: s.clients[0].title, URL: s.clients[0].returns[0].String()}
}

// title is what people call a webmail; empty if it is not known any more.
func (s *server) title(name string) string {
	for _, c := range s.clients {
		if c.name == name {
			return c.title
		}
	}
	if s.oidc != nil {
		if c, ok := s.oidc.Client(name); ok {
			return c.Title
		}
	}
	return ""
}
