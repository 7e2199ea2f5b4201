package mailtest

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// WebmailOptions say what a site's webmail consists of. The zero value is a
// webhook, and nginx before its pages.
type WebmailOptions struct {
	// Roundcube starts one with the plug-in contrib/roundcube/postern, for the site's
	// Dovecot and Postfix. Its ports are filled in, its plug-ins come after ours.
	Roundcube *RoundcubeOptions
	// WithoutPlugin leaves the plug-in out: a Roundcube that knows nothing of Postern.
	WithoutPlugin bool
	// PluginConfig is PHP at the end of the plug-in's configuration.
	PluginConfig string
	// Webhooks is the number of daemons, 1 by default. nginx takes them in turns, the
	// plug-in asks the first.
	Webhooks int
	// WithoutWebhook starts none, and no plug-in.
	WithoutWebhook bool
	// TLS makes https://mail.example.test:PORT/ the webmail's address, in place of
	// http://localhost:PORT/.
	TLS bool
	// Nginx is added to nginx's server block.
	Nginx string
}

// Webmail is what a site has for browsers.
type Webmail struct {
	// URL is the webmail's address, with a / at the end; PublicURL that of the pages.
	URL, PublicURL string
	// HookKey is the key of the hook API, for the client "roundcube".
	HookKey string

	Webhooks  []*Webhook // nil without webhook
	Nginx     *Nginx
	Roundcube *Roundcube // nil unless asked for

	options WebmailOptions
	configs []*Config // of each webhook
	ports   ports
}

// Webhook is the first of them.
func (w *Webmail) Webhook() *Webhook { return w.Webhooks[0] }

// prepareWebmail makes directories and chooses ports, on which the configuration
// depends.
func (s *Site) prepareWebmail(ctx context.Context) (err error) {
	if s.options.Webmail == nil {
		return nil
	}
	w := &Webmail{options: *s.options.Webmail}
	s.Webmail = w
	if w.options.Webhooks == 0 {
		w.options.Webhooks = 1
	}
	s.onStop(w.ports.release)
	if w.Nginx, err = PrepareNginx(); err != nil {
		return err
	}
	s.onStop(w.Nginx.Stop)
	w.URL = w.Nginx.URL()
	if w.options.TLS {
		w.URL = w.Nginx.TLSURL()
	}
	w.PublicURL = w.URL + "2fa/"
	if w.options.Roundcube == nil {
		return nil
	}
	if w.Roundcube, err = PrepareRoundcube(ctx, w.options.Roundcube.Version); err != nil {
		return err
	}
	s.onStop(w.Roundcube.Stop)
	return nil
}

// configureWebmail chooses the webhooks' addresses and names the files of their
// configurations. The first has the site's.
func (s *Site) configureWebmail() error {
	w := s.Webmail
	for i := range w.options.Webhooks {
		c := *s.Config
		if i > 0 {
			c.Path = filepath.Join(s.Dir, "postern-"+strconv.Itoa(i+1)+".toml")
		}
		port, err := w.ports.take()
		if err != nil {
			return err
		}
		c.WebhookListen = loopback(port)
		c.WebhookSocket = filepath.Join(s.Dir, "webhook-"+strconv.Itoa(i+1)+".sock")
		w.configs = append(w.configs, &c)
	}
	w.HookKey = rand.Text()
	return os.WriteFile(s.hookKeyFile(), []byte(w.HookKey+"\n"), 0o600)
}

// hookKeyFile holds the key of the client "roundcube".
func (s *Site) hookKeyFile() string { return filepath.Join(s.Dir, "roundcube.key") }

// webhookSettings are those of all webhooks, with the first one's addresses.
func (s *Site) webhookSettings() Settings {
	if s.Webmail == nil || s.Webmail.options.WithoutWebhook {
		return nil
	}
	return Settings{
		"webhook": {
			"public_url":      s.Webmail.PublicURL,
			"trusted_proxies": []string{"127.0.0.0/8"}, "networks": []string{"127.0.0.0/8"},
		},
		"webhook.clients.roundcube": {
			"key_file": s.hookKeyFile(), "title": "Example Webmail",
			"return_urls": []string{s.Webmail.Nginx.URL(), s.Webmail.Nginx.TLSURL()},
		},
		"login": {"help_url": s.Webmail.URL}, // app passwords are made in its settings
	}.merge(s.Webmail.configs[0].webhookAddresses())
}

