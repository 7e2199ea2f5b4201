package app

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/secretfile"
)

// Webhook configures the daemon beside webmail.
type Webhook struct {
	Socket          string                `toml:"socket" doc:"Unix socket of the hook API and the pages, for webmail and nginx on this host. Empty: none. systemd may pass it in instead. Everybody on the host may connect: the API asks for a key."`
	Listen          string                `toml:"listen" doc:"TCP address of the same. Other addresses than loopback need tls_cert_file. Empty: none."`
	TLSCertFile     string                `toml:"tls_cert_file" doc:"PEM file of listen's certificate, with its chain."`
	TLSKeyFile      string                `toml:"tls_key_file" doc:"PEM file of its key (mode 0600 or 0640), or credential:NAME."`
	PublicURL       string                `toml:"public_url" doc:"Where browsers find the pages: below the webmail's own host, such as https://mail.example.test/2fa/. Empty: the webhook does not start."`
	TrustedProxies  []string              `toml:"trusted_proxies" doc:"Networks of the proxies whose X-Forwarded-For is believed."`
	Networks        []string              `toml:"networks" doc:"Networks of the webmail hosts: tickets open mail from there only. What counts is who connects to Dovecot, or to Postfix: where a proxy stands between, that is the proxy."`
	Services        []string              `toml:"services" doc:"What a ticket opens: imap, smtp, sieve, pop3."`
	MaxConns        int                   `toml:"max_connections" doc:"Connections at once, on each listener."`
	TicketLife      Duration              `toml:"ticket_life" doc:"How long a ticket opens mail before webmail must renew it."`
	TransactionLife Duration              `toml:"transaction_life" doc:"How long a login that has been begun may take."`
	Clients         map[string]HookClient `toml:"clients" doc:"Who may call the hook API, each with a key of its own."`
}

// HookClient is one caller of the hook API.
type HookClient struct {
	KeyFile    string   `toml:"key_file" doc:"File with the client's key (mode 0600 or 0640), or credential:NAME; webmail has a copy."`
	ReturnURLs []string `toml:"return_urls" doc:"Where the browser may be sent back to: each address that begins with one of these."`
	Title      string   `toml:"title" doc:"What users call it; stands on the pages."`
}

func defaultWebhook() Webhook {
	return Webhook{
		Socket:          "/run/postern/webhook.sock",
		TrustedProxies:  []string{"127.0.0.0/8", "::1/128"},
		Networks:        []string{"127.0.0.0/8", "::1/128"},
		Services:        []string{string(account.IMAP), string(account.SMTP), string(account.Sieve)},
		MaxConns:        1024,
		TicketLife:      Duration(10 * time.Minute),
		TransactionLife: Duration(10 * time.Minute),
		Clients:         map[string]HookClient{},
	}
}

func (w *Webhook) problems(ps *problemList) {
	if w.Socket != "" {
		ps.absolute("webhook.socket", w.Socket)
	}
	w.listenProblems(ps)
	ps.count("webhook.max_connections", w.MaxConns)
	if w.PublicURL != "" {
		if err := checkPublicURL(w.PublicURL); err != nil {
			ps.add("webhook.public_url: %w", err)
		}
	}
	for key, list := range map[string][]string{"webhook.trusted_proxies": w.TrustedProxies, "webhook.networks": w.Networks} {
		if _, err := parseNetworks(list); err != nil {
			ps.add("%s: %w", key, err)
		}
	}
	for _, s := range w.Services {
		ps.oneOf("webhook.services", s, "imap", "smtp", "sieve", "pop3")
	}
	ps.between("webhook.ticket_life", w.TicketLife, time.Minute, time.Hour)
	ps.between("webhook.transaction_life", w.TransactionLife, time.Minute, 15*time.Minute)
	for name, c := range w.Clients {
		c.problems("webhook.clients."+name, ps)
	}
}

// listenProblems: passwords and keys cross TCP, so readably on loopback only.
func (w *Webhook) listenProblems(ps *problemList) {
	if (w.TLSCertFile == "") != (w.TLSKeyFile == "") {
		ps.add("webhook.tls_cert_file and webhook.tls_key_file: both or neither")
	}
	if w.Listen == "" {
		return
	}
	host, _, err := net.SplitHostPort(w.Listen)
	switch {
	case err != nil:
		ps.add("webhook.listen: %q is not host:port", w.Listen)
	case w.TLSCertFile == "" && !loopback(host):
		ps.add("webhook.listen: %s is not loopback, so webhook.tls_cert_file is needed: passwords would cross the network readably", w.Listen)
	}
}

func (c *HookClient) problems(key string, ps *problemList) {
	if c.KeyFile == "" {
		ps.add("%s.key_file: needed", key)
	}
	if len(c.ReturnURLs) == 0 {
		ps.add("%s.return_urls: needed: where may the browser be sent back to", key)
	}
	for _, u := range c.ReturnURLs {
		if err := checkPublicURL(u); err != nil {
			ps.add("%s.return_urls: %q: %w", key, u, err)
		}
	}
}

// checkPublicURL: an address for browsers, which keep Secure cookies for https://
// and for their own host only.
func checkPublicURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("is not an address like https://mail.example.test/2fa/")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("must have no user, ? or #")
	case !strings.HasSuffix(u.Path, "/"):
		return fmt.Errorf("must end with /")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("must begin with https://")
}

func parseNetworks(list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a network like 192.0.2.0/24", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// WebmailNetworks are the networks that tickets may come from.
func (c *Config) WebmailNetworks() ([]netip.Prefix, error) { return parseNetworks(c.Webhook.Networks) }

// TrustedProxies are the networks whose X-Forwarded-For is believed.
func (c *Config) TrustedProxies() ([]netip.Prefix, error) {
	return parseNetworks(c.Webhook.TrustedProxies)
}

// TicketServices are what tickets open.
func (c *Config) TicketServices() []account.Service {
	var all []account.Service
	for _, s := range c.Webhook.Services {
		all = append(all, account.ParseService(s))
	}
	return slices.Compact(all)
}

const minKey = 16 // characters

// HookKeys reads the clients' keys, by client.
func (c *Config) HookKeys() (map[string]account.Secret, error) {
	keys := make(map[string]account.Secret)
	for name, client := range c.Webhook.Clients {
		key, err := secretfile.ReadLine(client.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("webhook.clients.%s.key_file: %w", name, err)
		}
		if len(key) < minKey {
			return nil, fmt.Errorf("webhook.clients.%s.key_file: %s: the key must have at least %d characters; make one with: openssl rand -hex 24",
				name, filepath.Base(client.KeyFile), minKey)
		}
		for other, k := range keys {
			if k.Equal(account.NewSecret(key)) {
				return nil, fmt.Errorf("webhook.clients: %s and %s have the same key; each needs its own", name, other)
			}
		}
		keys[name] = account.NewSecret(key)
	}
	return keys, nil
}
