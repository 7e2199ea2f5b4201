package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// config is the plug-in's configuration file.
type config struct {
	Servers       []string          `toml:"servers"`        // host:port, in the order in which they are asked
	SecretFile    string            `toml:"secret_file"`    // shared by all of them
	Timeout       string            `toml:"timeout"`        // for one server; it is asked twice. Default 1s
	NASIdentifier string            `toml:"nas_identifier"` // default postern
	User          string            `toml:"user"`           // account (default): the mail address; local: its part before the @; asked: when the factor is added
	Digits        int               `toml:"digits"`         // of codes; 0 (default): codes of any form, PINs before them included
	Reusable      bool              `toml:"reusable"`       // codes may be used twice: for servers without one-time codes
	Text          map[string]string `toml:"text"`           // what to do, by language
}

func open(path string) (*factor, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the administrator names it
	if err != nil {
		return nil, err
	}
	var c config
	md, err := toml.Decode(string(data), &c)
	if err == nil && len(md.Undecoded()) > 0 {
		err = fmt.Errorf("there is no such setting: %s", md.Undecoded()[0])
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f := &factor{config: c}
	if f.client, err = c.client(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// client reads the secret, and checks what else the client needs.
func (c *config) client() (*client, error) {
	var errs []error
	if len(c.Servers) == 0 {
		errs = append(errs, errors.New("servers: needed"))
	}
	for _, s := range c.Servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			errs = append(errs, fmt.Errorf("servers: %q is not host:port", s))
		}
	}
	secret, err := readSecret(c.SecretFile)
	errs = append(errs, err)
	timeout := time.Second
	if c.Timeout != "" {
		if timeout, err = time.ParseDuration(c.Timeout); err != nil || timeout < 50*time.Millisecond || timeout > 5*time.Second {
			errs = append(errs, errors.New("timeout: from 50ms to 5s"))
		}
	}
	if c.Digits != 0 && (c.Digits < 4 || c.Digits > 10) {
		errs = append(errs, errors.New("digits: 0, or from 4 to 10"))
	}
	if c.User != "" && c.User != "account" && c.User != "local" && c.User != "asked" {
		errs = append(errs, errors.New("user: account, local or asked"))
	}
	name := c.NASIdentifier
	if name == "" {
		name = "postern"
	}
	return &client{servers: c.Servers, secret: secret, timeout: timeout, name: name}, errors.Join(errs...)
}

func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("secret_file: %w", err)
	}
	if info.Mode()&0o007 != 0 {
		return nil, fmt.Errorf("secret_file: %s can be read by anybody: chmod 0640", path)
	}
	data, err := os.ReadFile(path) //nolint:gosec // the administrator names it
	data = bytes.TrimRight(data, "\r\n")
	if err == nil && (len(data) < 8 || strings.ContainsAny(string(data), "\r\n")) {
		err = errors.New("one line of at least 8 characters is needed")
	}
	if err != nil {
		return nil, fmt.Errorf("secret_file: %w", err)
	}
	return data, nil
}
