package plugin

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"postern/plugin/factorpb"
)

// Version is that of the protocol. Another one is refused at the handshake.
const Version = 1

// Name is what the factor is called in go-plugin's set of plug-ins.
const Name = "factor"

// Handshake tells a person who starts a plug-in in a shell that this is not how. It is
// no secret, and protects nothing: AutoMTLS does.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: Version, MagicCookieKey: "POSTERN_FACTOR", MagicCookieValue: "postern-factor-v1"}
}

// Main is the main function of a plug-in whose one argument is its configuration file. It
// ends the process: with 2 when the argument is missing, with 1 when open fails, whose
// error goes to standard error, and so into the webhook's log.
func Main[F Factor](info Info, open func(path string) (F, error)) {
	if len(os.Args) != 2 {
		fmt.Fprintf(os.Stderr, "usage: %s CONFIG-FILE, started by Postern's webhook\n", info.Name)
		os.Exit(2)
	}
	f, err := open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	Serve(info, f)
}

// Serve runs a plug-in until the webhook ends it. What the plug-in writes to standard
// error is in the webhook's log; nothing may be written to standard output.
func Serve(info Info, f Factor) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake(),
		Plugins:         plugin.PluginSet{Name: &Side{Serve: &server{info: info, factor: f}}},
		GRPCServer:      plugin.DefaultGRPCServer,
		Logger:          hclog.NewNullLogger(),
	})
}

// Side is both sides of the connection, as go-plugin wants them: what a plug-in serves,
// and what the webhook gets, a factorpb.FactorClient.
type Side struct {
	plugin.NetRPCUnsupportedPlugin
	Serve factorpb.FactorServer // nil in the webhook
}

// GRPCServer implements plugin.GRPCPlugin.
func (s *Side) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	factorpb.RegisterFactorServer(g, s.Serve)
	return nil
}

// GRPCClient implements plugin.GRPCPlugin.
func (*Side) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return factorpb.NewFactorClient(c), nil
}

// server is a Factor as gRPC calls it.
type server struct {
	factorpb.UnimplementedFactorServer
	info   Info
	factor Factor
}

// Describe implements factorpb.FactorServer.
func (s *server) Describe(context.Context, *factorpb.DescribeRequest) (*factorpb.DescribeResponse, error) {
	return &factorpb.DescribeResponse{Name: s.info.Name, Version: s.info.Version}, nil
}

// Begin implements factorpb.FactorServer.
func (s *server) Begin(ctx context.Context, r *factorpb.Request) (_ *factorpb.Question, err error) {
	defer defect(&err)
	ctx, cancel := early(ctx)
	defer cancel()
	q, err := s.factor.Begin(ctx, requestFromWire(r))
	if err == nil && q == nil {
		err = fmt.Errorf("%w: Begin asks nothing", ErrUnavailable)
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return q.toWire(), nil
}

// Check implements factorpb.FactorServer.
func (s *server) Check(ctx context.Context, r *factorpb.Request) (_ *factorpb.Verdict, err error) {
	defer defect(&err)
	ctx, cancel := early(ctx)
	defer cancel()
	v, err := s.factor.Check(ctx, requestFromWire(r))
	if err != nil {
		return nil, toStatus(err)
	}
	wire, err := v.toWire()
	return wire, toStatus(err)
}

// early ends a call a little before the webhook stops waiting for it: a plug-in that says
// in time that its server does not answer is slow, one that says nothing is taken to hang.
func early(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*9/10)
}

// defect turns a panic of one call into an answer to that call: the others go on.
func defect(err *error) {
	if d := recover(); d != nil {
		*err = toStatus(fmt.Errorf("%w: defect: %v", ErrUnavailable, d))
	}
}
