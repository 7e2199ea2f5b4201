// Package plugin is the host of plug-in factors: second factors that run as processes of
// their own, which the webhook starts, watches and asks over gRPC (hashicorp/go-plugin;
// the protocol is package postern/plugin's, plugin/factorpb/factor.proto).
//
// A plug-in is trusted with one thing: to say whether an answer to its own question is
// right. Everything else is the host's:
//
//   - what runs is the file whose SHA-256 the configuration has, at every start; a file
//     that was swapped is refused;
//   - it runs as a user of its own, with no environment, no capabilities and nothing of
//     the webhook's but a connection that both ends have authenticated (AutoMTLS);
//   - it crashes or hangs: it is ended and started again, later each time; until then
//     the factor is unavailable, which is neither wrong nor right, and other factors do
//     not wait for it;
//   - what it asks is plain text of bounded length; what it proves is about a record of
//     the account that was asked about, and is good once (Spend).
//
// Only the webhook contains this package.
package plugin

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"postern/internal/effect"
	"postern/internal/factor"
	sdk "postern/plugin"
	"postern/plugin/factorpb"
)

// Config is one plug-in of the configuration.
type Config struct {
	Name         string
	Path         string
	SHA256       string   // of the file at Path, in hex
	Args         []string // Config's file comes last, if there is one
	ConfigFile   string
	User         string        // whom it runs as; empty: the webhook's own user
	Timeout      time.Duration // of one call
	StartTimeout time.Duration
}

// Options are what tests change.
type Options struct {
	Log *slog.Logger
	// FirstBackoff is how long after a crash it is started again; twice as long after the
	// next, up to MaxBackoff. Zero: 1 s and 1 min.
	FirstBackoff, MaxBackoff time.Duration
	Now                      func() time.Time // nil: time.Now
}

const (
	maxCalls   = 64              // at once; what comes on top is unavailable
	maxLate    = 3               // calls in a row that took too long: it hangs
	steady     = time.Minute     // a process that lived for so long is no crashing one
	pingTime   = 2 * time.Second // for the answer to "are you there"
	graceTime  = time.Second     // between asking a process to end and ending it
	maxMessage = 64 << 10        // bytes of an answer
)

// Factor is a plug-in as the rest of Postern sees it: a factor.Factor whose process Run
// looks after. It is safe for concurrent use.
type Factor struct {
	config  Config
	options Options
	sum     []byte
	who     *identity
	slots   chan struct{}
	begun   begun

	mu      sync.Mutex
	process *process // nil: down
}

var _ interface {
	factor.Factor
	factor.Resumer
} = (*Factor)(nil)

// New returns the factor; nothing is started. Errors: what the configuration says cannot
// be.
func New(c Config, o Options) (*Factor, error) {
	if o.FirstBackoff == 0 {
		o.FirstBackoff = time.Second
	}
	if o.MaxBackoff == 0 {
		o.MaxBackoff = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	sum, err := hex.DecodeString(c.SHA256)
	if err != nil || len(sum) != 32 {
		return nil, errors.New("sha256 must be 64 hexadecimal digits, as sha256sum prints them")
	}
	if !filepath.IsAbs(c.Path) {
		return nil, fmt.Errorf("%q is not an absolute path", c.Path)
	}
	who, err := identityOf(c.User)
	if err != nil {
		return nil, err
	}
	return &Factor{config: c, options: o, sum: sum, who: who, slots: make(chan struct{}, maxCalls)}, nil
}

// Run keeps the plug-in running until ctx ends, and returns when its process is gone.
func (f *Factor) Run(ctx context.Context) {
	wait := f.options.FirstBackoff
	for ctx.Err() == nil {
		began := f.options.Now()
		err := f.runOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if f.options.Now().Sub(began) >= steady {
			wait = f.options.FirstBackoff
		}
		f.log().Error("a plug-in is down", "error", clean(err.Error()), "again_in", wait.String())
		pause(ctx, wait)
		wait = min(2*wait, f.options.MaxBackoff)
	}
}

// runOnce is one life of the process; the error says what ended it.
func (f *Factor) runOnce(ctx context.Context) error {
	p, info, err := f.start(ctx)
	if err != nil {
		return err
	}
	f.log().Info("a plug-in is up", "program", clean(info.GetName()), "version", clean(info.GetVersion()), "pid", p.runner.ID())
	f.set(p)
	defer f.set(nil)
	select {
	case <-p.runner.exited:
		p.end(0)
		return errors.New("its process has ended")
	case err = <-p.broken:
		p.end(0)
		return err
	case <-ctx.Done():
		p.end(graceTime)
		return ctx.Err()
	}
}

// Try starts the plug-in, asks it who it is, and ends it: what -check does.
func (f *Factor) Try(ctx context.Context) (sdk.Info, error) {
	p, info, err := f.start(ctx)
	if err != nil {
		return sdk.Info{}, err
	}
	p.end(graceTime)
	return sdk.Info{Name: clean(info.GetName()), Version: clean(info.GetVersion())}, nil
}

// Up reports whether the plug-in runs.
func (f *Factor) Up() bool { return f.current() != nil }

func (f *Factor) current() *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.process
}

func (f *Factor) set(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.process = p
}

func (f *Factor) log() *slog.Logger { return f.options.Log.With("plugin", f.config.Name) }

// call asks the process. Errors are those of package postern/plugin: without a process,
// or with too many calls under way, ErrUnavailable at once.
func (f *Factor) call(ctx context.Context, do func(context.Context, factorpb.FactorClient) error) error {
	p := f.current()
	if p == nil {
		return fmt.Errorf("%w: it does not run", sdk.ErrUnavailable)
	}
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	default:
		return fmt.Errorf("%w: too many calls at once", sdk.ErrUnavailable)
	}
	timed, cancel := context.WithTimeout(ctx, f.config.Timeout)
	defer cancel()
	err := do(timed, p.client)
	p.judge(err, timed.Err() != nil && ctx.Err() == nil)
	err = sdk.FromStatus(err)
	if errors.Is(err, sdk.ErrUnavailable) {
		f.log().Warn("a plug-in could not check", "error", clean(err.Error()))
	}
	return err
}

// clean makes what a plug-in wrote fit for a log line.
func clean(s string) string { return effect.Clean(s) }

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
