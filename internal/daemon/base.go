package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"postern/internal/app"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/seal"
	"postern/internal/throttle"
	"postern/ldapstore"
)

// Base is what every daemon stands on.
type Base struct {
	Config  *app.Config
	Log     *slog.Logger
	Audit   *effect.Audit
	Metrics *Metrics
	Store   *ldapstore.Store
	Ring    *seal.Ring

	name   string
	roles  []string
	memory *throttle.Memory
	shared *throttle.Shared // nil: this node counts alone

	keysFit atomic.Bool // the directory's key-check values were seen and fit
	tickets atomic.Bool // and the public keys of tickets are this site's
}

// OpenBase opens directory, audit log and metrics, with the keys of the roles. It
// connects to nothing yet. name tells apart the files of daemons that share a
// configuration.
func OpenBase(name string, cfg *app.Config, log *slog.Logger, roles ...string) (*Base, error) {
	b := &Base{Config: cfg, Log: log, Metrics: NewMetrics(), name: name, roles: roles}
	var auditErr, storeErr error
	b.Audit, auditErr = cfg.OpenAudit(func(err error) {
		b.Metrics.auditFailures.Inc()
		log.Error("an audit line could not be written", "error", err)
	})
	b.Store, b.Ring, storeErr = cfg.OpenStore(roles...)
	if err := errors.Join(auditErr, storeErr); err != nil {
		return nil, err
	}
	return b, b.openThrottle()
}

// Recorder records to audit log and metrics.
func (b *Base) Recorder() effect.Fanout { return effect.Fanout{b.Audit, b.Metrics} }

// OpenGate opens what decides logins. The recorder hears of every decision.
func (b *Base) OpenGate(settings login.Settings, r effect.Recorder) *login.Gate {
	check := b.Config.PasswordCheck(b.Ring, func(err error) { b.Log.Warn("main passwords cannot be checked", "error", err) })
	return login.New(login.Parts{
		Store: b.Store, Prover: b.Ring, Recorder: r, Throttle: b.throttle(), Tickets: tickets{b.Ring, &b.tickets}, Now: time.Now,
		Check: check,
	}, settings)
}

// tickets checks tickets by the ring's public keys once those are known to be this
// site's: by a file from elsewhere, or from before a new key, every ticket would look
// forged.
type tickets struct {
	*seal.Ring
	known *atomic.Bool
}

// CanVerify implements session.Verifier.
func (t tickets) CanVerify() bool { return t.known.Load() && t.Ring.CanVerify() }

// KeysFit reports whether the keys are known to be those of the directory. Until
// then nothing is decided: what was read of records could not be trusted.
func (b *Base) KeysFit() bool { return b.keysFit.Load() }

const keyCheckEvery = 5 * time.Second // while the directory has not answered yet

// checkKeys compares the keys with the directory's key-check values as soon as it
// answers. A wrong key ends the daemon.
func (b *Base) checkKeys(ctx context.Context, cancel context.CancelCauseFunc) {
	for {
		values, err := b.Store.KeyChecks(ctx)
		if err == nil {
			if err = b.Ring.Check(values); err != nil {
				cancel(fmt.Errorf("%s: %w", b.Config.Keys.Directory, err))
				return
			}
			if b.tickets.Store(b.Ring.KnowsTickets(values)); !b.tickets.Load() {
				b.Log.Error("webmail's tickets cannot be checked, and are answered with \"unavailable\": copy the file from the webhook's host, and restart",
					"file", b.Config.PublicKeyPath())
			}
			b.keysFit.Store(true)
			return
		}
		b.Log.Warn("the directory does not answer yet; logins fail temporarily", "error", err)
		select {
		case <-time.After(keyCheckEvery):
		case <-ctx.Done():
			return
		}
	}
}

// Ready says why no login could be answered now; nil if it could.
func (b *Base) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(b.Config.Directory.Timeout))
	defer cancel()
	if err := b.Store.Ping(ctx); err != nil {
		return err
	}
	if !b.KeysFit() {
		return errors.New("the keys have not been compared with the directory's yet")
	}
	return nil
}

// HandleReady answers /readyz.
func (b *Base) HandleReady(w http.ResponseWriter, r *http.Request) {
	if err := b.Ready(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}

// HandleLive answers /livez.
func HandleLive(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }

// EndSessions does what the spool asks for until ctx ends: see effect.Deliverer.
func (b *Base) EndSessions(ctx context.Context) error {
	if !b.Config.Sessions.On() {
		return nil
	}
	hosts, err := b.Config.Doveadms()
	if err != nil {
		return err
	}
	spool, err := b.Config.OpenSpool()
	if err != nil {
		return err
	}
	d := &effect.Deliverer{
		Spool: spool, Directory: b.Store, Recorder: b.Recorder(),
		Failed: func(err error) { b.Log.Warn("ending live sessions", "error", err) },
	}
	for _, h := range hosts {
		d.Hosts = append(d.Hosts, h)
	}
	go d.Run(ctx)
	return nil
}

// SendMails sends what the spool of mails holds until ctx ends: see notify.Deliverer.
func (b *Base) SendMails(ctx context.Context) error {
	d, err := b.Config.OpenMails(b.Store, b.Recorder(), func(err error) { b.Log.Warn("mails to users", "error", err) })
	if err != nil || d == nil {
		return err
	}
	go d.Run(ctx)
	return nil
}

// ChangeRecorder records what changes: beside the audit log and the metrics, live
// sessions end by the spool, and owners are told by mail.
func (b *Base) ChangeRecorder() (effect.Recorder, error) {
	r, err := b.Config.SessionRecorder(b.Recorder(), b.Store, func(err error) { b.Log.Warn("ending live sessions", "error", err) })
	if err != nil {
		return nil, err
	}
	return b.Config.MailRecorder(r, func(err error) { b.Log.Warn("mails to users", "error", err) })
}

// close saves and closes what OpenBase opened.
func (b *Base) close() {
	b.closeThrottle()
	b.Store.Close()
	_ = b.Audit.Close()
}
