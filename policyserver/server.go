package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/seal"
	"postern/internal/throttle"
	"postern/ldapstore"
)

// errRuntime marks errors that a restart may mend.
var errRuntime = errors.New("stopped")

// server is the object graph of the daemon.
type server struct {
	cfg        *app.Config
	log        *slog.Logger
	audit      *effect.Audit
	metrics    *metrics
	store      *ldapstore.Store
	ring       *seal.Ring
	gate       *login.Gate
	memory     *throttle.Memory
	shared     *throttle.Shared // nil: this node counts alone
	fieldNames []string         // configured reply fields, in a fixed order
	apiKey     account.Secret
	uids       map[uint32]bool // who may ask on the unix socket

	keysFit atomic.Bool // the directory's key-check values were seen and fit
}

// open builds everything; it needs no directory yet.
func open(cfg *app.Config, log *slog.Logger) (*server, error) {
	s := &server{cfg: cfg, log: log, metrics: newMetrics(), fieldNames: cfg.FieldNames()}
	var errs []error
	var err error
	if cfg.Policyserver.APIKeyFile != "" { // systemd may pass in a TCP socket although listen is empty
		s.apiKey, err = cfg.APIKey()
		errs = append(errs, err)
	}
	s.uids, err = peerUIDs(cfg.Policyserver.SocketUsers)
	errs = append(errs, err)
	s.audit, err = cfg.OpenAudit(func(err error) {
		s.metrics.auditFailures.Inc()
		log.Error("an audit line could not be written", "error", err)
	})
	errs = append(errs, err)
	s.store, s.ring, err = cfg.OpenStore(account.RoleDoor)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	settings, err := cfg.LoginSettings()
	if err != nil {
		return nil, err
	}
	if err := s.openThrottle(); err != nil {
		return nil, err
	}
	s.gate = login.New(login.Parts{
		Store: s.store, Prover: s.ring, Recorder: effect.Fanout{s.audit, s.metrics}, Throttle: s.throttle(), Now: time.Now,
	}, settings)
	return s, nil
}

const (
	stopTime      = 10 * time.Second // for requests under way when the daemon stops
	keyCheckEvery = 5 * time.Second  // while the directory has not answered yet
)

// serve answers until ctx ends or the keys turn out to be wrong.
func (s *server) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	listeners, err := s.listeners()
	if err != nil {
		return err
	}
	if err := s.endSessions(ctx); err != nil {
		return err
	}
	web := s.httpServer()
	var serving sync.WaitGroup
	for _, l := range listeners {
		serving.Go(func() {
			if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("%w: %w", errRuntime, err))
			}
		})
		s.log.Info("listening", "address", l.Addr().String())
	}
	go s.checkKeys(ctx, cancel)
	go s.reopenOnHangup(ctx)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	<-ctx.Done()
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	s.stop(web)
	serving.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (s *server) stop(web *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if web.Shutdown(ctx) != nil {
		_ = web.Close()
	}
	s.gate.Close(ctx)
	s.closeThrottle()
	s.store.Close()
	_ = s.audit.Close()
}

// checkKeys compares the keys with the directory's key-check values as soon as it
// answers. A wrong key ends the daemon. Until they are known to fit it answers
// "unavailable": its reading of records could not be trusted.
func (s *server) checkKeys(ctx context.Context, cancel context.CancelCauseFunc) {
	for {
		values, err := s.store.KeyChecks(ctx)
		if err == nil {
			if err = s.ring.Check(values); err != nil {
				cancel(fmt.Errorf("%s: %w", s.cfg.KeyPath(account.RoleDoor), err))
				return
			}
			s.keysFit.Store(true)
			return
		}
		s.log.Warn("the directory does not answer yet; logins fail temporarily", "error", err)
		select {
		case <-time.After(keyCheckEvery):
		case <-ctx.Done():
			return
		}
	}
}

// reopenOnHangup reopens the audit log on SIGHUP, for logrotate.
func (s *server) reopenOnHangup(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
			if err := s.audit.Reopen(); err != nil {
				s.log.Error("the audit log was not reopened", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Duration(s.cfg.Login.Deadline) + 15*time.Second,
		// Dovecot keeps idle connections for 10 s (auth-policy.c): ours live longer,
		// so that it never writes into one that is just being closed.
		IdleTimeout:    time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:    func(ctx context.Context, c net.Conn) context.Context { return withPeer(ctx, c) },
	}
}
