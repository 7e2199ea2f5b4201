package throttle

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"postern/internal/account"
	"postern/internal/login"
)

// RedisOptions say where Redis or Valkey is and how it is used.
type RedisOptions struct {
	// URL is redis://[user@]host:port[/db], rediss:// for TLS, or unix:///path.
	URL      string
	Password account.Secret
	// Key is the site's, the same on all nodes, at least 16 bytes: names are stored
	// as MACs under it. login.Try.Secret must be made under a key of the site too.
	Key []byte
	// Deadline bounds each question, 50 ms if 0.
	Deadline time.Duration
	// Probe is how often to ask whether Redis is back, 1 s if 0.
	Probe time.Duration
	// Log hears of each loss of Redis and of each return. Nil: nobody does.
	Log *slog.Logger
	// Degraded is told true at a loss and false at a return, for a metric; nil: not.
	Degraded func(bool)
}

// Shared counts in Redis or Valkey for all nodes of a site. Where that does not
// answer within the deadline, the node's own memory does, at once and without
// asking Redis, until a probe in the background finds it again. Wrong and right
// tries are always told to memory too, so that it knows what this node saw.
//
// All keys carry one hash tag: in a cluster they lie on one node.
type Shared struct {
	memory  *Memory
	options RedisOptions
	client  *redis.Client
	script  *redis.Script

	degraded atomic.Bool
	changing sync.Mutex // one loss or return at a time, said in order
	closed   context.Context
	close    context.CancelFunc
	probes   sync.WaitGroup
}

// NewShared returns a Shared over a Memory, which it does not close. It does not
// wait for Redis; its errors are about the options only.
func NewShared(m *Memory, o RedisOptions) (*Shared, error) {
	if len(o.Key) < 16 {
		return nil, errors.New("throttle: the site's key for names in Redis must have at least 16 bytes")
	}
	if o.Deadline == 0 {
		o.Deadline = 50 * time.Millisecond
	}
	if o.Probe == 0 {
		o.Probe = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Degraded == nil {
		o.Degraded = func(bool) {}
	}
	c, err := redis.ParseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("throttle.redis_url: not an address like redis://host:6379/0")
	}
	if !o.Password.Empty() {
		c.Password = string(o.Password.Reveal())
	}
	impatient(c, o.Deadline)
	quietly()
	s := &Shared{memory: m, options: o, client: redis.NewClient(c), script: newScript(&m.rules)}
	s.closed, s.close = context.WithCancel(context.Background())
	return s, nil
}

// impatient makes the client give up at the deadline, wherever it is, and not try
// again: by then memory has answered.
func impatient(c *redis.Options, deadline time.Duration) {
	c.ContextTimeoutEnabled = true
	c.MaxRetries = -1
	c.DialerRetries = 1
	c.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled} // two round trips less
	c.DialTimeout, c.ReadTimeout, c.WriteTimeout, c.PoolTimeout = deadline, deadline, deadline, deadline
}

// quietly keeps the library from writing to standard error by itself, once for the
// process: a line for each connection that fails.
var quietly = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Close ends probing and the connections. Questions after it are memory's.
func (s *Shared) Close() error {
	s.changing.Lock()
	s.degraded.Store(true)
	s.close()
	s.changing.Unlock()
	s.probes.Wait()
	return s.client.Close()
}

// Degraded reports whether memory answers at present.
func (s *Shared) Degraded() bool { return s.degraded.Load() }

// Prefix implements login.Throttle.
func (s *Shared) Prefix(ctx context.Context, t login.Try) login.Advice {
	switch s.memory.rules.stands(t.Client) {
	case banned:
		return login.Advice{Refuse: true, Limit: LimitDenied}
	case exempt:
		return login.Advice{}
	}
	reply, ok := s.ask(ctx, "prefix", t)
	if !ok {
		return s.memory.Prefix(ctx, t)
	}
	if reply.number(0) == 1 {
		return login.Advice{}
	}
	return s.memory.rules.prefixAdvice(reply.number(1), reply.number(2))
}

