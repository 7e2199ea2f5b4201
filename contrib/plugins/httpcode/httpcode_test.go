package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/plugin"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// phone is a gateway, and who reads its messages.
type phone struct {
	*httptest.Server
	status   int
	requests []*http.Request
	bodies   []string
}

func newPhone(t *testing.T) *phone {
	t.Helper()
	p := &phone{status: http.StatusOK}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.requests, p.bodies = append(p.requests, r), append(p.bodies, string(body))
		w.WriteHeader(p.status)
	}))
	t.Cleanup(p.Close)
	return p
}

var digits = regexp.MustCompile(`\b\d{6,8}\b`)

// code is the code of the last message.
func (p *phone) code(t *testing.T) string {
	t.Helper()
	if len(p.bodies) == 0 {
		t.Fatal("no message")
	}
	var m struct{ Text string }
	must(t, json.Unmarshal([]byte(p.bodies[len(p.bodies)-1]), &m))
	return digits.FindString(m.Text)
}

const body = "body = '{\"to\":{{json .Address}},\"text\":{{json .Text}}}'\n"

func (p *phone) plugin(t *testing.T, more string) *factor {
	t.Helper()
	file := filepath.Join(t.TempDir(), "httpcode.toml")
	text := fmt.Sprintf("url = \"%s/send?to={{query .Address}}\"\n%s%s[headers]\nAuthorization = \"Bearer hunter2\"\n", p.URL, body, more)
	must(t, os.WriteFile(file, []byte(text), 0o600))
	f, err := open(file)
	must(t, err)
	return f
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func asks(p plugin.Purpose, records ...plugin.Record) *plugin.Request {
	return &plugin.Request{Purpose: p, Account: plugin.Account{ID: "a", Name: "alice@example.test"}, Records: records, Language: "en", Now: noon}
}

const number = "+4915123456789"

// A code comes by the gateway, is good for five minutes, and for nobody else's question.
func TestA15_CodeByHTTP(t *testing.T) {
	p := newPhone(t)
	f := p.plugin(t, "")
	r := asks(plugin.Login, plugin.Record{ID: "r", Body: []byte(number)})
	q, err := f.Begin(t.Context(), r)
	must(t, err)
	got := p.requests[0]
	if got.Method != http.MethodPost || got.URL.Query().Get("to") != number || got.Header.Get("Authorization") != "Bearer hunter2" {
		t.Errorf("%s %s %v", got.Method, got.URL, got.Header)
	}
	if strings.Contains(q.Text, number) || !strings.Contains(q.Text, "+49…89") || strings.Contains(string(q.State), p.code(t)) || !q.Again {
		t.Errorf("%+v %s", q.Prompt, q.State)
	}
	r.State, r.Answer = q.State, p.code(t)
	v, err := f.Check(t.Context(), r)
	if err != nil || v.Right == nil || v.Right.Record != "r" || len(v.Right.Mark) == 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	r.Answer = other(r.Answer)
	if _, err := f.Check(t.Context(), r); !errors.Is(err, plugin.ErrWrong) {
		t.Errorf("a wrong code: %v", err)
	}
	r.Answer, r.Now = p.code(t), noon.Add(5*time.Minute)
	if _, err := f.Check(t.Context(), r); !errors.Is(err, plugin.ErrExpired) {
		t.Errorf("an old code: %v", err)
	}
}

func other(code string) string {
	if code[0] == '1' {
		return "2" + code[1:]
	}
	return "1" + code[1:]
}

// Whose number it is, a code shows. What is no number gets no message.
func TestA15_CodeByHTTPEnrolment(t *testing.T) {
	p := newPhone(t)
	f := p.plugin(t, "digits = 8\n")
	r := asks(plugin.Enrol)
	q, err := f.Begin(t.Context(), r)
	must(t, err)
	r.State = q.State
	for _, wrong := range []string{"", "0151 123", "+49", "+49 151 1234567890123456", "+49151\" OR", "+49151234567\n+1"} {
		r.Answer = wrong
		if _, err := f.Check(t.Context(), r); !errors.Is(err, plugin.ErrForm) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if len(p.bodies) != 0 {
		t.Fatalf("messages to nowhere: %q", p.bodies)
	}
	r.Answer = "+49 (151) 2345-6789"
	v, err := f.Check(t.Context(), r)
	must(t, err)
	r.State, r.Answer = v.Next.State, p.code(t)
	if v, err = f.Check(t.Context(), r); err != nil || string(v.Enrolled) != number || len(r.Answer) != 8 {
		t.Errorf("%+v, %v", v, err)
	}
}

// Of several numbers one is chosen before anything is sent.
func TestA15_CodeByHTTPToOneOfSeveral(t *testing.T) {
	p := newPhone(t)
	f := p.plugin(t, "")
	r := asks(plugin.Confirm, plugin.Record{ID: "one", Body: []byte(number)}, plugin.Record{ID: "two", Body: []byte("+33612345678")})
	q, err := f.Begin(t.Context(), r)
	must(t, err)
	if len(p.bodies) != 0 || len(q.Options) != 2 || q.Options[1].Label != "+33…78" {
		t.Fatalf("%+v, %d messages", q, len(p.bodies))
	}
	r.State, r.Answer = q.State, "three"
	if _, err := f.Check(t.Context(), r); !errors.Is(err, plugin.ErrForm) {
		t.Errorf("%v", err)
	}
	r.Answer = "two"
	v, err := f.Check(t.Context(), r)
	must(t, err)
	r.State, r.Answer = v.Next.State, p.code(t)
	if v, err = f.Check(t.Context(), r); err != nil || v.Right.Record != "two" {
		t.Errorf("%+v, %v", v, err)
	}
}

// Nobody is flooded: not an account, and not a number by many accounts.
func TestA15_CodeByHTTPLimits(t *testing.T) {
	p := newPhone(t)
	f := p.plugin(t, "per_hour = 3\n")
	send := func(account, number string, at time.Time) error {
		r := asks(plugin.Login, plugin.Record{ID: "r", Body: []byte(number)})
		r.Account.ID, r.Now = account, at
		_, err := f.Begin(t.Context(), r)
		return err
	}
	for range 3 {
		must(t, send("a", number, noon))
	}
	if err := send("a", "+33612345678", noon.Add(59*time.Minute)); !errors.Is(err, plugin.ErrUnavailable) {
		t.Errorf("a fourth to one account: %v", err)
	}
	if err := send("b", number, noon); !errors.Is(err, plugin.ErrUnavailable) {
		t.Errorf("a fourth to one number: %v", err)
	}
	must(t, send("c", "+33612345678", noon))
	must(t, send("a", number, noon.Add(time.Hour)))
	if len(p.bodies) != 5 {
		t.Errorf("%d messages", len(p.bodies))
	}
}

// A gateway that fails is unavailable; it cannot send the code elsewhere, and what is
// logged has neither code nor address.
func TestA15_CodeByHTTPGatewayDown(t *testing.T) {
	p := newPhone(t)
	elsewhere := newPhone(t)
	f := p.plugin(t, "per_hour = 60\n")
	r := asks(plugin.Login, plugin.Record{ID: "r", Body: []byte(number)})
	for _, status := range []int{500, 401, http.StatusTemporaryRedirect} {
		p.status = status
		if _, err := f.Begin(t.Context(), r); !errors.Is(err, plugin.ErrUnavailable) {
			t.Errorf("%d: %v", status, err)
		}
	}
	p.Config.Handler = http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect)
	if _, err := f.Begin(t.Context(), r); !errors.Is(err, plugin.ErrUnavailable) || len(elsewhere.bodies) != 0 {
		t.Errorf("sent elsewhere: %v, %q", err, elsewhere.bodies)
	}
	p.Close()
	if _, err := f.Begin(t.Context(), r); !errors.Is(err, plugin.ErrUnavailable) || strings.Contains(err.Error(), "4915123456789") {
		t.Errorf("down: %v", err)
	}
}

// Every problem of the file is told.
func TestA15_CodeByHTTPConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c")
	must(t, os.WriteFile(file, []byte("url = \"http://gateway.example.test/\"\ndigits = 4\nper_hour = 0\naddress = \"text\"\nbody = \"{{nothing}}\"\n"), 0o600))
	_, err := open(file)
	for _, want := range []string{"https://", "digits", "per_hour", "pattern", "nothing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s: %v", want, err)
		}
	}
	must(t, os.Chmod(file, 0o644))
	if _, err := open(file); err == nil || !strings.Contains(err.Error(), "can be read by anybody") {
		t.Errorf("%v", err)
	}
}
