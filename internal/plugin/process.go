package plugin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sdk "postern/plugin"
	"postern/plugin/factorpb"
)

// process is one running plug-in.
type process struct {
	handle  *goplugin.Client
	runner  *child
	client  factorpb.FactorClient
	broken  chan error // why it must be ended
	late    atomic.Int32
	pinging atomic.Bool
}

// start runs the plug-in and asks who answers. It takes the configured time at most.
func (f *Factor) start(ctx context.Context) (*process, *factorpb.DescribeResponse, error) {
	p := &process{broken: make(chan error, 1)}
	p.handle = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		Plugins:          goplugin.PluginSet{sdk.Name: &sdk.Side{}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     f.config.StartTimeout,
		Stderr:           &lineLog{log: f.log(), now: f.options.Now},
		Logger:           hclog.NewNullLogger(),
		GRPCDialOptions:  []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage))},
		UnixSocketConfig: &goplugin.UnixSocketConfig{Group: f.who.group()},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			var err error
			p.runner, err = f.child(cmd)
			return p.runner, err
		},
	})
	info, err := f.connect(ctx, p)
	if err != nil {
		p.end(0)
		return nil, nil, p.explain(err)
	}
	return p, info, nil
}

// explain adds to the reason why a process did not start what it said last itself. It
// must have been ended.
func (p *process) explain(err error) error {
	if p.runner == nil || p.runner.ID() == "" {
		return err
	}
	timer := time.NewTimer(graceTime)
	defer timer.Stop()
	select {
	case <-p.runner.stderr.ended:
	case <-timer.C: // it was handed on to somebody who lives
	}
	reason, _, _ := strings.Cut(err.Error(), "\n") // the library's advice, for authors of plug-ins
	reason = strings.TrimSuffix(strings.TrimSpace(reason), ":")
	if words := p.runner.stderr.String(); words != "" {
		reason += "; it says: " + words
	}
	return errors.New(reason)
}

func (f *Factor) connect(ctx context.Context, p *process) (*factorpb.DescribeResponse, error) {
	connection, err := p.handle.Client() // starts it
	if err != nil {
		return nil, err
	}
	side, err := connection.Dispense(sdk.Name)
	if err != nil {
		return nil, err
	}
	client, ok := side.(factorpb.FactorClient)
	if !ok {
		return nil, errors.New("it is no factor")
	}
	p.client = client
	ctx, cancel := context.WithTimeout(ctx, f.config.StartTimeout)
	defer cancel()
	info, err := client.Describe(ctx, &factorpb.DescribeRequest{})
	if err != nil {
		return nil, fmt.Errorf("it does not answer: %w", err)
	}
	return info, nil
}

// verify refuses a file that is not the one of the configuration.
func (f *Factor) verify() error {
	if err := ownedSafely(f.config.Path); err != nil {
		return err
	}
	same, err := (&goplugin.SecureConfig{Checksum: f.sum, Hash: sha256.New()}).Check(f.config.Path)
	switch {
	case err != nil:
		return err
	case !same:
		return fmt.Errorf("%s is not the file whose sha256 the configuration has; it is not started", f.config.Path)
	}
	return nil
}

// judge looks at what came of a call: a process that does not answer any more must end.
func (p *process) judge(err error, late bool) {
	switch status.Code(err) {
	case codes.Unavailable, codes.Internal, codes.Unknown, codes.DeadlineExceeded, codes.Canceled, codes.Unimplemented:
	default: // it has spoken
		p.late.Store(0)
		return
	}
	if late && p.late.Add(1) >= maxLate {
		p.fail(fmt.Errorf("it hangs: %d calls in a row took too long", maxLate))
		return
	}
	if err != nil && p.pinging.CompareAndSwap(false, true) {
		go p.ping()
	}
}

// ping asks whether anybody is there.
func (p *process) ping() {
	defer p.pinging.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), pingTime)
	defer cancel()
	if _, err := p.client.Describe(ctx, &factorpb.DescribeRequest{}); err != nil {
		p.fail(fmt.Errorf("it hangs: %w", err))
	}
}

func (p *process) fail(err error) {
	select {
	case p.broken <- err:
	default: // known already
	}
}

// end asks the process to end, and ends it when grace is over. The library would wait
// for ever for the answer of one that is stopped.
func (p *process) end(grace time.Duration) {
	if p.runner != nil {
		timer := time.AfterFunc(grace, func() { _ = p.runner.Kill(context.Background()) })
		defer timer.Stop()
	}
	p.handle.Kill()
}