// Account implements login.Throttle.
func (s *Shared) Account(ctx context.Context, t login.Try) login.Advice {
	reply, ok := s.ask(ctx, "account", t)
	if !ok {
		return s.memory.Account(ctx, t)
	}
	if reply.number(3) == 3 {
		return login.Advice{Refuse: true, Limit: LimitAccount}
	}
	var wait login.Advice
	if reply.number(0) != 1 {
		wait = s.memory.rules.accountWaits(reply.number(1), reply.number(2))
	}
	return verdict(reply.number(3)).advice(wait)
}

// Wrong implements login.Throttle.
func (s *Shared) Wrong(ctx context.Context, t login.Try, main bool) {
	s.memory.Wrong(ctx, t, main)
	s.ask(ctx, "wrong", t, flag(main), flag(s.memory.rules.stands(t.Client) == exempt))
}

// Right implements login.Throttle.
func (s *Shared) Right(ctx context.Context, t login.Try) {
	s.memory.Right(ctx, t)
	s.ask(ctx, "right", t)
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// reply is what the script answers: a list of numbers, or one.
type reply []any

// number is the i-th number; the script's own answers always have it.
func (r reply) number(i int) float64 {
	if i >= len(r) {
		return 0
	}
	switch v := r[i].(type) {
	case int64:
		return float64(v)
	case string:
		f, _ := strconv.ParseFloat(v, 64)
		return f
	}
	return 0
}

// ask puts one question to Redis. It answers false when memory must. Only the
// deadline ends it: a client that hangs up after a wrong guess would otherwise take
// the count with it.
func (s *Shared) ask(ctx context.Context, question string, t login.Try, more ...any) (reply, bool) {
	if s.degraded.Load() {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.Deadline)
	defer cancel()
	args := append([]any{question, seconds(s.memory.now()), t.Secret}, more...)
	answer, err := s.script.Run(ctx, s.client, s.keys(t), args...).Result()
	if err != nil {
		s.lose(err)
		return nil, false
	}
	list, _ := answer.([]any)
	return list, true
}

// keys are the names of a try's records in the order of the script.
func (s *Shared) keys(t login.Try) []string {
	n := nameAll(t, s.name)
	const prefix, unused = "{postern}:", "{postern}:-"
	keys := []string{prefix + n.guard, unused, unused, unused, unused, prefix + "site"}
	if n.hasPair {
		keys[1], keys[3] = prefix+n.pair, prefix+n.prefix
	}
	if n.hasAlias {
		keys[2] = prefix + n.alias
	}
	if n.hasNetwork {
		keys[4] = prefix + n.network
	}
	return keys
}

// name is a MAC of 96 bits, which nobody makes collide without the key. Standard
// base64 has no "-", which marks the unused.
func (s *Shared) name(b []byte) string {
	h := hmac.New(sha256.New, s.options.Key)
	_, _ = h.Write(b)
	return base64.StdEncoding.EncodeToString(h.Sum(nil)[:12])
}

// lose turns to memory, says so once, and starts to probe.
func (s *Shared) lose(cause error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.degraded.Swap(true) {
		return
	}
	s.options.Log.Warn("throttle: Redis does not answer; this node counts alone", "error", cause)
	s.options.Degraded(true)
	s.probes.Go(s.probe)
}

// probe waits until Redis takes writes again: one that has become a read-only
// replica answers, but is of no use.
func (s *Shared) probe() {
	tick := time.NewTicker(s.options.Probe)
	defer tick.Stop()
	for {
		select {
		case <-s.closed.Done():
			return
		case <-tick.C:
		}
		if s.writes() && s.regain() {
			return
		}
	}
}

func (s *Shared) writes() bool {
	ctx, cancel := context.WithTimeout(s.closed, s.options.Deadline)
	defer cancel()
	return s.client.Set(ctx, "{postern}:probe", "", time.Minute).Err() == nil
}

// regain turns back to Redis. It answers false after Close.
func (s *Shared) regain() bool {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.closed.Err() != nil {
		return false
	}
	s.degraded.Store(false)
	s.options.Log.Info("throttle: Redis answers again; nodes count together")
	s.options.Degraded(false)
	return true
}

var (
	_ login.Throttle = (*Memory)(nil)
	_ login.Throttle = (*Shared)(nil)
	_ io.Closer      = (*Shared)(nil)
)