// webhookAddresses are where a webhook listens.
func (c *Config) webhookAddresses() Settings {
	return Settings{"webhook": {"socket": c.WebhookSocket, "listen": c.WebhookListen}}
}

// writeWebhooks writes the configurations of the webhooks but the first, whose is
// the site's.
func (s *Site) writeWebhooks(changes Settings) error {
	if s.Webmail == nil || s.Webmail.options.WithoutWebhook {
		return nil
	}
	for _, c := range s.Webmail.configs[1:] {
		if err := c.Write(s.Slapd, s.settings().merge(c.webhookAddresses()).merge(changes)); err != nil {
			return err
		}
	}
	return nil
}

// startWebhooks starts the daemons.
func (s *Site) startWebhooks(ctx context.Context) error {
	if s.Webmail == nil || s.Webmail.options.WithoutWebhook {
		return nil
	}
	binary, err := s.Binary(ctx, "webhook")
	if err != nil {
		return err
	}
	for _, c := range s.Webmail.configs {
		w, err := StartWebhook(ctx, binary, c)
		if err != nil {
			return err
		}
		s.onStop(w.Kill)
		s.Webmail.Webhooks = append(s.Webmail.Webhooks, w)
	}
	return nil
}

// startWebmail starts the prepared nginx and Roundcube.
func (s *Site) startWebmail(ctx context.Context) error {
	w := s.Webmail
	if w == nil {
		return nil
	}
	o := NginxOptions{Extra: w.options.Nginx}
	for _, hook := range w.Webhooks {
		o.Webhooks = append(o.Webhooks, hook.Socket)
	}
	if w.Roundcube != nil {
		rc, err := s.roundcubeOptions()
		if err != nil {
			return err
		}
		if err := w.Roundcube.Start(ctx, rc); err != nil {
			return err
		}
		o.Webmail = w.Roundcube.Port
	}
	return w.Nginx.Start(ctx, o)
}

// roundcubeOptions are the options' with the ports and the plug-in filled in.
func (s *Site) roundcubeOptions() (RoundcubeOptions, error) {
	o := *s.Webmail.options.Roundcube
	if s.Dovecot != nil {
		o.IMAP, o.SMTP, o.Sieve = s.Dovecot.IMAP, s.Dovecot.Submission, s.Dovecot.Sieve
	}
	if s.Postfix != nil {
		o.SMTP = s.Postfix.Port
	}
	if !s.Webmail.plugin() {
		return o, nil
	}
	plugin, err := s.plugin()
	o.Plugins = append([]RoundcubePlugin{plugin}, o.Plugins...)
	return o, err
}

// plugin reports whether there is a Roundcube with the plug-in.
func (w *Webmail) plugin() bool {
	return w != nil && w.options.Roundcube != nil && !w.options.WithoutPlugin && !w.options.WithoutWebhook
}

// plugin is contrib's, configured as its config.inc.php.dist shows. It asks over
// the unix socket, or over TCP from a root directory, which has no such file.
func (s *Site) plugin() (RoundcubePlugin, error) {
	const dir, socket = "roundcube/postern", "unix:///run/postern/webhook.sock"
	r, hook := s.Webmail.Roundcube, s.Webmail.Webhook()
	url := "unix://" + hook.Socket
	if r.Root != "" {
		url = strings.TrimSuffix(hook.URL(), "/")
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "postern.key"), []byte(s.Webmail.HookKey+"\n"), 0o600); err != nil {
		return RoundcubePlugin{}, err
	}
	config, err := contrib(dir+"/config.inc.php.dist", socket, url, "/etc/roundcube/postern.key", r.Inside("postern.key"))
	return RoundcubePlugin{Name: "postern", Dir: "contrib/" + dir, Config: config + s.Webmail.options.PluginConfig}, err
}

// logs are the webmail's part of Logs.
func (w *Webmail) logs() string {
	var b strings.Builder
	for _, hook := range w.Webhooks {
		b.WriteString("webhook:\n" + hook.Log())
	}
	if w.Roundcube != nil {
		b.WriteString("roundcube:\n" + w.Roundcube.Log())
	}
	return b.String() + "nginx:\n" + w.Nginx.Log()
}
