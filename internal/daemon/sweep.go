package daemon

import (
	"context"
	"math/rand/v2"
	"time"

	"postern/internal/desk"
	"postern/internal/effect"
)

// Sweep passes over all accounts every now and then until ctx ends: see desk.Sweep. The
// first pass comes at some time within the first period: daemons that were started
// together do not all read the directory at once.
func (b *Base) Sweep(ctx context.Context, r effect.Recorder) {
	every := time.Duration(b.Config.Sweep.Every)
	if every <= 0 {
		return
	}
	d := &desk.Desk{Store: b.Store, Recorder: r, Now: time.Now}
	go func() {
		wait := rand.N(every) //nolint:gosec // not a secret
		for {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
			wait = every
			if more := b.sweep(ctx, d); more {
				wait = min(every, sweepAgain)
			}
		}
	}()
}

// sweepAgain is when a pass goes on that has ended as many live sessions as may be at once.
const sweepAgain = time.Minute

// sweep is one pass. Without the right keys all accounts would look damaged.
func (b *Base) sweep(ctx context.Context, d *desk.Desk) (more bool) {
	if !b.KeysFit() {
		return false
	}
	s, err := b.Config.SweepOf()
	if err != nil {
		b.Log.Warn("sweeping: the spool of live sessions", "error", err)
	}
	done, err := d.Sweep(ctx, desk.Root(b.name), b.Store, s)
	if done.Changed > 0 {
		b.Log.Info("swept", "accounts", done.Accounts, "done", done.String())
	}
	if err != nil && ctx.Err() == nil {
		b.Log.Warn("sweeping was broken off; the next pass goes on", "error", err)
	}
	if _, err := b.Config.PurgeSpools(time.Now()); err != nil {
		b.Log.Warn("files that were set aside are not removed", "error", err)
	}
	return done.Deferred > 0
}
