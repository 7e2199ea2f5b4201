package main

import (
	"encoding/json"
	"errors"
	"log/syslog"
	"os"

	"postern/internal/app"
	"postern/internal/effect"
)

// systemLog is where programs send lines for the journal or the syslog daemon.
const systemLog = "/dev/log"

// recorder opens the audit log. A change that cannot be audited is not begun.
//
// Without audit.file the daemons write to standard error, which is the journal;
// ours is somebody's terminal, so the lines go to the system's log instead, and to
// standard error only where there is none.
func (c *ctl) recorder(cfg *app.Config, logSocket string) (effect.Recorder, error) {
	failed := func(err error) { c.warn("the audit log could not be written: %v", err) }
	if cfg.Audit.File == "" {
		if w, err := syslog.Dial("unixgram", logSocket, syslog.LOG_AUTHPRIV|syslog.LOG_NOTICE, "posternctl"); err == nil {
			c.closers = append(c.closers, func() { _ = w.Close() })
			return &sysRecorder{w, failed}, nil
		}
	}
	_, statErr := os.Stat(cfg.Audit.File)
	audit, err := cfg.OpenAudit(failed)
	if err != nil {
		return nil, err
	}
	c.closers = append(c.closers, func() { _ = audit.Close() })
	if errors.Is(statErr, os.ErrNotExist) && cfg.Audit.File != "" {
		// Made by root just now; the daemons must be able to append to it.
		if err := giveToOwnerOfDir(cfg.Audit.File); err != nil {
			c.warn("%v", err)
		}
	}
	return audit, nil
}

// sysRecorder writes events to the system's log, one JSON object a line.
type sysRecorder struct {
	w      *syslog.Writer
	failed func(error)
}

// Record implements effect.Recorder. Package desk has made the event's texts safe.
func (r *sysRecorder) Record(e effect.Event) {
	line, err := json.Marshal(e)
	if err == nil {
		err = r.w.Notice(string(line))
	}
	if err != nil {
		r.failed(err)
	}
}
