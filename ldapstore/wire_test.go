package ldapstore

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"reflect"
	"strings"
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

const (
	ourID    = "\x02\x04\x40\x00\x00\x00" // of the first call
	otherID  = "\x02\x01\x07"
	doneText = "\x65\x07\x0a\x01\x00\x04\x00\x04\x00"
	wrong    = "\x61\x07\x0a\x01\x31\x04\x00\x04\x00"
)

// message wraps parts as one.
func message(parts ...string) string {
	b := request{}
	whole := b.begin(tagSequence)
	b.bytes = append(b.bytes, strings.Join(parts, "")...)
	b.end(whole)
	return string(b.bytes)
}

// Only whole answers to the call under way are taken; of those that are malformed the
// call fails, and the library gets everything else.
func TestWireTellsAnswersApart(t *testing.T) {
	ours := func(m string) string { return strings.Replace(m, otherID, ourID, 1) }
	op := func(values ...string) string {
		_, text, _ := strings.Cut(string(entryMessage(values...)), otherID)
		return text
	}
	for name, c := range map[string]struct {
		message  string
		taken    bool
		entries  int
		over, ok bool
	}{
		"entry":              {message(ourID, op("a", "b")), true, 1, false, false},
		"long lengths":       {message(ourID, op(string(make([]byte, 300)))), true, 1, false, false},
		"done":               {message(ourID, doneText), true, 0, true, true},
		"refused":            {message(ourID, strings.Replace(doneText, "\x01\x00", "\x01\x32", 1)), true, 0, true, false},
		"a reference":        {message(ourID, "\x73\x03\x04\x01x"), true, 0, false, false},
		"the library's":      {string(entryMessage("a")), false, 0, false, false},
		"library's, done":    {message(otherID, doneText), false, 0, false, false},
		"notice":             {message("\x02\x01\x00", "\x78\x07\x0a\x01\x34\x04\x00\x04\x00"), false, 0, false, false},
		"a later call's":     {ours(message("\x02\x04\x40\x00\x00\x01", doneText)), false, 0, false, false},
		"another operation":  {message(ourID, wrong), true, 0, true, false},
		"no code":            {message(ourID, "\x65\x02\x04\x00"), true, 0, true, false},
		"a code too large":   {message(ourID, "\x65\x09\x0a\x03\x01\x00\x31\x04\x00\x04\x00"), true, 0, true, false},
		"one too many":       {message(ourID, op("a")), true, 0, true, false},
		"a code below 0":     {message(ourID, "\x65\x07\x0a\x01\xff\x04\x00\x04\x00"), true, 0, true, false},
		"nothing":            {message(ourID), true, 0, true, false},
		"a value too long":   {message(ourID, strings.Replace(op("abc"), "\x04\x03abc", "\x04\x04abc", 1)), true, 1, true, false},
		"not a value":        {message(ourID, strings.Replace(op("abc"), "\x04\x03abc", "\x05\x03abc", 1)), true, 1, true, false},
		"indefinite length":  {"\x30\x80" + ourID + "\x64\x00\x00\x00", false, 0, false, false},
		"lengths of 5 bytes": {"\x30\x85\x00\x00\x00\x00\x08" + ourID + "\x64\x00", false, 0, false, false},
		"empty":              {"", false, 0, false, false},
	} {
		w := newWire(nil)
		under, err := w.start(tagSearchDone, 1)
		if err != nil {
			t.Fatal(err)
		}
		if name == "one too many" {
			under.limit = 0
		}
		if got := w.take([]byte(c.message)); got != c.taken || len(under.entries) != c.entries {
			t.Errorf("%s: taken %v, %d entries", name, got, len(under.entries))
		}
		select {
		case err := <-under.over:
			if !c.over || (err == nil) != c.ok {
				t.Errorf("%s: ends the call: %v", name, err)
			}
			if answered(err) != (name == "refused") {
				t.Errorf("%s: %v is the server's own answer: %v", name, err, answered(err))
			}
		default:
			if c.over {
				t.Errorf("%s: the call goes on", name)
			}
		}
	}
}

// ATTACKS 15: whatever a directory sends, the library's reader gets it whole, or an
// error; a call ends in any case.
func FuzzWire(f *testing.F) {
	f.Add(entryMessage("a"))
	f.Add([]byte(strings.Replace(string(entryMessage("a")), otherID, ourID, 1)))
	f.Add(append(entryMessage("a"), "\x30\x0c\x02\x01\x07\x65\x07\x0a\x01\x00\x04\x00\x04\x00"...))
	f.Add([]byte(message(ourID, doneText) + message(ourID, wrong)))
	f.Add([]byte("\x30\x84\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		w := newWire(pieces{r: bytes.NewReader(sent)})
		got, _ := io.ReadAll(w)
		if !bytes.HasPrefix(sent, got) {
			t.Errorf("%s became %s", hex.EncodeToString(sent), hex.EncodeToString(got))
		}
		if _, err := w.start(tagSearchDone, 2); err == nil {
			t.Error("a call on a dead connection")
		}
		w = newWire(pieces{r: bytes.NewReader(sent)})
		under, err := w.start(tagSearchDone, 2)
		if err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(w)
		if err := <-under.over; len(under.entries) > 2 || err == nil && len(rest) >= len(got) {
			t.Errorf("%v, %d entries, %d of %d bytes left", err, len(under.entries), len(rest), len(got))
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
			id := string(request.Children[0].Bytes())
			answer := message(id, "\x61", doneText[1:])
			if request.Children[1].Tag == ldap.ApplicationSearchRequest {
				_, entry, _ := strings.Cut(string(entryMessage("a")), otherID)
				answer = strings.Repeat(message(id, entry), 5) + message(id, doneText)
			}
			if _, err := c.Write([]byte(answer)); err != nil {
				return
			}
		}
	}
	h := newHarness(t, directory, func(c *Config) { c.ReadURIs, c.WriteURI = []string{peer(t, flood)}, "" })
	if _, err := h.Find(context.Background(), "a@example.test"); err != account.ErrAmbiguous { //nolint:errorlint // exactly
		t.Error(err)
	}
}
