// Package auditlog finds events in the audit log: in the file, in those that logrotate
// made of it, or in lines from elsewhere, such as journalctl's.
//
// What is read is bounded, and not believed: a line that is no event is counted and
// passed over, and texts are made safe to print.
package auditlog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"postern/internal/effect"
)

const (
	// defaultTail is how much of the end of one file is read, in bytes: months of most
	// sites, and a second's work.
	defaultTail = 128 << 20
	// budget bounds what one search reads, in bytes after decompression.
	budget = 1 << 30
	// maxLine is the longest line that Postern writes, and then some.
	maxLine = 64 << 10
)

// Search says which events are wanted.
type Search struct {
	Match func(*effect.Event) bool
	Most  int       // how many at most, the newest ones
	Since time.Time // none before it; zero: no bound
	Tail  int64     // bytes of a file's end that are read; 0: a default
}

// Found is the answer.
type Found struct {
	Events     []effect.Event // the newest first
	Sources    []string       // files that were read
	Passed     []string       // files that were not, and why
	Unreadable int            // lines that are no event
	Cut        bool           // something was left unread, because there was too much
	Oldest     time.Time      // of all events that were read

	left int64
}

// Files searches a file and its rotated siblings, the newest first, until there are
// enough. Errors: fs.ErrNotExist if there is none at all; the newest that cannot be read.
func (s *Search) Files(path string) (Found, error) {
	f := Found{left: budget}
	names, err := family(path)
	if err != nil {
		return f, err
	}
	for i, name := range names {
		if err := s.file(&f, name); err != nil && i == 0 {
			return f, err
		} else if err != nil {
			f.Passed = append(f.Passed, fmt.Sprintf("%s: %v", name, err))
		}
		if len(f.Events) >= s.Most || f.left <= 0 || !s.Since.IsZero() && !f.Oldest.IsZero() && f.Oldest.Before(s.Since) {
			break
		}
	}
	s.newest(&f)
	return f, nil
}

// Reader searches lines, as of journalctl -o cat; what stands before the JSON is
// passed over.
func (s *Search) Reader(r io.Reader) (Found, error) {
	f := Found{left: budget, Sources: []string{"standard input"}}
	err := s.lines(&f, r)
	s.newest(&f)
	return f, err
}

// rotated are the names that logrotate gives, after the file's own: .1, .2.gz, and
// with dateext -20270131, -20270131.gz.
var rotated = regexp.MustCompile(`^([.-]\d{1,20})+(\.gz|\.xz|\.zst|\.bz2)?$`)

// family lists the file and its siblings, the one written last first.
func family(path string) ([]string, error) {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	type aged struct {
		name string
		at   time.Time
	}
	var list []aged
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), base)
		if !ok || rest != "" && !rotated.MatchString(rest) {
			continue
		}
		// A pipe or a device would keep us waiting.
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && info.Mode().IsRegular() {
			list = append(list, aged{filepath.Join(dir, e.Name()), info.ModTime()})
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	slices.SortStableFunc(list, func(a, b aged) int { return b.at.Compare(a.at) })
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].name
	}
	return names, nil
}

// file searches one file: a plain one from its end, a compressed one as a whole.
func (s *Search) file(f *Found, name string) error {
	switch filepath.Ext(name) {
	case ".xz", ".zst", ".bz2":
		return errors.New("compressed otherwise than by gzip: unpack it and name it with --audit")
	}
	file, err := os.Open(name) //nolint:gosec // the configured file and its siblings
	if err != nil {
		return err
	}
	defer file.Close()
	if filepath.Ext(name) == ".gz" {
		z, err := gzip.NewReader(file)
		if err != nil {
			return err
		}
		f.Sources = append(f.Sources, name)
		return s.lines(f, z)
	}
	f.Sources = append(f.Sources, name)
	return s.tail(f, file)
}

func (s *Search) tail(f *Found, file *os.File) error {
	most := s.Tail
	if most <= 0 {
		most = defaultTail
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size <= most {
		_, err = file.Seek(0, io.SeekStart)
	} else {
		f.Cut = true
		_, err = file.Seek(size-most, io.SeekStart) // within a line: that one is no event
		f.Unreadable--
	}
	if err != nil {
		return err
	}
	return s.lines(f, file)
}

// lines searches lines, the oldest first.
func (s *Search) lines(f *Found, r io.Reader) error {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := b.ReadSlice('\n')
		f.left -= int64(len(line))
		if errors.Is(err, bufio.ErrBufferFull) {
			f.Unreadable++
			err = skipLine(b, f)
		} else {
			s.line(f, bytes.TrimSpace(line))
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case f.left <= 0:
			f.Cut = true
			return nil
		}
	}
}

// skipLine passes over the rest of a line that is too long.
func skipLine(b *bufio.Reader, f *Found) error {
	for f.left > 0 {
		part, err := b.ReadSlice('\n')
		f.left -= int64(len(part))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
	return nil
}

func (s *Search) line(f *Found, line []byte) {
	at := bytes.IndexByte(line, '{')
	if len(line) == 0 {
		return
	}
	var e effect.Event
	if at < 0 || json.Unmarshal(line[at:], &e) != nil || e.Time.IsZero() || e.Action == "" {
		f.Unreadable++
		return
	}
	if f.Oldest.IsZero() || e.Time.Before(f.Oldest) {
		f.Oldest = e.Time
	}
	if e.Time.Before(s.Since) || !s.Match(&e) {
		return
	}
	f.Events = append(f.Events, e.Printable())
	if len(f.Events) >= 4*s.Most+64 {
		s.newest(f)
	}
}

// newest keeps the newest that are wanted, in order.
func (s *Search) newest(f *Found) {
	slices.SortStableFunc(f.Events, func(a, b effect.Event) int { return b.Time.Compare(a.Time) })
	f.Events = f.Events[:min(len(f.Events), s.Most)]
}
