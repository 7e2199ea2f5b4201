package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/daemon"
	"postern/internal/effect"
	"postern/internal/login"
)

// server is the object graph of the daemon.
type server struct {
	*daemon.Base
	cfg        *app.Config
	log        *slog.Logger
	times      times
	gate       *login.Gate
	recorder   effect.Recorder // of changes
	fieldNames []string        // configured reply fields, in a fixed order
	apiKey     account.Secret
	uids       map[uint32]bool // who may ask on the unix socket
}

// open builds everything; it needs no directory yet.
func open(cfg *app.Config, log *slog.Logger) (*server, error) {
	s := &server{cfg: cfg, log: log, fieldNames: cfg.FieldNames()}
	var errs []error
	var err error
	if cfg.Policyserver.APIKeyFile != "" { // systemd may pass in a TCP socket although listen is empty
		s.apiKey, err = cfg.APIKey()
		errs = append(errs, err)
	}
	s.uids, err = peerUIDs(cfg.Policyserver.SocketUsers)
	errs = append(errs, err)
	settings, err := cfg.LoginSettings()
	errs = append(errs, err)
	s.Base, err = daemon.OpenBase("policyserver", cfg, log, account.RoleDoor)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	s.times = newTimes(s.Metrics)
	if s.recorder, err = s.ChangeRecorder(); err != nil {
		return nil, err
	}
	s.gate = s.OpenGate(settings, s.recorder)
	return s, nil
}

// Serve implements daemon.Server.
func (s *server) Serve(ctx context.Context) error {
	p := s.cfg.Policyserver
	listeners, err := daemon.Listen{Section: "policyserver", Socket: p.Socket, Listen: p.Listen, MaxConns: p.MaxConns}.Listeners()
	if err != nil {
		return err
	}
	if err := errors.Join(s.EndSessions(ctx), s.SendMails(ctx)); err != nil {
		return err
	}
	s.Sweep(ctx, s.recorder)
	return s.Base.Serve(ctx, daemon.Service{Handler: s.routes(), Listeners: listeners, Finish: s.gate.Close,
		WriteTime: time.Duration(s.cfg.Login.Deadline) + 15*time.Second})
}

// peerUIDs resolves socket_users. A name that does not exist here is left out,
// because the default names users of several distributions; all missing is an error.
func peerUIDs(names []string) (map[uint32]bool, error) {
	uids := map[uint32]bool{uint32(os.Getuid()): true} //nolint:gosec // uids are 32 bits
	found := len(names) == 0
	for _, name := range names {
		id := name
		if u, err := user.Lookup(name); err == nil {
			id = u.Uid
		}
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			continue
		}
		found = true
		uids[uint32(n)] = true
	}
	if !found {
		return nil, fmt.Errorf("policyserver.socket_users: there is no user %q; name those that Dovecot's auth processes run as", names)
	}
	return uids, nil
}
