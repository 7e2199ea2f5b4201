// Package clientsetup writes down how to reach a site's mail servers, in the words of the
// programs that people read mail with: Apple's profiles (package apple), Thunderbird's
// autoconfig and its code for Android (thunderbird.go), Outlook's autodiscover
// (outlook.go), and lines for everybody else (Servers).
//
// It knows no accounts: whoever asks for an address, real or not, gets the same answer
// for its domain.
package clientsetup

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"postern/internal/account"
	"postern/internal/policy"
)

// Server is where one service is.
type Server struct {
	Service account.Service
	Host    string
	Port    uint16
	// StartTLS: the connection begins in plain text and is then secured; else TLS
	// begins at once (RFC 8314 section 3).
	StartTLS bool
}

// startTLS are the ports on which TLS does not begin at once.
var startTLS = map[uint16]bool{143: true, 110: true, 587: true, 25: true, 4190: true}

// ParseServer reads "host:port"; %d in the host stands for the domain. The port says how
// TLS begins.
func ParseServer(s account.Service, text string) (Server, error) {
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return Server{}, fmt.Errorf("%q is not host:port", text)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return Server{}, fmt.Errorf("%q: %q is not a port", text, portText)
	}
	if host == "" || strings.ContainsAny(strings.ReplaceAll(host, "%d", "d"), "%/ \t") {
		return Server{}, fmt.Errorf("%q is not the name of a host", host)
	}
	return Server{s, host, uint16(port), startTLS[uint16(port)]}, nil
}

// name is a host's name of several labels (RFC 1123 section 2.1).
var name = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Domain is a domain as its servers' names are made of it; "" if it cannot be one.
func Domain(text string) string {
	domain := policy.DomainName(text)
	if len(domain) > 253 || !name.MatchString(domain) {
		return ""
	}
	return domain
}

// Servers are a site's, in the order in which people look for them.
type Servers []Server

// For are the servers as accounts of a domain reach them, of the services only that are
// wanted; nil: of all.
func (all Servers) For(domain string, services []account.Service) Servers {
	var list Servers
	for _, s := range all {
		if services != nil && !slices.Contains(services, s.Service) {
			continue
		}
		s.Host = strings.ReplaceAll(s.Host, "%d", domain)
		list = append(list, s)
	}
	return list
}

// Find is the server of a service.
func (all Servers) Find(service account.Service) (Server, bool) {
	for _, s := range all {
		if s.Service == service {
			return s, true
		}
	}
	return Server{}, false
}

// Incoming is where mail is read: IMAP, or else POP3.
func (all Servers) Incoming() (Server, bool) {
	if s, ok := all.Find(account.IMAP); ok {
		return s, true
	}
	return all.Find(account.POP3)
}
