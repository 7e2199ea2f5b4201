package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"postern/internal/mailtest"
)

const (
	fewUsers  = 1_000
	manyUsers = 100_000
	accounts  = 16 // that log in, in turn
	manyApps  = 50
	hashed    = "argon@example.test" // its password is {ARGON2ID} in the directory
)

// world is everything that runs.
type world struct {
	ctx        context.Context
	dir        string // floors, as Dovecot sees them
	small, big *mailtest.Site
	dovecots   map[string]*mailtest.Dovecot
	apps       map[string]string // app password by user
	tickets    map[string]string // ticket by user of the larger site
	trivialURL string            // its address ends in /verify
	webmail    *webmailBench
	stops      []func()
	progress   io.Writer
}

// newWorld starts it; on failure nothing is left.
func newWorld(ctx context.Context, out string, progress io.Writer) (*world, error) {
	w := &world{ctx: ctx, dovecots: map[string]*mailtest.Dovecot{}, apps: map[string]string{}, tickets: map[string]string{}, progress: progress}
	for _, step := range []struct {
		say string
		do  func(string) error
	}{
		{"building the floors", w.buildFloors},
		{fmt.Sprintf("a site with %d users, one with %d", fewUsers, manyUsers), w.startSites},
		{"app passwords", w.makeAccounts},
		{"tickets", w.makeTickets},
		{"a Dovecot for each contender", w.startDovecots},
		{fmt.Sprintf("a directory for webmail, with %d authenticators", webmailUsers), w.startWebmail},
	} {
		_, _ = fmt.Fprintln(progress, "bench:", step.say)
		if err := step.do(out); err != nil {
			w.stop()
			return nil, fmt.Errorf("%s: %w", step.say, err)
		}
	}
	return w, nil
}

func (w *world) stop() {
	for i := len(w.stops) - 1; i >= 0; i-- {
		w.stops[i]()
	}
	w.stops = nil
}

// buildFloors builds them in out and copies them to where Dovecot's users can
// reach them, wherever the clone is.
func (w *world) buildFloors(out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil { // #nosec G301 -- not secret
		return err
	}
	if err := unpack(out); err != nil {
		return err
	}
	if err := compile(w.ctx, out); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pt-bench-")
	if err != nil {
		return err
	}
	w.dir = dir
	w.stops = append(w.stops, func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // #nosec G302 -- see above
		return err
	}
	if err := unpack(dir); err != nil {
		return err
	}
	for _, name := range []string{"floor", "ask"} {
		b, err := os.ReadFile(filepath.Join(out, name)) // #nosec G304 -- built above
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o755); err != nil { // #nosec G306 -- see above
			return err
		}
	}
	return w.startTrivial()
}

// startTrivial starts the floor's daemon and tells the floor's script of it.
func (w *world) startTrivial() error {
	address, stop, err := startTrivial(w.ctx, w.dir)
	if err != nil {
		return err
	}
	w.stops = append(w.stops, stop)
	w.trivialURL = "http://" + address + "/verify"
	path := filepath.Join(w.dir, "trivial.lua")
	script, err := os.ReadFile(path) // #nosec G304 -- written above
	if err != nil {
		return err
	}
	text := strings.Replace(string(script), "@URL@", w.trivialURL, 1)
	return os.WriteFile(path, []byte(text), 0o644) // #nosec G306 G703 -- not secret
}

func (w *world) startSites(string) (err error) {
	bin, err := binaries()
	if err != nil {
		return err
	}
	for site, users := range map[**mailtest.Site]int{&w.small: fewUsers, &w.big: manyUsers} {
		*site, err = mailtest.Start(w.ctx, mailtest.Options{
			Slapd: mailtest.SlapdOptions{Bulk: users}, Binaries: bin,
			// An index that finds everybody is read for every search: see docs/performance.md.
			Settings: mailtest.Settings{"policy": {"app_password_max": manyApps}, "directory": {"user_filter": "(mail=%u)"}},
		})
		if err != nil {
			return err
		}
		w.stops = append(w.stops, (*site).Stop)
	}
	return nil
}

// binaries is where make build has put the programs.
func binaries() (string, error) {
	bin, err := filepath.Abs("bin")
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(bin, "checkpassword")); err != nil {
		return "", fmt.Errorf("%w (make build comes first)", err)
	}
	return bin, nil
}

// makeAccounts gives accounts of both sites an app password; the one after the
// last of the larger site gets many.
func (w *world) makeAccounts(string) error {
	for i := range accounts {
		for _, s := range []*mailtest.Site{w.small, w.big} {
			if err := w.createApp(s, mailtest.BulkUser(i)); err != nil {
				return err
			}
		}
	}
	for range manyApps {
		if err := w.createApp(w.big, mailtest.BulkUser(accounts)); err != nil {
			return err
		}
	}
	return w.big.Slapd.AddUser(hashed, argon2id(mailtest.Password), nil)
}

func (w *world) createApp(s *mailtest.Site, user string) error {
	out, err := s.Posternctl(w.ctx, "--json", "app-password", "create", user, "--name", "bench")
	if err != nil {
		return err
	}
	var made struct{ Password string }
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Password == "" {
		return fmt.Errorf("posternctl printed %q: %w", out, err)
	}
	w.apps[appKey(s, user)] = made.Password // the last one made is the one used
	return nil
}

// appKey tells the sites' users apart.
func appKey(s *mailtest.Site, user string) string { return s.Dir + " " + user }
