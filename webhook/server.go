package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/internal/admin"
	"postern/internal/app"
	"postern/internal/daemon"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/oidc"
	"postern/internal/plugin"
	"postern/internal/web"
)

// server is the object graph of the daemon.
type server struct {
	*daemon.Base
	cfg         *app.Config
	log         *slog.Logger
	times       *prometheus.HistogramVec
	clients     []*client
	panels      []app.Panel
	proxies     []netip.Prefix
	public      *url.URL // of the pages
	certificate certificate

	gate    *login.Gate
	signIn  *login.SignIn
	desk    *desk.Desk
	roles   *admin.Roles
	backup  *factor.BackupFactor
	plugins []*plugin.Factor
	pages   *web.Pages
	setup   setup
	oidc    *oidc.Provider // nil: there are no clients
	csrf    web.CSRF
	now     func() time.Time
}

// open builds everything; it needs no directory yet.
func open(cfg *app.Config, log *slog.Logger) (*server, error) {
	if err := errors.Join(configProblems(cfg)...); err != nil {
		return nil, err
	}
	s := &server{cfg: cfg, log: log, now: time.Now}
	var errs [10]error
	s.clients, errs[0] = openClients(cfg)
	s.proxies, errs[1] = cfg.TrustedProxies()
	s.public, errs[2] = url.Parse(cfg.Webhook.PublicURL)
	errs[3] = s.certificate.reload(cfg)
	s.Base, errs[4] = daemon.OpenBase("webhook", cfg, log, roles...)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	s.pages, errs[5] = openPages(cfg)
	errs[6] = s.openSignIn()
	errs[7] = s.openOIDC()
	errs[8] = s.openSetup()
	s.roles = cfg.Roles(s.Store)
	s.panels, errs[9] = cfg.Panels(s.roles)
	s.csrf = web.CSRF{Key: pageKey{s.Ring}}
	s.times = s.Metrics.Histogram("postern_hook_seconds", "Duration of the hook API's methods.", "method",
		.001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5)
	return s, errors.Join(errs[:]...)
}

// configProblems are those of a configuration that other programs may have.
func configProblems(cfg *app.Config) []error {
	var errs []error
	if cfg.Webhook.PublicURL == "" {
		errs = append(errs, fmt.Errorf("%s: webhook.public_url: needed: where browsers find the pages", cfg.Path()))
	}
	if len(cfg.Webhook.Clients)+len(cfg.OIDC.Clients) == 0 {
		errs = append(errs, fmt.Errorf("%s: webhook.clients: needed, or oidc.clients: nobody could call", cfg.Path()))
	}
	_, err := cfg.HookKeys()
	_, err2 := cfg.OIDCClients()
	return append(errs, err, err2)
}

// openPages reads templates, texts and brands.
func openPages(cfg *app.Config) (*web.Pages, error) {
	public, err := url.Parse(cfg.Webhook.PublicURL)
	if err != nil {
		return nil, err
	}
	o := web.Options{Base: public.Path, HTTPS: public.Scheme == "https", Language: cfg.Pages.Language,
		Brand: web.Brand(cfg.Pages.Brand()), Brands: make(map[string]web.Brand), Plugins: pluginTexts(cfg)}
	for domain, b := range cfg.Pages.Domains {
		o.Brands[domain] = web.Brand(b)
	}
	if o.Location, err = cfg.Pages.Location(); err != nil {
		return nil, err
	}
	pages, err := web.New(o)
	if err != nil {
		return nil, fmt.Errorf("%s: pages: %w", cfg.Path(), err)
	}
	return pages, nil
}

func (s *server) openSignIn() error {
	settings, err := s.cfg.LoginSettings()
	if err != nil {
		return err
	}
	recorder, err := s.ChangeRecorder()
	if err != nil {
		return err
	}
	s.gate = s.OpenGate(settings, recorder)
	s.desk = &desk.Desk{Store: s.Store, Recorder: recorder, Now: s.now}
	s.backup = factor.NewBackupFactor(runtime.GOMAXPROCS(0))
	passkeys, err := openPasskeys(s.cfg, s.Ring)
	if err != nil {
		return err
	}
	if s.plugins, err = openPlugins(s.cfg, s.log); err != nil {
		return err
	}
	s.signIn = s.cfg.OpenSignIn(app.SignInParts{Gate: s.gate, Desk: s.desk, Ring: s.Ring, Backup: s.backup,
		Passkeys: passkeys, Plugins: factorsOf(s.plugins), Handles: handles{s.Ring, s.Store}})
	return nil
}

// Serve implements daemon.Server.
func (s *server) Serve(ctx context.Context) error {
	listeners, err := s.listeners()
	if err == nil {
		err = s.SendMails(ctx)
	}
	if err := s.EndSessions(ctx); err != nil { // a policyserver on this host may have what is missing here
		s.log.Warn("live sessions are left to the policyserver of this host", "error", err)
	}
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	s.Sweep(ctx, s.desk.Recorder)
	wait := runPlugins(ctx, s.plugins)
	defer wait()
	defer end()
	return s.Base.Serve(ctx, daemon.Service{
		Handler: s.routes(), Listeners: listeners, Finish: s.gate.Close,
		Reload:    func() error { return s.certificate.reload(s.cfg) },
		WriteTime: time.Duration(s.cfg.Login.Deadline) + 15*time.Second,
	})
}
