package main

import (
	"errors"
	"net/url"
	"path"
	"strings"
)

const maxReturnTo = 2000 // bytes: it travels in addresses, which servers bound to 8 KiB

var (
	errReturnForm  = errors.New("return_to: must be a whole address like https://mail.example.test/?_task=login, of at most 2000 plain characters")
	errReturnOther = errors.New("return_to: begins with none of the addresses in this client's return_urls")
)

// returnTo checks where a client wants the browser back, and returns it in one form,
// without its fragment. It must have scheme, host and port of one of the client's
// return_urls, and its path must lie below that one's. Whatever two readers could
// read differently is refused: browsers take a backslash for a slash, skip line
// breaks, and resolve dots after decoding them (WHATWG URL standard, section 4.4).
func (c *client) returnTo(text string) (string, error) {
	if len(text) > maxReturnTo || strings.ContainsFunc(text, notPlain) {
		return "", errReturnForm
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Opaque != "" || u.User != nil {
		return "", errReturnForm
	}
	u.Fragment, u.RawFragment = "", ""
	if !plainPath(u) {
		return "", errReturnForm
	}
	for _, allowed := range c.returns {
		if sameOrigin(u, allowed) && below(u.Path, allowed.Path) {
			return u.String(), nil
		}
	}
	return "", errReturnOther
}

// notPlain: everything but printable ASCII, and what browsers change.
func notPlain(r rune) bool {
	return r <= ' ' || r > '~' || r == '\\' || r == '"' || r == '<' || r == '>' || r == '`'
}

// plainPath reports whether a path is its own cleaned form also once it is decoded, and
// has no encoded slashes: they would be below a directory here, and not for a server.
func plainPath(u *url.URL) bool {
	p := u.Path
	if p == "" {
		return true
	}
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return p == clean && !strings.ContainsAny(p, "\\\x00\r\n\t") && !strings.Contains(strings.ToLower(u.EscapedPath()), "%2f")
}

// below reports whether a path is that of the directory or lies in it; dir ends with
// a slash, which the configuration sees to.
func below(p, dir string) bool {
	return strings.HasPrefix(p, dir) || p == strings.TrimSuffix(dir, "/")
}

func sameOrigin(a, b *url.URL) bool { return origin(a) == origin(b) }

// origin is scheme://host[:port], as browsers write it: lower case, without the
// scheme's own port (RFC 6454, section 6.2).
func origin(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := map[string]string{"https": ":443", "http": ":80"}[scheme]; port != "" {
		host = strings.TrimSuffix(host, port)
	}
	return scheme + "://" + host
}
