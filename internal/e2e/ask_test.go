package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/internal/mailtest"
)

// verdict is what /verify says to a question.
type verdict struct {
	word   string // the first word of the answer
	line   string
	status int
	took   time.Duration
}

// ask asks /verify over TCP as the Lua door does, with further fields in pairs.
func (w *world) ask(user, password string, more ...string) verdict {
	w.t.Helper()
	v, err := w.question(user, password, more...)
	must(w.t, err)
	return v
}

// question is ask for goroutines.
func (w *world) question(user, password string, more ...string) (verdict, error) {
	form := url.Values{"user": {user}, "password": {password}, "service": {"imap"}, "remote_ip": {"192.0.2.7"}, "door": {"test"}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	req, err := http.NewRequest(http.MethodPost, w.URL(), strings.NewReader(form.Encode()))
	if err != nil {
		return verdict{}, err
	}
	req.Header.Set("X-API-Key", w.Key)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	began := time.Now()
	res, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		return verdict{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	v := verdict{line: string(body), status: res.StatusCode, took: time.Since(began)}
	v.word, _, _ = strings.Cut(strings.TrimSpace(v.line), "\t")
	return v, err
}

// binds counts how often slapd was asked to bind as a user.
func (w *world) binds(user string) int {
	w.t.Helper()
	return strings.Count(w.Slapd.LogNow(w.t), fmt.Sprintf("BIND dn=%q method=128", mailtest.UserDN(user)))
}

// wantBinds ends with a wrong main password, whose bind slapd must log as the only
// one since before: so it had logged everything else too.
func (w *world) wantBinds(user string, before, want int) {
	w.t.Helper()
	w.ask(user, fmt.Sprintf("surely wrong %d", before)) // the same one again would not be bound
	eventually(w.t, "slapd logs a bind", func() bool { return w.binds(user) > before })
	if got := w.binds(user) - before - 1; got != want {
		w.t.Errorf("%s: %d binds reached the directory, want %d", user, got, want)
	}
}
