package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"text/template"

	"github.com/BurntSushi/toml"
)

// config is the plug-in's configuration file. It holds the gateway's credentials, so
// nobody but the plug-in's user should read it.
type config struct {
	Method  string            `toml:"method"`  // default POST
	URL     string            `toml:"url"`     // https:, or http: on this host; a template
	Headers map[string]string `toml:"headers"` // values are templates
	Body    string            `toml:"body"`    // a template
	// Text is the message, by language: a template of .Code and .Minutes.
	Text    map[string]string `toml:"text"`
	Address string            `toml:"address"`  // what users enter: tel (default), or text
	Pattern string            `toml:"pattern"`  // that an address must match in whole; default: +49… for tel
	Label   map[string]string `toml:"label"`    // of the field, by language
	Digits  int               `toml:"digits"`   // 6 (default) to 8
	PerHour int               `toml:"per_hour"` // messages for each account, and to each address: 1 to 60, default 5
}

// templates are those of a request. What goes into them is escaped by the functions that
// they name: {{json .Address}} with its quotes, {{query .Address}}.
type templates struct {
	url, body *template.Template
	headers   map[string]*template.Template
	texts     map[string]*template.Template
	pattern   *regexp.Regexp
}

func open(path string) (*factor, error) {
	info, err := os.Stat(path) //nolint:gosec // the administrator names it
	if err != nil {
		return nil, err
	}
	if info.Mode()&0o007 != 0 {
		return nil, fmt.Errorf("%s can be read by anybody: chmod 0640", path)
	}
	c := config{Method: "POST", Address: "tel", Digits: 6, PerHour: 5}
	md, err := toml.DecodeFile(path, &c)
	if err == nil && len(md.Undecoded()) > 0 {
		err = fmt.Errorf("there is no such setting: %s", md.Undecoded()[0])
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t, err := c.parse()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return newFactor(c, t), nil
}

func (c *config) parse() (*templates, error) {
	t := &templates{headers: make(map[string]*template.Template), texts: make(map[string]*template.Template)}
	var errs []error
	one := func(name, text string) *template.Template {
		parsed, err := template.New(name).Option("missingkey=error").Funcs(functions).Parse(text)
		errs = append(errs, err)
		return parsed
	}
	t.url, t.body = one("url", c.URL), one("body", c.Body)
	for name, value := range c.Headers {
		t.headers[name] = one("headers."+name, value)
	}
	if len(c.Text) == 0 {
		c.Text = map[string]string{"en": "Your code for webmail is {{.Code}}. It is good for {{.Minutes}} minutes. Nobody will ever ask you for it."}
	}
	for lang, text := range c.Text {
		t.texts[lang] = one("text."+lang, text)
	}
	if t.texts["en"] == nil {
		errs = append(errs, errors.New("text.en: needed"))
	}
	pattern := c.Pattern
	if pattern == "" {
		pattern = map[string]string{"tel": `\+[1-9][0-9]{6,14}`}[c.Address]
	}
	var err error
	t.pattern, err = regexp.Compile("^(?:" + pattern + ")$")
	errs = append(errs, err, c.check(pattern))
	return t, errors.Join(errs...)
}

func (c *config) check(pattern string) error {
	var errs []error
	head, _, _ := strings.Cut(c.URL, "{{")
	u, err := url.Parse(head)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost" && u.Hostname() != "::1") {
		errs = append(errs, errors.New("url: https://, or http:// on this host; its host is no template"))
	}
	if pattern == "" {
		errs = append(errs, errors.New("pattern: needed with address = \"text\": what may an address be"))
	}
	if c.Address != "tel" && c.Address != "text" {
		errs = append(errs, errors.New("address: tel or text"))
	}
	if c.Digits < 6 || c.Digits > 8 {
		errs = append(errs, errors.New("digits: from 6 to 8"))
	}
	if c.PerHour < 1 || c.PerHour > 60 {
		errs = append(errs, errors.New("per_hour: from 1 to 60"))
	}
	return errors.Join(errs...)
}
