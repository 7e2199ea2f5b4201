package ldapstore

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/internal/mailtest"
)

// requests are calls that go over the wire, and the same by the library.
func requests(dn string) map[string][2]func(*conn) error {
	search := func(filter string, attributes ...string) [2]func(*conn) error {
		req := &ldap.SearchRequest{BaseDN: dn, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.DerefFindingBaseObj, SizeLimit: 300,
			TimeLimit: 70_000, EnforceSizeLimit: true, Filter: filter, Attributes: attributes}
		return [2]func(*conn) error{
			func(c *conn) error { _, err := c.Search(req); return err },
			func(c *conn) error { _, err := c.Conn.Search(req); return err },
		}
	}
	modify := func(change func(*ldap.ModifyRequest)) [2]func(*conn) error {
		req := ldap.NewModifyRequest(dn, nil)
		change(req)
		return [2]func(*conn) error{
			func(c *conn) error { return c.Modify(req) }, func(c *conn) error { return c.Conn.Modify(req) },
		}
	}
	bind := func(password string) [2]func(*conn) error {
		return [2]func(*conn) error{
			func(c *conn) error { return c.Bind(dn, password) }, func(c *conn) error { return c.Conn.Bind(dn, password) },
		}
	}
	long := strings.Repeat("x", 70_000)
	return map[string][2]func(*conn) error{
		"search":             search("(&(mail=a\\2ab)(!(uid=*x*))(|(cn>=1)(sn~=ü)))", "mail", "*", "+"),
		"search, long":       search("(mail=" + long + ")"),
		"not sent: filter":   search("(mail=a"),
		"bind":               bind("wrong"),
		"bind, long":         bind(long[:200]),
		"not sent: password": bind(""),
		"modify, no value":   modify(func(r *ldap.ModifyRequest) { r.Delete("description", []string{"\x00\xff", "b"}) }),
		"modify, attribute": modify(func(r *ldap.ModifyRequest) {
			r.Add("mail", []string{long, ""})
			r.Replace("nonsense", nil)
			r.Delete("x", nil)
		}),
	}
}

// ATTACKS 12, 15: what is sent is what the library would send.
func TestCallsAreWhatTheLibrarySends(t *testing.T) {
	sent := make(chan *ber.Packet, 1)
	h := newHarness(t, directory, func(c *Config) {
		c.ReadURIs, c.WriteURI = []string{peer(t, func(c net.Conn) {
			for {
				p, err := ber.ReadPacket(c)
				if err != nil {
					return
				}
				if p.Children[1].Tag != ldap.ApplicationUnbindRequest {
					sent <- p
				}
				answer := message(string(p.Children[0].Bytes()), string([]byte{0x61 + byte(p.Children[1].Tag) - ldap.ApplicationBindRequest + searchGap(p)}), doneText[1:])
				if _, err := c.Write([]byte(answer)); err != nil {
					return
				}
			}
		})}, ""
	})
	for name, both := range requests("cn=a,dc=example,dc=test") {
		var got [2][]byte
		for i, call := range both {
			err := h.reads[0].users.do(context.Background(), h.deadline(context.Background(), 1), false, call)
			if (err != nil) != strings.HasPrefix(name, "not sent") {
				t.Fatalf("%s: %v", name, err)
			}
			if err == nil {
				got[i] = (<-sent).Children[1].Bytes()
			}
		}
		if !bytes.Equal(got[0], got[1]) {
			t.Errorf("%s: %.200q, the library sends %.200q", name, got[0], got[1])
		}
	}
}

// searchGap: a search's answer is two after it, others' one.
func searchGap(p *ber.Packet) byte {
	if p.Children[1].Tag == ldap.ApplicationSearchRequest {
		return 1
	}
	return 0
}

// What a real directory answers is what the library says it did.
func TestCallsAnswerAsTheLibrary(t *testing.T) {
	h := newHarness(t, directory, nil)
	mail := h.user(t, nil)
	for _, dn := range []string{h.find(t, mail).DN, mailtest.Base, "uid=nobody," + mailtest.People, "not a DN", "o=elsewhere"} {
		for name, both := range requests(dn) {
			var got [2]error
			for i, call := range both {
				pool := h.reads[0].service
				if !strings.HasPrefix(name, "search") && !strings.HasPrefix(name, "modify") {
					pool = h.reads[0].users
				}
				got[i] = pool.do(context.Background(), h.deadline(context.Background(), 1), false, call)
			}
			var ours, theirs *ldap.Error
			errors.As(got[0], &ours)
			errors.As(got[1], &theirs)
			if (ours == nil) != (theirs == nil) || ours != nil && (ours.Error() != theirs.Error() || ours.MatchedDN != theirs.MatchedDN || keeps(ours) != keeps(theirs)) {
				t.Errorf("%s, %s: %v, the library says %v", dn, name, got[0], got[1])
			}
		}
	}
}
