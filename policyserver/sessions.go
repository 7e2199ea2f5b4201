package main

import (
	"context"

	"postern/internal/effect"
)

// endSessions does what the spool asks for until ctx ends: see effect.Deliverer.
func (s *server) endSessions(ctx context.Context) error {
	if !s.cfg.Sessions.On() {
		return nil
	}
	hosts, err := s.cfg.Doveadms()
	if err != nil {
		return err
	}
	spool, err := effect.OpenSpool(s.cfg.Sessions.Spool)
	if err == nil {
		err = spool.Writable()
	}
	if err != nil {
		return err
	}
	d := &effect.Deliverer{
		Spool: spool, Directory: s.store, Recorder: effect.Fanout{s.audit, s.metrics},
		Failed: func(err error) { s.log.Warn("ending live sessions", "error", err) },
	}
	for _, h := range hosts {
		d.Hosts = append(d.Hosts, h)
	}
	go d.Run(ctx)
	return nil
}
