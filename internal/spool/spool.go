// Package spool keeps duties in a directory, one small JSON file each, so that they
// outlive whoever wrote them: what a change still has to bring about when it has been
// made (package effect: live sessions that must end; package notify: mails).
//
// A file appears whole or not at all, and survives a crash once Put or Save has
// returned. Several programs may write into one directory; who works through it holds
// its lock.
package spool

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Dir is a directory of duties.
type Dir struct {
	dir     string
	setting string // of the configuration that names it, for errors
}

const (
	suffix  = ".json"
	maxFile = 64 << 10 // bytes of a file
)

// Open opens the directory, and makes it if need be. One that root makes belongs to
// the owner of the directory above it, under whom the daemon runs. setting is the
// configuration's key of it. After an error the spool can be used, and fails.
func Open(dir, setting string) (*Dir, error) {
	s := &Dir{dir, setting}
	err := os.MkdirAll(filepath.Dir(dir), 0o755) //nolint:gosec // as /var/lib is; the spool itself is not
	if err == nil {
		err = os.Mkdir(dir, 0o750)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return s, nil
	case err != nil:
		return s, s.fault(err)
	}
	return s, ownAs(dir, filepath.Dir(dir))
}

func (s *Dir) fault(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", s.setting, err)
}

// ownAs gives what root has made to the owner of a directory.
func ownAs(path, dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return os.Lchown(path, int(st.Uid), int(st.Gid))
	}
	return nil
}

// Put stores a new duty of some time, and returns its id: what happened first sorts
// first.
func (s *Dir) Put(at time.Time, v any) (id string, err error) {
	id = at.UTC().Format("20060102T150405.000000") + "-" + strings.ToLower(rand.Text()[:8])
	return id, s.Save(id, v)
}

// Save stores a duty that has changed.
func (s *Dir) Save(id string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	part, err := s.writePart(append(b, '\n'))
	if err == nil {
		err = os.Rename(part, s.path(id))
	}
	if err != nil {
		return s.fault(err)
	}
	return s.sync()
}

// Writable reports as an error that nothing could be stored.
func (s *Dir) Writable() error {
	part, err := s.writePart(nil)
	if err != nil {
		return fmt.Errorf("%w; it must belong to the user that the daemons run as", s.fault(err))
	}
	return os.Remove(part)
}

// writePart writes a file that Each does not see yet.
func (s *Dir) writePart(b []byte) (path string, err error) {
	f, err := os.CreateTemp(s.dir, ".part-*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := errors.Join(f.Chmod(0o640), ownAs(f.Name(), s.dir)); err != nil {
		return "", err
	}
	if _, err := f.Write(b); err != nil {
		return "", err
	}
	return f.Name(), f.Sync()
}

// sync makes a rename durable.
func (s *Dir) sync() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (s *Dir) path(id string) string { return filepath.Join(s.dir, id+suffix) }

// Remove forgets a duty.
func (s *Dir) Remove(id string) error {
	if err := os.Remove(s.path(id)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

var errForeign = errors.New("not what Postern puts there; set aside as .bad")

// Each hands over the contents of every file, the oldest first. One that read refuses,
// or that is too large, is set aside as .bad and reported in the error.
func (s *Dir) Each(read func(id string, b []byte) bool) error {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return s.fault(err)
	}
	var ids []string
	for _, f := range files {
		if id, ok := strings.CutSuffix(f.Name(), suffix); ok && !strings.HasPrefix(id, ".") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var errs []error
	for _, id := range ids {
		if err := s.load(id, read); err != nil && !errors.Is(err, fs.ErrNotExist) { // somebody else was done with it
			errs = append(errs, fmt.Errorf("%s: %w", s.path(id), err))
		}
	}
	return errors.Join(errs...)
}

func (s *Dir) load(id string, read func(string, []byte) bool) error {
	f, err := os.Open(s.path(id))
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return err
	}
	if len(b) > maxFile || !read(id, b) {
		return errors.Join(errForeign, os.Rename(s.path(id), s.path(id)+".bad"))
	}
	return nil
}

// Purge removes files that were set aside, or never finished, before a time, and returns
// how many.
func (s *Dir) Purge(before time.Time) (int, error) {
	files, err := os.ReadDir(s.dir)
	errs := []error{s.fault(err)}
	n := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), suffix+".bad") && !strings.HasPrefix(f.Name(), ".part-") {
			continue
		}
		info, err := f.Info()
		if err != nil || !info.ModTime().Before(before) { // an error: somebody else was faster
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, f.Name())); err == nil {
			n++
		} else if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, s.fault(err))
		}
	}
	return n, errors.Join(errs...)
}

// Load reads one duty into v; false if there is none, or none that can be read.
func (s *Dir) Load(id string, v any) bool {
	ok := false
	_ = s.load(id, func(_ string, b []byte) bool { ok = json.Unmarshal(b, v) == nil; return ok })
	return ok
}

// Sub is a directory inside, for what belongs to the duties.
func (s *Dir) Sub(name string) (*Dir, error) { return Open(filepath.Join(s.dir, name), s.setting) }

// Lock makes the caller the only one who works through the directory, until unlock or
// the end of the process. ok is false while somebody else is.
func (s *Dir) Lock() (unlock func(), ok bool, err error) {
	path := filepath.Join(s.dir, ".lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640) //nolint:gosec // in our own directory
	if err != nil {
		return nil, false, s.fault(err)
	}
	_ = ownAs(path, s.dir)
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor is small
	if err == nil {
		return func() { _ = f.Close() }, true, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, false, nil
	}
	return nil, false, s.fault(err)
}
