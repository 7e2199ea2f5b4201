package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/web"
)

// openAPI describes the hook API; tests validate every answer against it.
//
//go:embed openapi.yaml
var openAPI []byte

const (
	maxBody    = 64 << 10 // bytes of a request
	retryAfter = "5"      // seconds, when something could not be checked
)

// The results of the hook API (DESIGN.md).
const (
	granted      = "granted"
	denied       = "denied"
	unavailable  = "unavailable"
	secondFactor = login.StepFactor
	enroll       = login.StepEnrol
	ended        = "ended"
	link         = ""      // of /v1/settings, which answers with an address alone
	refused      = "error" // the request itself was not right
)

// statuses maps results to HTTP. Errors of the request have statuses of their own.
var statuses = map[string]int{
	granted:      http.StatusOK,
	denied:       http.StatusOK,
	secondFactor: http.StatusOK,
	enroll:       http.StatusOK,
	ended:        http.StatusOK,
	link:         http.StatusOK,
	unavailable:  http.StatusServiceUnavailable,
}

// answer is every answer of the hook API.
type answer struct {
	Result      string `json:"result,omitempty"`
	User        string `json:"user,omitempty"`
	Account     string `json:"account,omitempty"`
	Ticket      string `json:"ticket,omitempty"`
	Grant       string `json:"grant,omitempty"`
	Expires     string `json:"expires,omitempty"`
	Recommend   bool   `json:"recommend,omitempty"`
	Transaction string `json:"transaction,omitempty"`
	URL         string `json:"url,omitempty"`
	Message     string `json:"message,omitempty"`

	text web.AnswerCode // becomes Message, in the user's language
}

// problem is a request that is not even looked into; its text is for the author of
// the caller.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

func bad(format string, args ...any) *problem {
	return &problem{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

var errNoKey = &problem{http.StatusUnauthorized,
	"no valid key: send that of a client in webhook.clients as Authorization: Bearer KEY, or as X-API-Key: KEY"}

// call is one request of a client.
type call struct {
	*http.Request
	client *client
	fields fields
}

// fields are those of a request, all strings.
type fields map[string]string

// method is one of the API's.
type method struct {
	required, optional []string
	answer             func(*server, *call) (answer, error)
}

// methods are all there are, by path.
var methods = map[string]method{
	"/v1/login":    {[]string{"user", "password", "remote_ip", "return_to"}, []string{"user_agent"}, (*server).login},
	"/v1/passkey":  {[]string{"remote_ip", "return_to"}, []string{"user_agent", "domain"}, (*server).passkey},
	"/v1/exchange": {[]string{"transaction", "code"}, nil, (*server).exchange},
	"/v1/renew":    {[]string{"grant"}, nil, (*server).renew},
	"/v1/logout":   {[]string{"grant"}, nil, (*server).logout},
	"/v1/check":    {[]string{"grant", "password"}, []string{"remote_ip"}, (*server).check},
	"/v1/settings": {[]string{"grant", "return_to"}, nil, (*server).settings},
}

// api answers a method.
func (s *server) api(path string) http.HandlerFunc {
	m := methods[path]
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		a, err := s.call(w, r, &m)
		var p *problem
		switch {
		case errors.As(err, &p):
			s.refuse(w, r, p)
			return
		case err != nil:
			a = answer{Result: unavailable, text: web.AnswerUnavailable}
			s.log.Error("a call of the hook API could not be answered", "path", path, "error", err)
		}
		if a.text != "" {
			a.Message = s.say(r, a.text)
		}
		s.times.WithLabelValues(path).Observe(time.Since(began).Seconds())
		reply(w, statuses[a.Result], a)
	}
}

func (s *server) call(w http.ResponseWriter, r *http.Request, m *method) (answer, error) {
	c := call{Request: r, client: s.caller(r)}
	if c.client == nil {
		return answer{}, errNoKey
	}
	if r.Method != http.MethodPost {
		return answer{}, &problem{http.StatusMethodNotAllowed, "send a POST"}
	}
	body, err := readJSON(w, r)
	if err != nil {
		return answer{}, err
	}
	defer clear(body)
	if c.fields, err = parseFields(body, m); err != nil {
		return answer{}, err
	}
	if !s.KeysFit() {
		return answer{Result: unavailable, text: web.AnswerUnavailable}, nil
	}
	return m.answer(s, &c)
}

// readJSON reads the body of a request, if it is of the right type and length.
func readJSON(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return nil, &problem{http.StatusUnsupportedMediaType, "send Content-Type: application/json"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", maxBody)}
	case err != nil:
		return nil, bad("the body broke off")
	}
	return body, nil
}

// parseFields reads one flat JSON object of strings. What two readers could read
// differently is refused: names that come twice, unknown ones, text behind the end.
func parseFields(body []byte, m *method) (fields, error) {
	if !utf8.Valid(body) {
		return nil, bad("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, bad("the body is not a JSON object")
	}
	all := slices.Concat(m.required, m.optional)
	f := make(fields, len(all))
	for d.More() {
		name, value, err := parseField(d)
		if err != nil {
			return nil, err
		}
		if _, twice := f[name]; twice {
			return nil, bad("%s: there twice", name)
		}
		if !slices.Contains(all, name) {
			return nil, bad("there is a field that does not belong here; there may be %s", strings.Join(all, ", "))
		}
		f[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, bad("the body is not a JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, bad("there is something behind the JSON object")
	}
	for _, name := range m.required {
		if _, ok := f[name]; !ok {
			return nil, bad("%s: missing", name)
		}
	}
	return f, nil
}

func parseField(d *json.Decoder) (name, value string, err error) {
	t, err := d.Token()
	name, ok := t.(string)
	if err != nil || !ok {
		return "", "", bad("the body is not a JSON object")
	}
	t, err = d.Token()
	if err != nil {
		return "", "", bad("the body is not a JSON object")
	}
	value, ok = t.(string)
	if !ok {
		return "", "", bad("all fields are strings: write them in quotes, and leave out those that you have not")
	}
	return name, value, nil
}

// addr is the field as an address; "" is none, and invalid.
func (f fields) addr(name string) (netip.Addr, error) {
	if f[name] == "" {
		return netip.Addr{}, bad("%s: missing; the address that the browser connected from", name)
	}
	a, err := netip.ParseAddr(f[name])
	if err != nil {
		return netip.Addr{}, bad("%s: not an IP address like 192.0.2.7 or 2001:db8::7, without port", name)
	}
	return a.Unmap().WithZone(""), nil
}

func (f fields) secret(name string) account.Secret { return account.SecretString(f[name]) }

// refuse answers a request that is not right.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, p *problem) {
	switch p.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="postern"`)
		s.log.Warn("refused a caller of the hook API without a valid key", "address", r.RemoteAddr, "path", r.URL.Path)
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	}
	reply(w, p.status, answer{Result: refused, Message: p.text})
}

func reply(w http.ResponseWriter, status int, a answer) {
	body, err := json.Marshal(a)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// describe answers with the API's description, without a key: it is no secret.
func describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(openAPI)
}
