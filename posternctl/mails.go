package main

import (
	"context"
	"time"

	"postern/internal/app"
	"postern/internal/effect"
	"postern/internal/notify"
	"postern/ldapstore"
)

// mailTime is how long a command waits for the mail server.
const mailTime = 8 * time.Second

// mailer is the recorder of what owners are told by mail. A daemon on this host sends
// it; where there is none, the command does when it is done, and what is left then waits
// for the next one.
type mailer struct {
	ctl   *ctl
	cfg   *app.Config
	store *ldapstore.Store
	audit effect.Recorder

	recorder *notify.Recorder // opened with the first event that may be told
	taken    bool
}

func (c *ctl) mails(cfg *app.Config, store *ldapstore.Store, audit effect.Recorder) effect.Recorder {
	m := &mailer{ctl: c, cfg: cfg, store: store, audit: audit}
	if cfg.Mail.On() {
		c.closers = append(c.closers, m.send)
	}
	return m
}

// Record implements effect.Recorder. What fails is no reason to fail the change, which
// has been made.
func (m *mailer) Record(e effect.Event) {
	if !m.cfg.Mail.On() || effect.TopicOf(&e) == "" {
		return
	}
	if m.recorder == nil {
		spool, err := notify.OpenSpool(m.cfg.Mail.Spool)
		if err != nil {
			m.failed(err)
		}
		m.recorder = &notify.Recorder{Spool: spool, Privacy: m.cfg.Privacy.Address, NewSignIn: m.cfg.Mail.NewSignIn,
			Failed: m.failed, Taken: func(*notify.Letter) { m.taken = true }}
	}
	m.recorder.Record(e)
}

func (m *mailer) failed(err error) { m.ctl.warn("mails to users: %v", err) }

// send hands over what waits, unless a daemon does.
func (m *mailer) send() {
	if !m.taken {
		return
	}
	unlock, mine, err := m.recorder.Spool.Lock()
	if err != nil {
		m.failed(err)
	}
	if !mine {
		return
	}
	defer unlock()
	d, err := m.cfg.OpenMails(m.store, m.audit, m.failed)
	if err != nil {
		m.failed(err)
		return
	}
	d.Settle = 0
	ctx, cancel := context.WithTimeout(context.Background(), mailTime)
	defer cancel()
	if left := d.Pass(ctx, time.Now()); left > 0 {
		m.ctl.warn("%d notices to users wait in %s for a daemon or the next command", left, m.cfg.Mail.Spool)
	}
}
