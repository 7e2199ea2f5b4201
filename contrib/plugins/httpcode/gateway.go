package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/template"
	"time"
)

// message is what the templates get.
type message struct {
	Address string // as entered, without blanks
	User    string // the account's login name
	Code    string
	Text    string
	Minutes int
}

var functions = template.FuncMap{
	"json": func(s string) (string, error) {
		b, err := json.Marshal(s)
		return string(b), err
	},
	"query": url.QueryEscape,
	"path":  url.PathEscape,
}

// gateway sends messages.
type gateway struct {
	config    config
	templates *templates
	client    *http.Client
}

func newGateway(c config, t *templates) *gateway {
	return &gateway{config: c, templates: t, client: &http.Client{
		Timeout: 8 * time.Second, // the webhook's own limit is usually shorter
		// A gateway that sends us elsewhere would get the code, and its credentials, there.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func render(t *template.Template, m message) (string, error) {
	var b strings.Builder
	err := t.Execute(&b, m)
	return b.String(), err
}

// send sends the message; an error means that nobody knows whether it came.
func (g *gateway) send(ctx context.Context, lang string, m message) error {
	text := g.templates.texts[lang]
	if text == nil {
		text = g.templates.texts["en"]
	}
	var err error
	if m.Text, err = render(text, m); err != nil {
		return err
	}
	request, err := g.request(ctx, m)
	if err != nil {
		return err
	}
	response, err := g.client.Do(request)
	if err != nil {
		return errors.New("the gateway does not answer: " + reason(err))
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the gateway answers %s", response.Status)
	}
	return err
}

// reason is an error of net/http without the address, which may hold a code or a key.
func reason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err.Error()
	}
	return "it failed"
}

func (g *gateway) request(ctx context.Context, m message) (*http.Request, error) {
	address, err := render(g.templates.url, m)
	body, err2 := render(g.templates.body, m)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, g.config.Method, address, strings.NewReader(body))
	if err != nil {
		return nil, errors.New("the address is none")
	}
	for name, t := range g.templates.headers {
		value, err := render(t, m)
		if err != nil {
			return nil, err
		}
		request.Header.Set(name, value)
	}
	return request, nil
}
