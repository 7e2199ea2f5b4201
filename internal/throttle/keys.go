package throttle

import (
	"net/netip"

	"postern/internal/login"
)

// names are the texts under which a try's records are found. They are hashed
// before anything is stored under them: in memory with a key of the process, so
// that nobody can make names collide, and in Redis with the site's, so that it
// holds no user names and addresses.
type names[K any] struct {
	guard   K // the account, or the name where there is none
	pair    K // with the prefix
	alias   K // the typed name with the prefix, where that is another pair
	prefix  K
	network K // IPv6 only

	hasPair, hasAlias, hasNetwork bool
}

// Each kind of name starts with a letter of its own, and only the last part of a
// name has a variable length.
func nameAll[K any](t login.Try, hash func([]byte) K) (n names[K]) {
	var room [128]byte
	n.guard = hash(appendWho(append(room[:0], 'g'), t))
	if !t.Client.IsValid() {
		return n
	}
	prefix := masked(t.Client, 64)
	n.prefix = hash(appendAddr(append(room[:0], 'p'), prefix))
	n.pair = hash(appendWho(appendAddr(append(room[:0], 'q'), prefix), t))
	n.hasPair = true
	if t.Account != "" && t.Name != "" {
		n.alias = hash(appendName(appendAddr(append(room[:0], 'q'), prefix), t))
		n.hasAlias = true
	}
	if n.hasNetwork = prefix.Is6(); n.hasNetwork {
		n.network = hash(appendAddr(append(room[:0], 'n'), masked(t.Client, 48)))
	}
	return n
}

// masked is the network of an IPv6 address with so many bits; an IPv4 address
// stays whole, however it was written.
func masked(a netip.Addr, bits int) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a
	}
	p, _ := a.Prefix(bits) // fails for impossible bits only
	return p.Addr()
}

func appendAddr(b []byte, a netip.Addr) []byte {
	raw := a.As16()
	return append(b, raw[:]...)
}

// appendWho appends the account, which the typed name must not replace: aliases
// would be fresh counters (ATTACKS 39).
func appendWho(b []byte, t login.Try) []byte {
	if t.Account == "" {
		return appendName(b, t)
	}
	return append(append(b, 'a'), t.Account...)
}

func appendName(b []byte, t login.Try) []byte {
	return append(append(b, 'n'), t.Name...)
}
