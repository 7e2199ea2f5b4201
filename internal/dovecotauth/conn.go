package dovecotauth

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// conn is one connection. Requests are answered in any order.
type conn struct {
	raw     net.Conn
	writing chan struct{} // held by who writes a line

	mu      sync.Mutex
	waiting map[uint32]waiting
	last    uint32 // the newest request's number
	retired bool   // takes no new requests, and ends with the last answer
	err     error  // why it has ended
	aging   *time.Timer
}

// waiting is a request without an answer yet.
type waiting struct {
	got  chan answer // closed when there will be none
	over func()
}

// forgetAfter is when Dovecot itself gives a request up, without a word
// (MASTER_AUTH_SERVER_TIMEOUT_SECS in src/auth/auth-request-handler.c).
const forgetAfter = 150 * time.Second

var (
	errClosed  = errors.New("the connection was closed")
	errRetired = errors.New("the connection had come to its end")
	errUnsent  = errors.New("the question was not sent")
)

// dial connects and shakes hands, until ctx ends.
func dial(ctx context.Context, socket string) (*conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err // names the socket
	}
	c := &conn{raw: raw, writing: make(chan struct{}, 1), waiting: make(map[uint32]waiting)}
	in := bufio.NewReaderSize(raw, maxLine)
	if err := c.shakeHands(ctx, in); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("%s: %w", socket, err)
	}
	go c.read(in)
	return c, nil
}

// shakeHands: 2.3 greets at once, 2.4 says its mechanisms only to who has named its
// version. The process id means something on the sockets of login processes only.
func (c *conn) shakeHands(ctx context.Context, in *bufio.Reader) error {
	deadline, _ := ctx.Deadline()
	if err := c.raw.SetDeadline(deadline); err != nil {
		return err
	}
	hello := fmt.Sprintf("VERSION\t%d\t%d\nCPID\t%d\n", versionMajor, versionMinor, os.Getpid())
	if _, err := c.raw.Write([]byte(hello)); err != nil {
		return err
	}
	var g greeting
	for {
		line, err := readLine(in)
		if err != nil {
			return fmt.Errorf("no greeting of Dovecot's auth service: %w", err)
		}
		if done, err := g.add(line); err != nil {
			return err
		} else if done {
			return c.raw.SetDeadline(time.Time{})
		}
	}
}

// readLine reads one line without its end; it is valid until the next.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("a line of more than %d bytes", maxLine)
	}
	return bytes.TrimSuffix(line, []byte("\n")), err
}

// read hands out the answers until the connection ends.
func (c *conn) read(in *bufio.Reader) {
	for {
		line, err := readLine(in)
		if err != nil {
			c.end(fmt.Errorf("Dovecot ended the connection: %w", err)) //nolint:staticcheck // ST1005: a name
			return
		}
		if id, a, ok := parseAnswer(string(line)); ok {
			c.deliver(id, a)
		}
	}
}

// ask sends a question and waits for its answer until ctx ends. over is called when
// Dovecot has done with the question, which may be later; with errUnsent it has none.
func (c *conn) ask(ctx context.Context, q *question, over func()) (answer, error) {
	id, got, err := c.expect(over)
	if err != nil {
		return answer{}, err
	}
	line := q.appendLine(make([]byte, 0, maxLine), id)
	err = c.write(ctx, line)
	clear(line)
	if err != nil {
		c.forget(id)
		return answer{}, err
	}
	select {
	case a, ok := <-got:
		if !ok {
			return answer{}, c.why()
		}
		return a, nil
	case <-ctx.Done():
		time.AfterFunc(forgetAfter, func() { c.forget(id) })
		return answer{}, fmt.Errorf("no answer in time: %w", ctx.Err())
	}
}

// write sends a line. One that could not be sent whole ends the connection.
func (c *conn) write(ctx context.Context, line []byte) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	select {
	case c.writing <- struct{}{}:
		defer func() { <-c.writing }()
	case <-ctx.Done():
		return fmt.Errorf("Dovecot does not read: %w", ctx.Err()) //nolint:staticcheck // ST1005: a name
	}
	deadline, _ := ctx.Deadline()
	err := c.raw.SetWriteDeadline(deadline)
	if err == nil {
		_, err = c.raw.Write(append(line, '\n'))
	}
	if err != nil {
		c.end(err)
	}
	return err
}

// expect makes a new number, whose answer comes on the channel.
func (c *conn) expect(over func()) (uint32, <-chan answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.retired {
		return 0, nil, errUnsent
	}
	c.last++
	w := waiting{got: make(chan answer, 1), over: over}
	c.waiting[c.last] = w
	return c.last, w.got, nil
}

// deliver hands an answer to who waits for it, if anybody still does.
func (c *conn) deliver(id uint32, a answer) {
	if w, ok := c.take(id); ok {
		w.got <- a
		w.over()
	}
}

// forget ends the interest in an answer.
func (c *conn) forget(id uint32) {
	if w, ok := c.take(id); ok {
		w.over()
	}
}

// take removes a request. A retired connection ends with its last.
func (c *conn) take(id uint32) (waiting, bool) {
	c.mu.Lock()
	w, ok := c.waiting[id]
	delete(c.waiting, id)
	last := c.retired && len(c.waiting) == 0
	c.mu.Unlock()
	if last {
		c.end(errRetired)
	}
	return w, ok
}

func (c *conn) usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil && !c.retired
}

// retireAfter lets the connection take no new requests after some time.
func (c *conn) retireAfter(life time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aging = time.AfterFunc(life, func() {
		c.mu.Lock()
		c.retired = true
		over := len(c.waiting) == 0
		c.mu.Unlock()
		if over {
			c.end(errRetired)
		}
	})
}

// end closes the connection; who waits hears why.
func (c *conn) end(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = why
	if c.aging != nil {
		c.aging.Stop()
	}
	_ = c.raw.Close()
	for id, w := range c.waiting {
		close(w.got)
		w.over()
		delete(c.waiting, id)
	}
}

func (c *conn) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
