package main

import (
	"context"
	"time"

	"postern/internal/app"
	"postern/internal/effect"
	"postern/ldapstore"
)

const (
	kickTime = 8 * time.Second // for all Dovecot hosts together
	// kickHold keeps policyserver from kicking as well meanwhile.
	kickHold = kickTime + 4*time.Second
)

// ender is the recorder that sees to the end of live sessions. They are told to
// end when the command is done, and written down before: what cannot be reached
// from here, and what comes later, is the policyserver's.
type ender struct {
	ctl   *ctl
	cfg   *app.Config
	store *ldapstore.Store

	spool *effect.Spool
	due   []effect.Ending
	said  bool
}

func (c *ctl) sessions(cfg *app.Config, store *ldapstore.Store) effect.Recorder {
	e := &ender{ctl: c, cfg: cfg, store: store}
	c.closers = append(c.closers, e.kickAll)
	return e
}

// Record implements effect.Recorder. What fails is no reason to fail the change,
// which has been made.
func (s *ender) Record(e effect.Event) {
	if _, ends := effect.EndingOf(e); !ends {
		return
	}
	if !s.cfg.Sessions.On() {
		s.goOn()
		return
	}
	if s.spool == nil {
		var err error
		if s.spool, err = effect.OpenSpool(s.cfg.Sessions.Spool); err != nil {
			s.failed(err)
		}
	}
	r := effect.SpoolRecorder{Spool: s.spool, Names: s.store.Names, Hold: kickHold, Failed: s.failed,
		Taken: func(e effect.Ending) {
			if !e.NotBefore.After(e.Since.Add(kickHold)) { // what is due later, policyserver sees to
				s.due = append(s.due, e)
			}
		}}
	r.Record(e)
}

func (s *ender) failed(err error) { s.ctl.warn("live sessions: %v", err) }

// goOn says once what a site lacks that has not said how to end live sessions.
func (s *ender) goOn() {
	if !s.said {
		s.said = true
		s.ctl.say("Mail sessions that are open now go on until they reconnect; [sessions] in %s would end them.", s.ctl.configPath)
	}
}

// kickAll kicks at once, and says what came of it.
func (s *ender) kickAll() {
	if len(s.due) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), kickTime)
	defer cancel()
	hosts, err := s.cfg.Doveadms()
	if err != nil {
		s.failed(err)
	}
	for i := range s.due {
		e := &s.due[i]
		for _, h := range hosts {
			s.ctl.kick(ctx, h, e)
		}
		if e.ID == "" { // not stored
			continue
		}
		e.NotBefore = time.Time{}
		if err := s.spool.Save(e); err != nil {
			s.failed(err)
		}
	}
}

func (c *ctl) kick(ctx context.Context, h effect.Kicker, e *effect.Ending) {
	k, err := h.Kick(ctx, e)
	switch {
	case err != nil && e.ID == "":
		c.warn("live sessions of %s may go on: %v", e.User, err)
	case err != nil:
		c.warn("live sessions of %s may go on for now: %v; policyserver will try again", e.User, err)
	case k.N == 0:
		c.say("No session of %s was open at %s.", e.User, h.Host())
	default:
		c.say("Ended %v of %s at %s.", k, e.User, h.Host())
	}
	if err == nil {
		e.Note(h.Host(), effect.AtOnce)
	}
}
