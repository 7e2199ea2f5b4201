package daemon

import (
	"context"
	"time"
)

// switchEvery is how often a daemon looks whether somebody switched Postern off; what
// it sees is only for the log and the metrics, as every account that is read says so
// itself.
const (
	switchEvery = 5 * time.Second
	switchTell  = 10 * time.Minute
)

// watchSwitch tells loudly that Postern is switched off, until ctx ends.
func (b *Base) watchSwitch(ctx context.Context) {
	var told time.Time
	off := false
	for {
		if s, err := b.Store.Switch(ctx); err == nil {
			now := time.Now()
			is := s.IsOff(now)
			b.Metrics.switchedOff.Set(map[bool]float64{true: 1}[is])
			switch {
			case is && (!off || now.Sub(told) >= switchTell):
				told = now
				b.Log.Error("POSTERN IS SWITCHED OFF: main passwords open mail and webmail for everybody; to switch it on: posternctl on",
					"reason", s.Reason, "by", s.By, "since", s.At, "until", s.Until)
			case off && !is:
				b.Log.Warn("Postern is switched on again")
			}
			off = is
		}
		select {
		case <-time.After(switchEvery):
		case <-ctx.Done():
			return
		}
	}
}
