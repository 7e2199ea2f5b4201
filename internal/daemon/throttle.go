package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/secretfile"
	"postern/internal/throttle"
)

// openThrottle makes the limits on guessing: this node's memory, filled from its
// snapshot, and Redis or Valkey on top where the site has one.
func (b *Base) openThrottle() error {
	t := b.Config.Throttle
	b.memory = throttle.New(t, time.Now)
	if path := b.snapshot(); path != "" {
		if err := b.memory.Load(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			b.Log.Warn("the counters of guesses start from nothing", "snapshot", path, "error", err)
		}
	}
	if t.RedisURL == "" {
		return nil
	}
	key, err := b.Ring.MAC(account.RoleDoor, "names in redis")
	if err != nil {
		return err
	}
	o := throttle.RedisOptions{URL: t.RedisURL, Key: key, Deadline: t.RedisDeadline, Log: b.Log, Degraded: b.Metrics.degrade}
	if t.RedisPasswordFile != "" {
		password, err := secretfile.ReadLine(t.RedisPasswordFile)
		if err != nil {
			return fmt.Errorf("throttle.redis_password_file: %w", err)
		}
		o.Password = account.NewSecret(password)
	}
	b.shared, err = throttle.NewShared(b.memory, o)
	return err
}

// snapshot is the file that keeps the counters; each daemon has its own, for the
// last one to stop would overwrite what the other saved.
func (b *Base) snapshot() string {
	path := b.Config.Throttle.Snapshot
	if path == "" || b.name == "policyserver" {
		return path
	}
	return path + "." + b.name
}

// throttle is what package login asks.
func (b *Base) throttle() login.Throttle {
	if b.shared != nil {
		return b.shared
	}
	return b.memory
}

func (b *Base) closeThrottle() {
	if b.shared != nil {
		_ = b.shared.Close()
	}
	if path := b.snapshot(); path != "" {
		if err := b.memory.Save(path); err != nil {
			b.Log.Error("the counters of guesses were not saved", "error", err)
		}
	}
}
