package main

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
func (s *server) openThrottle() error {
	t := s.cfg.Throttle
	s.memory = throttle.New(t, time.Now)
	if t.Snapshot != "" {
		if err := s.memory.Load(t.Snapshot); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("the counters of guesses start from nothing", "snapshot", t.Snapshot, "error", err)
		}
	}
	if t.RedisURL == "" {
		return nil
	}
	key, err := s.ring.MAC(account.RoleDoor, "names in redis")
	if err != nil {
		return err
	}
	o := throttle.RedisOptions{URL: t.RedisURL, Key: key, Deadline: t.RedisDeadline, Log: s.log, Degraded: s.metrics.degrade}
	if t.RedisPasswordFile != "" {
		password, err := secretfile.ReadLine(t.RedisPasswordFile)
		if err != nil {
			return fmt.Errorf("throttle.redis_password_file: %w", err)
		}
		o.Password = account.NewSecret(password)
	}
	s.shared, err = throttle.NewShared(s.memory, o)
	return err
}

// throttle is what package login asks.
func (s *server) throttle() login.Throttle {
	if s.shared != nil {
		return s.shared
	}
	return s.memory
}

func (s *server) closeThrottle() {
	if s.shared != nil {
		_ = s.shared.Close()
	}
	if path := s.cfg.Throttle.Snapshot; path != "" {
		if err := s.memory.Save(path); err != nil {
			s.log.Error("the counters of guesses were not saved", "error", err)
		}
	}
}

func (m *metrics) degrade(yes bool) {
	m.degraded.Set(map[bool]float64{true: 1}[yes])
}
