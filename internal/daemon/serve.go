package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Service is what a daemon serves.
type Service struct {
	Handler   http.Handler
	Listeners []net.Listener
	// WriteTime is the longest that an answer may take, waits included.
	WriteTime time.Duration
	// Reload is called on SIGHUP, beside the reopening of the audit log; nil: nothing.
	Reload func() error
	// Finish ends what goes on in the background, when no request is under way any more.
	Finish func(context.Context)
}

const stopTime = 10 * time.Second // for requests under way when the daemon stops

// Serve answers until ctx ends or the keys turn out to be wrong, and closes b.
func (b *Base) Serve(ctx context.Context, s Service) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	web := b.httpServer(&s)
	var serving sync.WaitGroup
	for _, l := range s.Listeners {
		serving.Go(func() {
			if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("%w: %w", ErrRuntime, err))
			}
		})
		b.Log.Info("listening", "address", l.Addr().String())
	}
	go b.checkKeys(ctx, cancel)
	go b.watchSwitch(ctx)
	go b.reloadOnHangup(ctx, s.Reload)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	go b.watchdog(ctx)
	<-ctx.Done()
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	b.stop(web, s.Finish)
	serving.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (b *Base) stop(web *http.Server, finish func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if web.Shutdown(ctx) != nil {
		_ = web.Close()
	}
	finish(ctx)
	b.close()
}

// reloadOnHangup reopens the audit log on SIGHUP, for logrotate, and reloads what
// the daemon itself can.
func (b *Base) reloadOnHangup(ctx context.Context, reload func() error) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
			if err := b.Audit.Reopen(); err != nil {
				b.Log.Error("the audit log was not reopened", "error", err)
			}
			if reload == nil {
				continue
			}
			if err := reload(); err != nil {
				b.Log.Error("not everything was reloaded; what was read before is still used", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (b *Base) httpServer(s *Service) *http.Server {
	return &http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      s.WriteTime,
		// Dovecot keeps idle connections for 10 s (auth-policy.c): ours live longer,
		// so that it never writes into one that is just being closed.
		IdleTimeout:    time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(b.Log.Handler(), slog.LevelDebug),
		ConnContext:    withPeer,
	}
}
