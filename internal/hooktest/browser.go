package hooktest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// Browser is a browser without a screen or JavaScript. It keeps cookies as browsers
// do on https, follows no redirects, and comes through a proxy that tells its address.
type Browser struct {
	// Client sends every request to the daemon.
	Client *http.Client
	// Addr is its address, as the proxy tells it; empty: the proxy says nothing.
	Addr string
	// Agent is its name.
	Agent string
	// Header is added to every request.
	Header http.Header

	Cookies map[string]string
}

// NewBrowser returns one at an address.
func NewBrowser(c *http.Client, addr string) *Browser {
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Browser{Client: &own, Addr: addr, Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		Header: http.Header{}, Cookies: map[string]string{}}
}

// Page is what a browser was answered.
type Page struct {
	Status int
	Header http.Header
	Body   string
	URL    *url.URL // of the page itself
}

// Location is where a redirect leads; empty if the page is none.
func (p *Page) Location() string { return p.Header.Get("Location") }

// Get fetches an address.
func (b *Browser) Get(ctx context.Context, address string) (*Page, error) {
	return b.send(ctx, http.MethodGet, address, nil)
}

// Post posts a form to an address.
func (b *Browser) Post(ctx context.Context, address string, form url.Values) (*Page, error) {
	return b.send(ctx, http.MethodPost, address, form)
}

// Submit posts the page's form with that action (the end of its path), with the hidden
// fields that it has and some more by name and value.
func (b *Browser) Submit(ctx context.Context, p *Page, action string, fields ...string) (*Page, error) {
	form, target, err := p.Form(action)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.Post(ctx, target, form)
}

func (b *Browser) send(ctx context.Context, method, address string, form url.Values) (*Page, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	b.decorate(req)
	res, err := b.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 || c.Value == "" {
			delete(b.Cookies, c.Name)
			continue
		}
		b.Cookies[c.Name] = c.Value
	}
	text, err := io.ReadAll(res.Body)
	return &Page{Status: res.StatusCode, Header: res.Header, Body: string(text), URL: req.URL}, err
}

func (b *Browser) decorate(req *http.Request) {
	if req.Method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if b.Addr != "" {
		req.Header.Set("X-Forwarded-For", b.Addr)
	}
	req.Header.Set("User-Agent", b.Agent)
	for name, value := range b.Cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value}) //nolint:gosec // as a browser sends it
	}
	for name, values := range b.Header {
		req.Header[name] = values
	}
}

// Form returns the hidden and filled-in fields of the page's form whose action ends
// with a path, and its address.
func (p *Page) Form(action string) (url.Values, string, error) {
	root, err := html.Parse(strings.NewReader(p.Body))
	if err != nil {
		return nil, "", err
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" {
			continue
		}
		to, err := p.URL.Parse(attr(n, "action"))
		if err == nil && strings.HasSuffix(to.Path, "/"+action) {
			return fieldsOf(n), to.String(), nil
		}
	}
	return nil, "", fmt.Errorf("the page (status %d) has no form for %s:\n%s", p.Status, action, p.Body)
}

func fieldsOf(form *html.Node) url.Values {
	v := url.Values{}
	for n := range form.Descendants() {
		if n.Type != html.ElementNode || n.Data != "input" || attr(n, "name") == "" {
			continue
		}
		_, checked := find(n, "checked")
		if t := attr(n, "type"); (t == "checkbox" || t == "radio") && !checked {
			continue
		}
		v.Add(attr(n, "name"), attr(n, "value"))
	}
	return v
}

func attr(n *html.Node, name string) string {
	v, _ := find(n, name)
	return v
}

func find(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// Code is the one-time code in an address that a page leads back to webmail with.
func Code(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	return u.Query().Get("code")
}
