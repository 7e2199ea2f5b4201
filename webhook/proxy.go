package main

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/daemon"
)

// browserAddr is where the browser of a page is. What a proxy says in
// X-Forwarded-For is believed of trusted ones and of who is on the unix socket; of
// several addresses it is the last that no trusted proxy has. Without that header
// from such a proxy the address is not known, and invalid: nothing is compared.
func (s *server) browserAddr(r *http.Request) netip.Addr {
	direct := peerAddr(r)
	if !daemon.PeerOf(r.Context()).Local && !s.trusted(direct) {
		return direct
	}
	var found netip.Addr
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return netip.Addr{}
		}
		if found = a.Unmap().WithZone(""); !s.trusted(found) {
			break
		}
	}
	return found
}

func (s *server) trusted(a netip.Addr) bool {
	return slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// peerAddr is the TCP address of who connected; invalid on a unix socket.
func peerAddr(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// insider reports whether a request for metrics comes from this host itself, not
// through a web server, or from one of the clients.
func (s *server) insider(r *http.Request) bool {
	if s.caller(r) != nil {
		return true
	}
	here := daemon.PeerOf(r.Context()).Local || peerAddr(r).IsLoopback()
	return here && r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == ""
}
