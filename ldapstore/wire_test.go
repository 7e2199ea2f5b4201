package ldapstore

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"reflect"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// What is caught is what the library reads, from a real directory.
func TestWireReadsAsTheLibrary(t *testing.T) {
	h := newHarness(t, directory, nil)
	_, a := h.enrolled(t)
	for _, attributes := range [][]string{h.wanted, {"1.1"}, {"*", "+"}} {
		var got, want *ldap.SearchResult
		req := &ldap.SearchRequest{BaseDN: a.DN, SizeLimit: 1, EnforceSizeLimit: true, Filter: anything, Attributes: attributes}
		err := h.read(context.Background(), func(c *conn) (err error) {
			if got, err = c.Search(req); err == nil {
				want, err = c.Conn.Search(req)
			}
			return err
		})
		if err != nil || len(got.Entries) != 1 || len(want.Entries) != 1 || got.Entries[0].DN != want.Entries[0].DN {
			t.Fatalf("%v: %+v, %+v", err, got, want)
		}
		for i, w := range want.Entries[0].Attributes {
			if g := got.Entries[0].Attributes[i]; g.Name != w.Name || !reflect.DeepEqual(g.ByteValues, w.ByteValues) {
				t.Errorf("%s: %q, the library says %q", w.Name, g, w)
			}
		}
	}
}

// entryMessage is a search's answer with one entry, in the library's encoding.
func entryMessage(values ...string) []byte {
	set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	for _, v := range values {
		set.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, v, ""))
	}
	attribute, list, message := ber.NewSequence(""), ber.NewSequence(""), ber.NewSequence("")
	attribute.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "mail", ""))
	attribute.AppendChild(set)
	list.AppendChild(attribute)
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "cn=a", ""))
	op.AppendChild(list)
	message.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 7, ""))
	message.AppendChild(op)
	return message.Bytes()
}

func TestWireLeavesTheRest(t *testing.T) {
	long := entryMessage(string(make([]byte, 300)))
	for name, c := range map[string]struct {
		message string
		want    int
		caught  bool
	}{
		"entry":              {string(entryMessage("a", "b")), 1, true},
		"long lengths":       {string(long), 1, true},
		"not expected":       {string(entryMessage("a")), 0, false},
		"another operation":  {"\x30\x0c\x02\x01\x07\x65\x07\x0a\x01\x00\x04\x00\x04\x00", 1, false},
		"cut off":            {string(long[:len(long)-1]), 1, false},
		"a value too long":   {string(bytes.Replace(entryMessage("abc"), []byte("\x04\x03abc"), []byte("\x04\x04abc"), 1)), 1, false},
		"not a value":        {string(bytes.Replace(entryMessage("abc"), []byte("\x04\x03abc"), []byte("\x05\x03abc"), 1)), 1, false},
		"indefinite length":  {"\x30\x80\x02\x01\x07\x64\x00\x00\x00", 1, false},
		"lengths of 5 bytes": {"\x30\x85\x00\x00\x00\x00\x05\x02\x01\x07\x64\x00", 1, false},
		"empty":              {"", 1, false},
	} {
		w := newWire(nil)
		w.expect(c.want)
		if got := w.catch([]byte(c.message)); got != c.caught || got != (len(w.expect(0)) == 1) {
			t.Errorf("%s: caught %v", name, got)
		}
	}
}

// ATTACKS 15: whatever a directory sends, the library's reader gets it whole, or an
// error.
func FuzzWire(f *testing.F) {
	f.Add(entryMessage("a"))
	f.Add(append(entryMessage("a"), "\x30\x0c\x02\x01\x07\x65\x07\x0a\x01\x00\x04\x00\x04\x00"...))
	f.Add([]byte("\x30\x84\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		w := newWire(pieces{r: bytes.NewReader(sent)})
		got, _ := io.ReadAll(w)
		if !bytes.HasPrefix(sent, got) {
			t.Errorf("%s became %s", hex.EncodeToString(sent), hex.EncodeToString(got))
		}
		w = newWire(pieces{r: bytes.NewReader(sent)})
		w.expect(2)
		rest, _ := io.ReadAll(w)
		if n := len(w.expect(0)); n > 2 || n > 0 && len(rest) >= len(got) && len(got) > 0 {
			t.Errorf("%d entries were caught, %d of %d bytes left", n, len(rest), len(got))
		}
	})
}

// pieces is a connection that delivers byte by byte.
type pieces struct {
	net.Conn
	r io.Reader
}

func (p pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(1, len(b))]) }

// ATTACKS 15: more entries than were asked for are ambiguous, and no more memory.
func TestWireIsBounded(t *testing.T) {
	flood := func(c net.Conn) {
		for {
			request, err := ber.ReadPacket(c)
			if err != nil {
				return
			}
			id := byte(request.Children[0].Value.(int64)) //nolint:forcetypeassert // a test's own
			op := "\x61"
			if request.Children[1].Tag == ldap.ApplicationSearchRequest {
				entry := entryMessage("a")
				entry[4] = id
				if _, err := c.Write(bytes.Repeat(entry, 5)); err != nil {
					return
				}
				op = "\x65"
			}
			if _, err := c.Write([]byte("\x30\x0c\x02\x01" + string(id) + op + "\x07\x0a\x01\x00\x04\x00\x04\x00")); err != nil {
				return
			}
		}
	}
	h := newHarness(t, directory, func(c *Config) { c.ReadURIs, c.WriteURI = []string{peer(t, flood)}, "" })
	if _, err := h.Find(context.Background(), "a@example.test"); err != account.ErrAmbiguous { //nolint:errorlint // exactly
		t.Error(err)
	}
}
