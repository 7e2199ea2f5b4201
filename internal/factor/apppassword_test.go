package factor

import (
	"net/netip"
	"strings"
	"testing"

	"postern/internal/account"
)

func classify(s string) Shape { return Classify(account.SecretString(s)).Shape }

func TestAppPasswordIsRecognisedAndMatches(t *testing.T) {
	for range 200 {
		plain, body, id := NewAppPassword(AppPassword{Services: account.MailServices})
		s := string(plain.Reveal())
		if len(s) != 34 || strings.Count(s, "-") != 6 {
			t.Fatalf("%q is not seven groups of four", s)
		}
		for _, typed := range []string{s, strings.ReplaceAll(s, "-", ""), strings.ReplaceAll(s, "-", " "), " " + s + "\t",
			strings.ReplaceAll(s, "-", "\u2013"), strings.ReplaceAll(s, "-", "\u00a0")} {
			p := Classify(account.SecretString(typed))
			if p.Shape != App || p.ID != id || !body.Matches(p.Verifier) {
				t.Fatalf("%q: shape %d, id %q", typed, p.Shape, p.ID)
			}
		}
	}
}

// An app password copied badly must not reach the directory (ATTACKS 8).
func TestAttack08_NearMisses(t *testing.T) {
	for range 100 {
		plain, _, _ := NewAppPassword(AppPassword{})
		s := string(plain.Reveal())
		bare := strings.ReplaceAll(s, "-", "")
		for name, typed := range map[string]string{
			"capitals":               strings.ToUpper(s),
			"capitals, no dashes":    strings.ToUpper(bare),
			"first letter a capital": strings.ToUpper(s[:1]) + s[1:],
			"last character missing": bare[:27],
			"first one missing":      bare[1:],
			"two missing":            bare[1:27],
			"two missing, dashes":    s[:len(s)-2],
			"one too many":           bare + "a",
			"two too many":           bare + "7b",
			"o read as 0, l as 1":    "0" + s[1:5] + "1" + s[6:],
			"punctuation after it":   s + ".",
		} {
			if got := classify(typed); got != NearMiss && !(name == "first letter a capital" && got == App) {
				t.Fatalf("%s: shape %d of a variant of an app password", name, got)
			}
		}
		for i := range bare { // one wrong character, anywhere
			for _, c := range alphabet {
				typed := bare[:i] + string(c) + bare[i+1:]
				if typed != bare && classify(typed) != NearMiss && digits(typed) > 0 {
					t.Fatalf("character %d replaced: not a near miss", i)
				}
			}
		}
		for i := range len(bare) - 1 { // two neighbours swapped
			typed := bare[:i] + bare[i+1:i+2] + bare[i:i+1] + bare[i+2:]
			if typed != bare && classify(typed) != NearMiss {
				t.Fatalf("characters %d and %d swapped: not a near miss", i, i+1)
			}
		}
	}
}

func TestMainPasswordsAreNotNearMisses(t *testing.T) {
	for _, s := range []string{
		"", "secret", "correct horse battery staple", "correct horse battery staples!", "this is my long mail password",
		"thisismylongmailpassphrases", "Tr0ub4dor&3", "kJ8fQ2mZx7LpR4vT9wYb3NcD6sHa", // a password manager's: both cases
		"0f8fad5b-d9cb-469f-a165-70867728950e", "8d969eef6ecad3c29a3a629280e686cf0c3f5d5a",
		strings.Repeat("a", 28), strings.Repeat("x", 5000), "\xff\xfe\x00", "пароль-пароль-пароль-пароль1",
	} {
		if got := classify(s); got != Main {
			t.Errorf("%q: shape %d, want Main", s, got)
		}
	}
	if classify("pt1_abc") != Ticket {
		t.Error("a ticket's shape is not recognised")
	}
}

func TestLooksLikeOwn(t *testing.T) {
	plain, _, id := NewAppPassword(AppPassword{})
	bare := strings.ReplaceAll(string(plain.Reveal()), "-", "")
	has := func(s string) bool { return s == id }
	if !LooksLikeOwn(account.SecretString(bare[:20]+"XyZ98765"), has) {
		t.Error("a string that begins with the id of a record is that record's, badly copied")
	}
	if LooksLikeOwn(account.SecretString("abcd"), has) || LooksLikeOwn(account.SecretString(""), has) {
		t.Error("short strings are nobody's app password")
	}
}

func TestScope(t *testing.T) {
	p := AppPassword{Services: []account.Service{account.IMAP}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}}
	if !p.AllowsService(account.IMAP) || p.AllowsService(account.SMTP) || p.AllowsService("") || !p.AllowsService(account.Doveadm) {
		t.Error("services")
	}
	for a, want := range map[string]bool{"192.0.2.9": true, "::ffff:192.0.2.9": true, "198.51.100.1": false, "2001:db8::1%eth0": true, "2001:db9::1": false} {
		if got := p.AllowsAddress(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	if p.AllowsAddress(netip.Addr{}) {
		t.Error("an unknown address is in no network")
	}
	if !(&AppPassword{}).AllowsAddress(netip.Addr{}) {
		t.Error("no networks means from anywhere")
	}
}

// A body without a whole verifier must not compare equal to anything (ATTACKS 22).
func TestAttack22_EmptyVerifier(t *testing.T) {
	for _, v := range [][]byte{nil, {}, {1, 2, 3}} {
		b, err := account.Encode(AppPassword{Verifier: v})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeAppPassword(b); err == nil {
			t.Errorf("a verifier of %d bytes was taken", len(v))
		}
	}
}

func FuzzClassify(f *testing.F) {
	plain, _, _ := NewAppPassword(AppPassword{})
	for _, s := range []string{string(plain.Reveal()), "", "pt1_", strings.Repeat("a2", 14), "İİİİİİİİİİİİİİİİİİİİİİİİİİİİ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := Classify(account.SecretString(s))
		if (p.Shape == App) != (len(p.ID) == appIDLength && !p.Verifier.Empty()) {
			t.Errorf("%q: %+v", s, p.Shape)
		}
		LooksLikeOwn(account.SecretString(s), func(string) bool { return false })
	})
}
