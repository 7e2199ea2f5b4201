package daemon

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// watchdog tells systemd twice in WatchdogSec= that the daemon lives, until ctx ends
// (sd_watchdog_enabled(3)). A process that does not get that far any more, for want of
// memory or because its runtime hangs, is started anew. It asks nothing of the
// directory: a restart would not bring that back, and would forget who was refused.
func (b *Base) watchdog(ctx context.Context) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		b.Log.Warn("systemd's watchdog", "error", err)
	}
	if limit <= 0 {
		return
	}
	tick := time.NewTicker(limit / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		case <-ctx.Done():
			return
		}
	}
}
