package session_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/seal"
	"postern/internal/session"
)

const alice = account.ID("5f1d7a6e-0001-103f-9d5a-0123456789ab")

var noon = time.Unix(1_800_000_000, 0)

// golden is the key file of a secret of 32 letters.
var golden = []byte("postern-key-1 ticket e46d65a8 " + base64.StdEncoding.EncodeToString([]byte("the secret of this golden ticket")) + "\n")

// ring has the ticket keys of the files, host only their public halves.
func ring(t testing.TB, files ...[]byte) *seal.Ring {
	t.Helper()
	r, err := seal.NewRing(map[string][]byte{account.RoleTicket: bytes.Join(files, nil)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func host(t testing.TB, webhook *seal.Ring) *seal.Ring {
	t.Helper()
	public, err := webhook.PublicFile()
	if err != nil {
		t.Fatal(err)
	}
	r, err := seal.NewRing(map[string][]byte{seal.PublicTicket: public})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newFile(t testing.TB) []byte {
	t.Helper()
	file, _, err := seal.NewFile(account.RoleTicket)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

var sample = session.Ticket{Session: "abcdefgh", Epoch: 1_799_999_000, Expires: noon.Add(10 * time.Minute),
	Services: []account.Service{account.IMAP, account.SMTP, account.Sieve}}

func issue(t testing.TB, k session.Ticket, s session.Signer, id account.ID) string {
	t.Helper()
	text, err := k.Issue(s, id)
	if err != nil {
		t.Fatal(err)
	}
	return string(text.Reveal())
}

func TestTicketRoundTrip(t *testing.T) {
	webhook := ring(t, newFile(t))
	mail := host(t, webhook)
	for name, k := range map[string]session.Ticket{
		"usual":             sample,
		"no service":        {Session: "a", Expires: noon},
		"every service":     {Session: "a", Expires: noon, Services: []account.Service{account.IMAP, account.SMTP, account.Sieve, account.POP3}},
		"pop3 alone":        {Session: "a", Expires: noon, Services: []account.Service{account.POP3}},
		"longest":           {Session: strings.Repeat("s", 64), Epoch: -1, Expires: time.Unix(1<<32-1, 0), Services: []account.Service{account.IMAP}},
		"odd session bytes": {Session: "\x00\xff\n", Epoch: 1<<63 - 1, Expires: time.Unix(1, 0)},
	} {
		text := issue(t, k, webhook, alice)
		if len(text) > session.MaxTicket || factor.Classify(account.SecretString(text)).Shape != factor.Ticket {
			t.Errorf("%s: %d characters: %s", name, len(text), text)
		}
		if got, err := session.Parse(mail, alice, account.SecretString(text)); err != nil || !reflect.DeepEqual(got, k) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestTicketGolden holds the format that ticket.go describes: a webhook and a mail
// host of different versions must understand each other.
func TestTicketGolden(t *testing.T) {
	webhook := ring(t, golden)
	const want = "pt1_AeRtZagHa0nUWAAAAABrSc4YYWJjZGVmZ2giZowMH2jM-3hMfp1iEELtI9igHPS-ksEAw_HT-mmmGVbZjM6QuuJOandOg3DVmPzSM0DGr9xTVLQ8p9vo5DAC"
	if got := issue(t, sample, webhook, alice); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(want, "pt1_"))
	if err != nil {
		t.Fatal(err)
	}
	head := "01" + "e46d65a8" + "07" + "6b49d458" + "000000006b49ce18" + hex.EncodeToString([]byte("abcdefgh"))
	if got := hex.EncodeToString(raw[:len(raw)-64]); got != head {
		t.Errorf("head %s, want %s", got, head)
	}
	// The signature, checked by nothing of ours: the account's key is in the message,
	// the key's id is not.
	public, err := webhook.PublicFile()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(public))
	key, err := base64.StdEncoding.DecodeString(words[len(words)-1])
	if err != nil {
		t.Fatal(err)
	}
	body := append([]byte{raw[0], 0, 0, 0, 0}, raw[5:len(raw)-64]...)
	message := append([]byte("postern ticket\x00\x00\x24"+string(alice)), body...)
	if !ed25519.Verify(key, message, raw[len(raw)-64:]) {
		t.Error("the signature is not over what ticket.go says")
	}
}

func TestAttack24_TicketOfSomebodyElse(t *testing.T) {
	webhook := ring(t, newFile(t))
	mail := host(t, webhook)
	text := account.SecretString(issue(t, sample, webhook, alice))
	for _, id := range []account.ID{"", "5f1d7a6e", alice + "0", "6f1d7a6e-0001-103f-9d5a-0123456789ab"} {
		if _, err := session.Parse(mail, id, text); !errors.Is(err, session.ErrForged) {
			t.Errorf("of %q: %v", id, err)
		}
	}
	// The end of the account's key must not be taken for the beginning of the rest.
	if _, err := session.Parse(mail, alice+"\x01", text); !errors.Is(err, session.ErrForged) {
		t.Error(err)
	}
	other := host(t, ring(t, newFile(t)))
	for name, v := range map[string]session.Verifier{"another site's key": other, "no key": func() *seal.Ring { r, _ := seal.NewRing(nil); return r }()} {
		if _, err := session.Parse(v, alice, text); !errors.Is(err, session.ErrForged) || !errors.Is(err, session.ErrUnknownKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := session.Parse(mail, "bob", text); errors.Is(err, session.ErrUnknownKey) {
		t.Error("of a key that is known: said to be unknown")
	}
}

// Every bit of a ticket counts, and it has one text only.
func TestAttack24_EditedTicket(t *testing.T) {
	old, fresh := newFile(t), newFile(t)
	mail := host(t, ring(t, old, fresh)) // flips of the key's id must not find the other key either
	text := issue(t, sample, ring(t, old), alice)
	raw, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, "pt1_"))
	encode := func(b []byte) string { return "pt1_" + base64.RawURLEncoding.EncodeToString(b) }
	edits := []string{"", "pt1", "pt1_", text[4:], "pt2_" + text[4:], "PT1_" + text[4:], text + "\n", text[:20] + "\n" + text[20:], text + "=", text + "A",
		" " + text, text[:len(text)-1], encode(raw[:64]), encode(raw[:18]), encode(append(bytes.Clone(raw), 0)), "pt1_" + strings.Repeat("A", 251),
		"pt1_" + strings.Repeat("A", 100_000), "pt1_\x00" + text[5:], encode(append(bytes.Clone(raw[:18]), raw[26:]...))}
	for i := range raw {
		for bit := range 8 {
			edited := bytes.Clone(raw)
			edited[i] ^= 1 << bit
			edits = append(edits, encode(edited))
		}
	}
	otherID := issue(t, sample, ring(t, fresh), alice)
	other, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(otherID, "pt1_"))
	edits = append(edits, encode(append(bytes.Clone(other[:5]), raw[5:]...)))
	for _, s := range edits {
		if got, err := session.Parse(mail, alice, account.SecretString(s)); !errors.Is(err, session.ErrForged) || !reflect.DeepEqual(got, session.Ticket{}) {
			t.Errorf("%.80q: %+v, %v", s, got, err)
		}
	}
	if _, err := session.Parse(mail, alice, account.SecretString(text)); err != nil {
		t.Error(err)
	}
}

// What the format cannot hold is refused, not changed: a ticket without an expiry
// would be valid until the year 2042.
func TestTicketsThatAreNotIssued(t *testing.T) {
	webhook := ring(t, newFile(t))
	for name, change := range map[string]func(*session.Ticket){
		"no session":         func(k *session.Ticket) { k.Session = "" },
		"session too long":   func(k *session.Ticket) { k.Session = strings.Repeat("s", 65) },
		"no expiry":          func(k *session.Ticket) { k.Expires = time.Time{} },
		"before the epoch":   func(k *session.Ticket) { k.Expires = time.Unix(-1, 0) },
		"at zero":            func(k *session.Ticket) { k.Expires = time.Unix(0, 0) },
		"after four bytes":   func(k *session.Ticket) { k.Expires = time.Unix(1<<32, 0) },
		"much, much later":   func(k *session.Ticket) { k.Expires = time.Unix(1<<40+1_800_000_000, 0) },
		"an unknown service": func(k *session.Ticket) { k.Services = []account.Service{account.IMAP, account.DAV} },
	} {
		k := sample
		change(&k)
		if text, err := k.Issue(webhook, alice); err == nil || !text.Empty() {
			t.Errorf("%s: issued", name)
		}
	}
	if _, err := sample.Issue(host(t, webhook), alice); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("a mail host issues tickets: %v", err)
	}
}

func TestSessionBody(t *testing.T) {
	want := session.Session{Epoch: 5, Client: "roundcube", Strong: true, Via: "totp:abcd", Links: [][]byte{{1}, {2}}}
	b, err := account.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := session.Decode(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	newer, _ := account.Encode(map[int]int{1: 5, 99: 1})
	for _, b := range [][]byte{nil, b[:len(b)-1], append(bytes.Clone(b), 0), newer} {
		if _, err := session.Decode(b); !errors.Is(err, account.ErrDamaged) {
			t.Errorf("%x: %v", b, err)
		}
	}
}

func FuzzTicket(f *testing.F) {
	webhook := ring(f, golden)
	mail := host(f, webhook)
	text := issue(f, sample, webhook, alice)
	for _, s := range []string{text, "", "pt1_", text[:100], text + "\n", issue(f, sample, webhook, "bob"), "pt1_" + strings.Repeat("A", 251)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := session.Parse(mail, alice, account.SecretString(s)); err == nil && s != text {
			t.Errorf("%q was never issued, and is read as %+v", s, got)
		}
	})
}

// FuzzTicketFields: what is issued is read as it was, whatever is in it.
func FuzzTicketFields(f *testing.F) {
	webhook := ring(f, golden)
	f.Add("abcdefgh", int64(5), int64(1_800_000_000), uint8(7), "key")
	f.Add(strings.Repeat("\xff", 64), int64(-1), int64(1<<32-1), uint8(0), "")
	f.Add("a", int64(0), int64(-62135596800), uint8(255), "k")
	services := []account.Service{account.IMAP, account.SMTP, account.Sieve, account.POP3}
	f.Fuzz(func(t *testing.T, id string, epoch, expires int64, mask uint8, key string) {
		k := session.Ticket{Session: id, Epoch: epoch, Expires: time.Unix(expires, 0)}
		for i, s := range services {
			if mask&(1<<i) != 0 {
				k.Services = append(k.Services, s)
			}
		}
		text, err := k.Issue(webhook, account.ID(key))
		if err != nil {
			return
		}
		if got, err := session.Parse(webhook, account.ID(key), text); err != nil || !reflect.DeepEqual(got, k) || len(text.Reveal()) > session.MaxTicket {
			t.Errorf("%+v became %+v, %v", k, got, err)
		}
	})
}
