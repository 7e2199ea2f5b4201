package plugin

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	maxLine    = 256 // bytes of a line, as effect.Clean has it
	maxLines   = 60  // of a plug-in's standard error that are logged a minute
	linesEvery = time.Minute
)

// lineLog writes a plug-in's standard error into the daemon's log: line by line, cleaned,
// and not more of it than anybody would read.
type lineLog struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	part  []byte
	since time.Time
	lines int
}

// Write implements io.Writer. The library writes a line and its end apart.
func (l *lineLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for rest := b; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		if room := maxLine + 1 - len(l.part); room > 0 {
			l.part = append(l.part, line[:min(len(line), room)]...)
		}
		if ended {
			l.line(clean(string(l.part)))
			l.part = l.part[:0]
		}
		rest = after
	}
	return len(b), nil
}

func (l *lineLog) line(text string) {
	if now := l.now(); now.Sub(l.since) >= linesEvery || now.Before(l.since) {
		if l.lines > maxLines {
			l.log.Warn("a plug-in wrote more than is logged", "lines", l.lines-maxLines)
		}
		l.since, l.lines = now, 0
	}
	l.lines++
	if l.lines <= maxLines && text != "" {
		l.log.Info("a plug-in says", "text", text)
	}
}

// lastWords passes a plug-in's standard error on and keeps its end: why it does not
// start, nobody else knows.
type lastWords struct {
	io.ReadCloser
	ended chan struct{} // closed when no more comes

	mu   sync.Mutex
	tail []byte
}

func newLastWords(r io.ReadCloser) *lastWords {
	return &lastWords{ReadCloser: r, ended: make(chan struct{})}
}

// Read implements io.Reader. One goroutine of the library's reads.
func (l *lastWords) Read(b []byte) (int, error) {
	n, err := l.ReadCloser.Read(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, b[:n]...)
	l.tail = l.tail[max(0, len(l.tail)-2*maxLine):]
	if err != nil {
		select {
		case <-l.ended:
		default:
			close(l.ended)
		}
	}
	return n, err
}

// String is the last line, cleaned; empty: there was none.
func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(l.tail)), "\n")
	return clean(lines[len(lines)-1])
}
