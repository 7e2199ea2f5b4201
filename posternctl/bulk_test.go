package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/factor"
	"postern/internal/mailtest"
)

// command calls posternctl on a site; its output must be one JSON object.
func commandOn(t *testing.T, path string, out *bytes.Buffer, args ...string) (code int, o map[string]any, errs string) {
	t.Helper()
	var stderr bytes.Buffer
	if out == nil {
		out = new(bytes.Buffer)
	}
	code = run(t.Context(), append([]string{"--config", path, "--json", "--no-input"}, args...), strings.NewReader(""), out, &stderr)
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &o); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return code, o, stderr.String()
}

// wantCounts checks how a run for many ended.
func wantCounts(t *testing.T, o map[string]any, done, unchanged, failed float64) {
	t.Helper()
	if o["done"] != done || o["unchanged"] != unchanged || o["failed"] != failed {
		t.Errorf("done %v, unchanged %v, failed %v; want %v, %v, %v", o["done"], o["unchanged"], o["failed"], done, unchanged, failed)
	}
}

// stopAfter calls stop once n lines were written.
type stopAfter struct {
	bytes.Buffer
	n    int
	stop func()
}

func (w *stopAfter) Write(b []byte) (int, error) {
	w.n -= bytes.Count(b, []byte("\"outcome\""))
	if w.n <= 0 && w.stop != nil {
		w.stop()
		w.stop = nil
	}
	return w.Buffer.Write(b)
}

// TestA7_ThousandsOfAccounts: an import is stopped by an interrupt and by a directory that
// goes away, goes on where it stopped, and gives nobody two authenticators; a change of
// all accounts likewise; and lists of all are quick.
func TestA7_ThousandsOfAccounts(t *testing.T) {
	mailtest.Long(t)
	const n = 2000
	site := mailtest.New(t, mailtest.Options{WithoutPolicyserver: true, Slapd: mailtest.SlapdOptions{Bulk: n}})
	if code, _, errs := commandOn(t, site.Path, nil, "keys", "new"); code != 0 {
		t.Fatal(errs)
	}
	var csv strings.Builder
	for i := range n {
		a, err := factor.NewTOTP(factor.TOTPOptions{})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&csv, "%s,%s\n", mailtest.BulkUser(i), a.SecretText())
	}
	file := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(file, []byte(csv.String()), 0o600); err != nil {
		t.Fatal(err)
	}

	imported := func(ctx context.Context, out *stopAfter) (int, map[string]any, string) {
		var errs bytes.Buffer
		code := run(ctx, []string{"--config", site.Path, "--json", "totp", "import", file, "--confirm", fmt.Sprint(n)}, strings.NewReader(""), out, &errs)
		var o map[string]any
		if err := json.Unmarshal(out.Bytes(), &o); err != nil {
			t.Fatalf("%v\n%s", err, errs.String())
		}
		return code, o, errs.String()
	}
	ctx, cancel := context.WithCancel(t.Context())
	code, o, errs := imported(ctx, &stopAfter{n: 300, stop: cancel})
	if code != exitUnavailable || !strings.Contains(errs, "stopped") {
		t.Errorf("interrupted: exit code %d: %s", code, errs)
	}
	wantCounts(t, o, 300, 0, 0)
	code, o, errs = imported(t.Context(), &stopAfter{n: 600, stop: site.Slapd.Shutdown})
	if code != exitUnavailable {
		t.Errorf("without a directory: exit code %d: %s", code, errs)
	}
	wantCounts(t, o, 300, 300, 1)
	if err := site.Slapd.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	code, o, errs = imported(t.Context(), &stopAfter{n: n + 1})
	if code != 0 {
		t.Errorf("the third time: exit code %d: %s", code, errs)
	}
	wantCounts(t, o, n-600, 600, 0)

	begun := time.Now()
	code, o, errs = commandOn(t, site.Path, nil, "status", "--domain", "example.test")
	if list, _ := o["accounts"].([]any); code != 0 || len(list) != n || list[n-1].(map[string]any)["authenticator_count"] != 1.0 {
		t.Errorf("status: exit code %d, %d accounts: %s", code, len(list), errs)
	}
	t.Logf("status of %d accounts: %v", n, time.Since(begun))
	begun = time.Now()
	if code, _, errs = commandOn(t, site.Path, nil, "report", "main-password"); code != 0 {
		t.Errorf("report: exit code %d: %s", code, errs)
	}
	t.Logf("report of %d accounts: %v", n, time.Since(begun))

	notes := filepath.Join(t.TempDir(), "notes")
	args := []string{"user", "revoke-all", "--filter", "(uid=u0000*)", "--confirm", "100", "--resume", notes}
	out := &stopAfter{n: 40, stop: site.Slapd.Shutdown}
	var stderr bytes.Buffer
	if code := run(t.Context(), append([]string{"--config", site.Path, "--json"}, args...), strings.NewReader(""), out, &stderr); code != exitUnavailable {
		t.Errorf("without a directory: exit code %d: %s", code, stderr.String())
	}
	if err := site.Slapd.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	code, o, errs = commandOn(t, site.Path, nil, args...)
	if code != 0 || o["skipped"] != 40.0 {
		t.Errorf("resumed: exit code %d, skipped %v: %s", code, o["skipped"], errs)
	}
	wantCounts(t, o, 60, 0, 0)
}
