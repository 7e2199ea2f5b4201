package auditlog_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/auditlog"
	"postern/internal/effect"
)

var start = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

func line(minute int, user string) string {
	return fmt.Sprintf(`{"time":%q,"action":"login","outcome":"denied","reason":"wrong_password","user":%q}`+"\n",
		start.Add(time.Duration(minute)*time.Minute).Format(time.RFC3339), user)
}

// write makes a file that was last written at a minute.
func write(t *testing.T, path, text string, minute int) {
	t.Helper()
	if strings.HasSuffix(path, ".gz") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write([]byte(text))
		if err := errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		text = b.String()
	}
	at := start.Add(time.Duration(minute) * time.Minute)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, at, at)); err != nil {
		t.Fatal(err)
	}
}

func anybody(*effect.Event) bool { return true }

func users(f *auditlog.Found) string {
	var list []string
	for i := range f.Events {
		list = append(list, f.Events[i].User)
	}
	return strings.Join(list, " ")
}

// TestA16_RotatedFiles: what logrotate made of the file is searched too, only as far as
// needed, and nothing else that lies there.
func TestA16_RotatedFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	write(t, path, line(50, "e")+line(40, "d"), 50)
	write(t, path+".1", line(30, "c"), 30)
	write(t, path+".2.gz", line(20, "b"), 20)
	write(t, path+"-20260101.gz", line(10, "a"), 10)
	write(t, path+".3.xz", "no gzip", 5)
	write(t, path+".bak", line(60, "stranger"), 60)
	if err := os.Symlink("/dev/zero", path+".4"); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		search  auditlog.Search
		want    string
		sources int
	}{
		"all":     {auditlog.Search{Match: anybody, Most: 9}, "e d c b a", 4},
		"one":     {auditlog.Search{Match: anybody, Most: 1}, "e", 1},
		"since":   {auditlog.Search{Match: anybody, Most: 9, Since: start.Add(30 * time.Minute)}, "e d c", 3},
		"matched": {auditlog.Search{Match: func(e *effect.Event) bool { return e.User == "b" }, Most: 9}, "b", 4},
	} {
		f, err := row.search.Files(path)
		if err != nil || users(&f) != row.want || len(f.Sources) != row.sources {
			t.Errorf("%s: %q of %d files, %v; want %q of %d", name, users(&f), len(f.Sources), err, row.want, row.sources)
		}
	}
	if _, err := (&auditlog.Search{Match: anybody, Most: 1}).Files(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestA16_FromTheEnd: of a big file only the end is read, and the answer says so.
func TestA16_FromTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	write(t, path, line(1, "old")+strings.Repeat(line(2, "filler"), 100)+line(3, "new"), 3)
	f, err := (&auditlog.Search{Match: anybody, Most: 1000, Tail: 1000}).Files(path)
	if err != nil || !f.Cut || f.Unreadable != 0 || len(f.Events) > 12 || f.Events[0].User != "new" {
		t.Errorf("%v, cut %t, %d unreadable, %d events", err, f.Cut, f.Unreadable, len(f.Events))
	}
}

// TestA16_HostileLines: what is no event is counted and passed over, and nothing that
// was written reaches a terminal as a control character.
func TestA16_HostileLines(t *testing.T) {
	text := "\x00\xff\n{\n{\"time\":7}\n[]\n" + strings.Repeat("x", 200_000) + "\n" + `{"time":"2026-09-01T12:00:00Z","action":"login","client":"nowhere"}` + "\n" +
		`Sep 01 mail policyserver[7]: {"time":"2026-09-01T12:00:00Z","action":"login","outcome":"de\u001b[2Jnied","user":"a\u001b]0;x\u0007\u202eb","credential":"app:\u001b","session":"s\n"}` + "\n\n" +
		line(5, "last")
	f, err := (&auditlog.Search{Match: anybody, Most: 9}).Reader(strings.NewReader(text))
	if err != nil || len(f.Events) != 2 || f.Unreadable != 6 || f.Events[0].User != "last" {
		t.Fatalf("%v: %d events, %d unreadable", err, len(f.Events), f.Unreadable)
	}
	if e := f.Events[1]; strings.ContainsAny(e.Outcome+e.User+e.Credential+e.Session, "\x1b\a\n\u202e") {
		t.Errorf("%+v", e)
	}
}
