package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"postern/internal/account"
	"postern/internal/seal"
)

// publicOf is the public file of a ticket key file.
func publicOf(t testing.TB, file []byte) []byte {
	t.Helper()
	public, err := newRing(t, map[string][]byte{account.RoleTicket: file}).PublicFile()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func sign(t testing.TB, r *seal.Ring, message string) (seal.KeyID, []byte) {
	t.Helper()
	id, signature, err := r.Sign([]byte(message))
	if err != nil {
		t.Fatal(err)
	}
	return id, signature
}

// A mail host can check with the public file, and sign nothing.
func TestPublicFile(t *testing.T) {
	file := newFile(t, account.RoleTicket)
	webhook := newRing(t, map[string][]byte{account.RoleTicket: file})
	host := newRing(t, map[string][]byte{seal.PublicTicket: publicOf(t, file)})
	id, signature := sign(t, webhook, "message")
	for name, r := range map[string]*seal.Ring{"webhook": webhook, "mail host": host} {
		if !r.CanVerify() || !r.VerifySignature(id, []byte("message"), signature) {
			t.Errorf("%s: the right signature is refused", name)
		}
		if r.VerifySignature(id, []byte("Message"), signature) || r.VerifySignature(id, []byte("message"), signature[:63]) ||
			r.VerifySignature(id, []byte("message"), nil) || r.VerifySignature(seal.KeyID{}, []byte("message"), signature) {
			t.Errorf("%s: a wrong signature is taken", name)
		}
	}
	if _, _, err := host.Sign([]byte("message")); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("a mail host signs: %v", err)
	}
	if _, err := host.PublicFile(); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("a mail host has no public file to give away: %v", err)
	}
	if none := newRing(t, nil); none.CanVerify() {
		t.Error("a ring without keys says that it can check")
	}
	if secret := lastWord(file); bytes.Contains(publicOf(t, file), []byte(secret)) {
		t.Error("the public file holds the secret")
	}
}

func lastWord(file []byte) string {
	words := strings.Fields(string(file))
	return words[len(words)-1]
}

// Ed25519 signatures are deterministic (RFC 8032 section 5.1.6), and the key is
// derived from the secret for this purpose alone: a golden value holds both.
func TestSignatureGolden(t *testing.T) {
	ring := newRing(t, map[string][]byte{account.RoleTicket: goldenFile})
	id, signature := sign(t, ring, "message")
	const wantID, want = "e46d65a8", "3yQCmwySzi_wAWqS15CtvPCzGQ4AME9wNkgDlZu0RwFiSAwpnoETvZbyKsLncKIz6BrIDuzTgVKQpeAHsafCCQ"
	if got := base64.RawURLEncoding.EncodeToString(signature); got != want || id.String() != wantID {
		t.Errorf("key %s, signature %s", id, got)
	}
}

// goldenFile is the key file of a secret of 32 letters.
var goldenFile = []byte("postern-key-1 ticket e46d65a8 " + base64.StdEncoding.EncodeToString([]byte("the secret of this golden ticket")) + "\n")

// A new key is known at the mail hosts, by a file of both, before anybody signs
// with it.
func TestSignatureKeyRotation(t *testing.T) {
	old, fresh := newFile(t, account.RoleTicket), newFile(t, account.RoleTicket)
	both := append(append([]byte{}, fresh...), old...)
	host := newRing(t, map[string][]byte{seal.PublicTicket: publicOf(t, both)})
	for name, file := range map[string][]byte{"old": old, "new": both} {
		id, signature := sign(t, newRing(t, map[string][]byte{account.RoleTicket: file}), "message")
		if !host.VerifySignature(id, []byte("message"), signature) {
			t.Errorf("the %s key's signature is refused", name)
		}
	}
	oldID, _ := sign(t, newRing(t, map[string][]byte{account.RoleTicket: old}), "message")
	if id, _ := sign(t, newRing(t, map[string][]byte{account.RoleTicket: both}), "message"); id == oldID {
		t.Error("the first key of the file must sign")
	}
	_, signature := sign(t, newRing(t, map[string][]byte{account.RoleTicket: fresh}), "message")
	if host.VerifySignature(oldID, []byte("message"), signature) {
		t.Error("a signature is taken under another key's id")
	}
}

func TestPublicFilesThatAreRefused(t *testing.T) {
	file := newFile(t, account.RoleTicket)
	good := string(publicOf(t, file))
	key := lastWord([]byte(good))
	id := strings.Fields(good[strings.Index(good, "\n"):])[2]
	for name, text := range map[string]string{
		"empty":          "",
		"comments only":  "# nothing\n\n",
		"a secret key":   string(file),
		"a door key":     string(newFile(t, account.RoleDoor)),
		"other role":     strings.Replace(good, " ticket ", " door ", 1),
		"short key":      strings.Replace(good, key, key[:40], 1),
		"no base64":      strings.Replace(good, key, strings.Repeat("!", 44), 1),
		"short id":       strings.Replace(good, id, id[:6], 1),
		"id of letters":  strings.Replace(good, id, "zzzzzzzz", 1),
		"two of one id":  good + strings.Replace(good, key, lastWord(publicOf(t, newFile(t, account.RoleTicket))), 1),
		"trailing words": strings.TrimSpace(good) + " more\n",
	} {
		if _, err := seal.NewRing(map[string][]byte{seal.PublicTicket: []byte(text)}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	other := strings.Replace(good, key, lastWord(publicOf(t, newFile(t, account.RoleTicket))), 1)
	if _, err := seal.NewRing(map[string][]byte{seal.PublicTicket: []byte(other), account.RoleTicket: file}); err == nil {
		t.Error("a public file that contradicts the ticket key: taken")
	}
}

func TestKnowsTickets(t *testing.T) {
	file := newFile(t, account.RoleTicket)
	webhook := newRing(t, map[string][]byte{account.RoleTicket: file})
	host := newRing(t, map[string][]byte{seal.PublicTicket: publicOf(t, file)})
	stranger := newRing(t, map[string][]byte{seal.PublicTicket: publicOf(t, newFile(t, account.RoleTicket))})
	door := newRing(t, map[string][]byte{account.RoleDoor: newFile(t, account.RoleDoor)})
	values := append(door.CheckValues(), webhook.CheckValues()...)
	if !host.KnowsTickets(values) || !webhook.KnowsTickets(values) {
		t.Error("the right file is said to be another site's")
	}
	if stranger.KnowsTickets(values) || door.KnowsTickets(values) {
		t.Error("another site's file, or none, is said to be right")
	}
	if !stranger.KnowsTickets(door.CheckValues()) || !door.KnowsTickets(nil) {
		t.Error("without a registered key there is nothing to compare with")
	}
	if err := webhook.Check(values); err != nil {
		t.Error(err)
	}
}

func FuzzPublicFile(f *testing.F) {
	good := publicOf(f, goldenFile)
	for _, b := range [][]byte{good, nil, goldenFile, []byte("postern-public-1 ticket 00000000 AAAA\n")} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := seal.NewRing(map[string][]byte{seal.PublicTicket: b})
		if err == nil && !r.CanVerify() {
			t.Errorf("%q is taken and holds no key", b)
		}
	})
}
