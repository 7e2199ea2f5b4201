package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"postern/internal/mailtest"
)

// TestMain lets the scripts call posternctl, which then is this test binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"posternctl": main})
}

type siteKey struct{}

// TestScripts runs testdata/*.txt, each with a directory of its own: $C is its
// configuration, $DIR where the files are.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "capture": capture, "wantjson": wantJSON, "slapd": slapd, "adduser": addUser, "setattr": setAttr, "mode": mode, "configure": configure, "mainuse": mainUsed, "webmail": webmail, "administrators": administrators, "try": try,
		},
	})
}

func setup(e *testscript.Env) error {
	site, err := mailtest.Start(context.Background(), mailtest.Options{WithoutPolicyserver: true})
	if err != nil {
		return err
	}
	e.Defer(site.Stop)
	e.Values[siteKey{}] = site
	e.Setenv("C", site.Path)
	e.Setenv("DIR", site.Dir)
	e.Setenv("KEYS", site.Keys)
	e.Setenv("AUDIT", site.Audit)
	e.Setenv("TZ", "UTC")
	e.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector waits a second at each exit otherwise
	return nil
}

func siteOf(ts *testscript.TestScript) *mailtest.Site { return ts.Value(siteKey{}).(*mailtest.Site) }

// exits N COMMAND…: the command ends with that exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// capture NAME [FIELD]: puts the last output, or a field of its JSON, into $NAME.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	text := strings.TrimSpace(ts.ReadFile("stdout"))
	if len(args) > 1 {
		text = lookup(ts, args[1])
	}
	if text == "" {
		ts.Fatalf("nothing to capture")
	}
	ts.Setenv(args[0], text)
}

// wantjson PATH VALUE: the last output's JSON has the value there, as in
// app_passwords.0.name; "-" says that there must be nothing.
func wantJSON(ts *testscript.TestScript, _ bool, args []string) {
	if got := lookup(ts, args[0]); got != args[1] {
		ts.Fatalf("%s is %q, want %q", args[0], got, args[1])
	}
}

func lookup(ts *testscript.TestScript, path string) string {
	var v any
	dec := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile("stdout"))))
	ts.Check(dec.Decode(&v))
	if dec.More() {
		ts.Fatalf("more than one JSON value")
	}
	for _, key := range strings.Split(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[key]
		case []any:
			v = nil
			if i := strings.Index("0123456789", key); len(key) == 1 && i >= 0 && i < len(at) {
				v = at[i]
			} else if key == "length" {
				v = len(at)
			}
		default:
			v = nil
		}
	}
	if v == nil {
		return "-"
	}
	return fmt.Sprint(v)
}

// slapd stop | start.
func slapd(ts *testscript.TestScript, _ bool, args []string) {
	site := siteOf(ts)
	if args[0] == "stop" {
		site.Slapd.Shutdown()
		return
	}
	ts.Check(site.Slapd.Restart(context.Background()))
}

// adduser MAIL.
func addUser(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(siteOf(ts).Slapd.AddUser(args[0], mailtest.Password, nil))
}

// setattr MAIL ATTRIBUTE [VALUE…].
func setAttr(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(siteOf(ts).Slapd.SetAttr(args[0], args[1], args[2:]...))
}

// configure TABLE KEY VALUE: changes one setting of $C.
func configure(ts *testscript.TestScript, _ bool, args []string) {
	site := siteOf(ts)
	var value any = args[2]
	if n, err := strconv.Atoi(args[2]); err == nil {
		value = n
	}
	ts.Check(site.Write(site.Slapd, mailtest.Settings{args[0]: {args[1]: value}}))
}

// mode FILE OCTAL.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

func TestNormalize(t *testing.T) {
	got := normalize([]string{"-config", "x", "-config=y", "--config", "-check", "-version", "-q", "-json", "--", "-config"})
	want := []string{"--config", "x", "--config=y", "--config", "--check", "--version", "-q", "--json", "--", "-config"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestParseExpiry(t *testing.T) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]string{
		"2027-01-31T12:00:00Z":      "2027-01-31T12:00:00Z",
		"2027-01-31T12:00:00+02:00": "2027-01-31T10:00:00Z",
		"90d":                       "2026-11-30T12:00:00Z",
		"1d":                        "2026-09-02T12:00:00Z",
	} {
		got, err := parseExpiry(s, now)
		if err != nil || stamp(got) != want {
			t.Errorf("%s: %s, %v", s, stamp(got), err)
		}
	}
	if got, err := parseExpiry("2027-01-31", now); err != nil || got.Local().Format("2006-01-02 15:04:05") != "2027-01-31 23:59:59" {
		t.Errorf("a day: %s, %v", got, err)
	}
	for _, s := range []string{"0d", "-1d", "d", "99999999999999999999d", "tomorrow", "2027-02-30", "90"} {
		if got, err := parseExpiry(s, now); err == nil {
			t.Errorf("%q was read as %s", s, got)
		}
	}
}

func TestParseNetwork(t *testing.T) {
	for s, want := range map[string]string{"192.0.2.0/24": "192.0.2.0/24", "192.0.2.7": "192.0.2.7/32", "2001:db8::1": "2001:db8::1/128"} {
		if got, err := parseNetwork(s); err != nil || got.String() != want {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "192.0.2.0/33", "host.example.test", "fe80::1%eth0", "192.0.2"} {
		if got, err := parseNetwork(s); err == nil {
			t.Errorf("%q was read as %s", s, got)
		}
	}
}

func TestQRCode(t *testing.T) {
	var b bytes.Buffer
	if err := printQR(&b, "otpauth://totp/example.test:alice@example.test?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.Trim(b.String(), "\n"), "\n")
	for _, l := range lines {
		if n := len([]rune(l)); n != len([]rune(lines[0])) || n < 29 {
			t.Errorf("a line of %d modules beside one of %d", n, len([]rune(lines[0])))
		}
	}
	if strings.Trim(lines[0], "█") != "" {
		t.Errorf("no margin: %q", lines[0])
	}
}
