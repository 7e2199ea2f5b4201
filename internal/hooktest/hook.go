// Package hooktest holds what tests of webmail's sign-in need: a caller of the hook
// API, which compares every request and answer with the API's own description, and a
// browser without a screen for the hosted pages.
package hooktest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// Hook calls the hook API of one daemon. Client sends every request there, whatever
// host it names.
type Hook struct {
	Client *http.Client
	Key    string

	once   sync.Once
	router routers.Router
	err    error
}

// Fields are those of a request.
type Fields map[string]string

// With returns a copy with some fields changed; an empty value leaves one out.
func (f Fields) With(change ...string) Fields {
	all := Fields{}
	for k, v := range f {
		all[k] = v
	}
	for i := 0; i+1 < len(change); i += 2 {
		if all[change[i]] = change[i+1]; change[i+1] == "" {
			delete(all, change[i])
		}
	}
	return all
}

// Answer is an answer of the API.
type Answer struct {
	Status int
	Header http.Header
	Raw    []byte

	Result, User, Account, Ticket, Grant, Expires, Transaction, URL, Message string

	Recommend bool
}

// Call calls a method like "login". An answer that the API's description does not
// allow is an error.
func (h *Hook) Call(ctx context.Context, method string, f Fields) (*Answer, error) {
	body, err := json.Marshal(f)
	if err != nil {
		return &Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://webhook/v1/"+method, bytes.NewReader(body))
	if err != nil {
		return &Answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+h.Key)
	return h.Do(req)
}

// Do sends a request as it is, and checks the answer, which is never nil.
func (h *Hook) Do(req *http.Request) (*Answer, error) {
	a := &Answer{}
	if h.once.Do(h.describe); h.err != nil {
		return a, h.err
	}
	res, err := h.Client.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	a.Status, a.Header = res.StatusCode, res.Header
	if a.Raw, err = io.ReadAll(res.Body); err != nil {
		return a, err
	}
	if err := h.validate(req, a); err != nil {
		return a, fmt.Errorf("%s %s answers %d, which openapi.yaml does not allow: %w\n%s", req.Method, req.URL.Path, a.Status, err, a.Raw)
	}
	if strings.HasPrefix(req.URL.Path, "/v1/admin/") {
		return a, nil // of a form of its own, in Raw
	}
	return a, json.Unmarshal(a.Raw, a)
}

// describe reads the description that the daemon serves.
func (h *Hook) describe() {
	res, err := h.Client.Get("http://webhook/v1/openapi.yaml")
	if h.err = err; err != nil {
		return
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if h.err = err; err != nil {
		return
	}
	h.router, h.err = Router(text)
}

// Router reads a description, which must be right in itself, its examples included.
func Router(text []byte) (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	doc.Servers = nil // whatever the address
	if err := doc.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc)
}

// validate compares an answer with the description. Requests to paths that are not
// described are not compared.
func (h *Hook) validate(req *http.Request, a *Answer) error {
	if req.Method != http.MethodPost {
		return nil // only POST is described; others must be refused
	}
	route, params, err := h.router.FindRoute(&http.Request{Method: req.Method, URL: &url.URL{Path: req.URL.Path}})
	if err != nil {
		return nil //nolint:nilerr // not described
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 a.Status, Header: a.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	in.SetBodyBytes(a.Raw)
	return openapi3filter.ValidateResponse(req.Context(), in)
}
