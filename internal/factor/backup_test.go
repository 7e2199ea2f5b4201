package factor

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/account"
)

// fresh makes codes once for all tests: it costs ten slow hashes.
var fresh = sync.OnceValues(func() (NewBackup, error) { return NewBackupFactor(1).NewCodes(context.Background()) })

func newBackup(t testing.TB) NewBackup {
	t.Helper()
	n, err := fresh()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func shown(s account.Secret) string { return string(s.Reveal()) }

func checkBackup(t testing.TB, a *account.Account, code string) (Response, error) {
	t.Helper()
	return NewBackupFactor(1).Check(t.Context(), ask(t, Login, a, code))
}

func TestB1_TenCodes(t *testing.T) {
	n := newBackup(t)
	b, err := DecodeBackupCodes(n.Body)
	if err != nil || len(n.Codes) != 10 || len(b.Left) != 10 || len(b.Used) != 0 {
		t.Fatalf("%d codes, %d stored, %v", len(n.Codes), len(b.Left), err)
	}
	if b.Memory < 19<<10 || b.Passes < 2 {
		t.Errorf("Argon2id with %d KiB, %d passes", b.Memory, b.Passes)
	}
	seen := make(map[string]bool)
	for _, c := range n.Codes {
		s := shown(c)
		if len(s) != 17 || s[5] != '-' || s[11] != '-' || seen[s] {
			t.Errorf("%q", s)
		}
		seen[s] = true
		if bytes.Contains(n.Body, []byte(strings.ReplaceAll(s, "-", ""))) {
			t.Error("a code is stored as it is")
		}
	}
}

// A backup code has no other credential's shape: nothing is ever tried as another.
func TestBackupCodeIsNothingElse(t *testing.T) {
	for range 2000 {
		plain, bare := newReadable(backupLength)
		token, _ := newReadable(enrolTokenLength)
		for _, s := range []string{shown(plain), bare, strings.ToUpper(shown(plain)), shown(plain) + ".", shown(token), strings.ToUpper(shown(token))} {
			if got := Classify(account.SecretString(s)).Shape; got != Main {
				t.Fatalf("%q has shape %d", s, got)
			}
			if err := numberForm(compact(s), []int{6, 8}); !errors.Is(err, ErrForm) {
				t.Fatalf("%q could be an authenticator's code", s)
			}
		}
	}
}

func TestB1_BackupCodeAsTyped(t *testing.T) {
	n := newBackup(t)
	a := accountWith(t, n.Record(noon))
	s := shown(n.Codes[3])
	misread := strings.NewReplacer("0", "O", "1", "l").Replace(s)
	for _, typed := range []string{s, strings.ToUpper(s), strings.ReplaceAll(s, "-", ""), strings.ReplaceAll(s, "-", " "),
		" " + strings.ReplaceAll(s, "-", "\u2013") + "\n", misread, strings.ToUpper(misread)} {
		got, err := checkBackup(t, a, typed)
		if err != nil || got.Proof.Kind != account.KindBackup || got.Proof.ID != BackupID || len(got.Proof.Mark) != argonSize {
			t.Errorf("%q: %+v, %v", typed, got.Proof, err)
		}
	}
	if got := fold("OIL-oil 0-1"); got != "01101101" {
		t.Errorf("what looks like 0 and 1 is read as %q", got)
	}
	for typed, want := range map[string]FormProblem{
		"": FormEmpty, "- ": FormEmpty, s[:16]: FormShort, s + "a": FormLong, "123456": FormShort, "12345678": FormShort,
		s[:16] + "u": FormCharacters, s[:16] + "\x00": FormCharacters, strings.Repeat("a", 1<<20): FormLong,
	} {
		_, err := checkBackup(t, a, typed)
		var form *FormError
		if !errors.As(err, &form) || form.Problem != want || !form.Backup {
			t.Errorf("%.20q: %v, want %s", typed, err, want)
		}
	}
	if _, err := checkBackup(t, a, s[:16]); err == nil || err.Error() != "not a code: a backup code has 15 letters and numbers, not 14: it is too short" {
		t.Errorf("%v", err)
	}
	_, bare := newReadable(backupLength)
	if _, err := checkBackup(t, a, bare); !errors.Is(err, ErrWrong) {
		t.Errorf("a code of nobody: %v", err)
	}
}

func TestAttack05_SpentBackupCode(t *testing.T) {
	n := newBackup(t)
	f := NewBackupFactor(1)
	r := n.Record(noon.Add(-time.Hour))
	for i, c := range n.Codes {
		a := accountWith(t, r)
		got, err := checkBackup(t, a, shown(c))
		if err != nil {
			t.Fatalf("code %d: %v", i, err)
		}
		before := r
		if r, err = f.Spend(r, got.Proof, noon); err != nil || !r.Used.At.Equal(noon) {
			t.Fatalf("spend %d: %v", i, err)
		}
		if _, err := f.Spend(r, got.Proof, noon); !errors.Is(err, ErrSpent) {
			t.Errorf("spend %d again: %v", i, err)
		}
		if _, err := checkBackup(t, accountWith(t, r), shown(c)); !errors.Is(err, ErrSpent) {
			t.Errorf("code %d again: %v", i, err)
		}
		if again, err := f.Spend(before, got.Proof, noon); err != nil || !bytes.Equal(again.Body, r.Body) {
			t.Errorf("spend is not pure: %v", err)
		}
		if count, err := CountBackup(accountWith(t, r)); err != nil || count != (BackupCount{9 - i, i + 1}) {
			t.Errorf("after %d: %+v, %v", i+1, count, err)
		}
	}
	all := accountWith(t, r)
	if _, err := f.Begin(t.Context(), ask(t, Login, all, "")); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("all used, and still offered: %v", err)
	}
	_, bare := newReadable(backupLength)
	if _, err := checkBackup(t, all, bare); !errors.Is(err, ErrWrong) {
		t.Errorf("a guess when all are used: %v", err)
	}
}

// A code of codes that were replaced while it was on its way does not work.
func TestAttack05_CodeOfReplacedCodes(t *testing.T) {
	old := newBackup(t)
	f := NewBackupFactor(1)
	got, err := checkBackup(t, accountWith(t, old.Record(noon)), shown(old.Codes[0]))
	if err != nil {
		t.Fatal(err)
	}
	next := BackupCodes{Salt: make([]byte, argonSize), Left: [][]byte{make([]byte, argonSize)}, Memory: argonMemory, Passes: argonPasses}
	r := account.Record{Kind: account.KindBackup, ID: BackupID, Body: encoded(t, next)}
	if _, err := f.Spend(r, got.Proof, noon); !errors.Is(err, ErrSpent) {
		t.Errorf("spend: %v", err)
	}
	if _, err := checkBackup(t, accountWith(t, r), shown(old.Codes[0])); !errors.Is(err, ErrWrong) {
		t.Errorf("check: %v", err)
	}
	for name, p := range map[string]Proof{"no mark": {Kind: account.KindBackup, ID: BackupID}, "another kind": {Kind: account.KindTOTP, ID: BackupID, Mark: got.Proof.Mark}} {
		if _, err := f.Spend(old.Record(noon), p, noon); err == nil || errors.Is(err, ErrSpent) {
			t.Errorf("a proof with %s: %v", name, err)
		}
	}
}

// Only so many hashes at once, and nobody waits for ever.
func TestAttack41_BackupHashesAreBounded(t *testing.T) {
	n := newBackup(t)
	a := accountWith(t, n.Record(noon))
	right, typo := ask(t, Login, a, shown(n.Codes[0])), ask(t, Login, a, "typing error")
	synctest.Test(t, func(t *testing.T) {
		f := NewBackupFactor(1)
		f.slots <- struct{}{} // somebody is at it
		ctx, cancel := context.WithCancel(t.Context())
		var err error
		done := false
		go func() {
			_, err = f.Check(ctx, right)
			done = true
		}()
		synctest.Wait()
		if done {
			t.Fatalf("two hashes at once: %v", err)
		}
		if _, err := f.Check(ctx, typo); !errors.Is(err, ErrForm) {
			t.Errorf("the form waits for a hash: %v", err)
		}
		cancel()
		synctest.Wait()
		if !done || !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrWrong) {
			t.Fatalf("nobody could check it: %v", err)
		}
		if _, err := f.NewCodes(ctx); !errors.Is(err, ErrUnavailable) {
			t.Errorf("new codes: %v", err)
		}
		<-f.slots
		if _, err := f.Check(t.Context(), right); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestAttack22_MalformedBackupCodes(t *testing.T) {
	good, err := DecodeBackupCodes(newBackup(t).Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*BackupCodes){
		"no salt":      func(b *BackupCodes) { b.Salt = nil },
		"empty hash":   func(b *BackupCodes) { b.Left = [][]byte{{}} },
		"short used":   func(b *BackupCodes) { b.Used = [][]byte{{1}} },
		"no memory":    func(b *BackupCodes) { b.Memory = 0 },
		"all memory":   func(b *BackupCodes) { b.Memory = maxArgonMemory + 1 },
		"no pass":      func(b *BackupCodes) { b.Passes = 0 },
		"many passes":  func(b *BackupCodes) { b.Passes = 1 << 20 },
		"endless list": func(b *BackupCodes) { b.Used = make([][]byte, 100) },
	} {
		bad := good
		spoil(&bad)
		a := accountWith(t, account.Record{Kind: account.KindBackup, ID: BackupID, Body: encoded(t, bad)})
		if _, err := checkBackup(t, a, shown(newBackup(t).Codes[0])); !errors.Is(err, account.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := CountBackup(a); !errors.Is(err, account.ErrDamaged) {
			t.Errorf("count, %s: %v", name, err)
		}
	}
	if _, err := checkBackup(t, accountWith(t), "abcde"); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("none: %v", err)
	}
	if _, err := checkBackup(t, accountWith(t, account.Record{Kind: account.KindBackup, ID: BackupID, Stored: spoiled}), "abcde"); !errors.Is(err, account.ErrDamaged) {
		t.Errorf("unreadable: %v", err)
	}
}

// What was stored once can be read for ever: bodies as earlier versions wrote them.
func TestGoldenBodies(t *testing.T) {
	salt, used, left := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16), bytes.Repeat([]byte{3}, 16)
	authenticator := TOTP{Secret: []byte("0123456789"), Algorithm: SHA256, Digits: 8, Period: 60, Last: 7}
	for name, c := range map[string]struct {
		golden string
		value  any
		decode func([]byte) (any, error)
	}{
		"backup codes": {"a5015001010101010101010101010101010101028150030303030303030303030303030303030381500202020202020202020202020202020204194c000502",
			BackupCodes{Salt: salt, Left: [][]byte{left}, Used: [][]byte{used}, Memory: 19456, Passes: 2},
			func(b []byte) (any, error) { return DecodeBackupCodes(b) }},
		"authenticator": {"a5014a303132333435363738390266534841323536030804183c0507", authenticator,
			func(b []byte) (any, error) { return DecodeTOTP(b) }},
		"enrolment": {"a201617802a5014a303132333435363738390266534841323536030804183c0507", TOTPEnrolment{ID: "x", TOTP: authenticator},
			func(b []byte) (any, error) { return DecodeTOTPEnrolment(b) }},
	} {
		want, err := hex.DecodeString(c.golden)
		if err != nil {
			t.Fatal(err)
		}
		if got := encoded(t, c.value); !bytes.Equal(got, want) {
			t.Errorf("%s is written as %x", name, got)
		}
		if got, err := c.decode(want); err != nil || !reflect.DeepEqual(got, c.value) {
			t.Errorf("%s is read as %+v, %v", name, got, err)
		}
	}
	// A code that was made earlier works: the hash, and how what is typed is folded.
	b := BackupCodes{Salt: salt, Memory: argonMemory, Passes: argonPasses}
	if got := hex.EncodeToString(b.hash(fold("ABCDE-fghjk-MN0O1"))); got != "4827bdb0a873465d27a3c994b6278b7e" {
		t.Errorf("hash %s", got)
	}
}

func TestEnrolToken(t *testing.T) {
	token, hash := NewEnrolToken()
	s := account.State{EnrolHash: hash, EnrolUntil: noon.Add(time.Hour)}
	for _, typed := range []string{shown(token), strings.ToUpper(shown(token)), strings.ReplaceAll(shown(token), "-", " ")} {
		if err := CheckEnrolToken(&s, account.SecretString(typed), noon); err != nil {
			t.Errorf("%q: %v", typed, err)
		}
	}
	if len(strings.ReplaceAll(shown(token), "-", ""))*5 < 80 {
		t.Errorf("%q has less than 80 bits", shown(token))
	}
	other, _ := NewEnrolToken()
	for name, err := range map[string]error{
		"another":    CheckEnrolToken(&s, other, noon),
		"empty":      CheckEnrolToken(&s, account.Secret{}, noon),
		"none made":  CheckEnrolToken(&account.State{EnrolUntil: s.EnrolUntil}, token, noon),
		"empty both": CheckEnrolToken(&account.State{EnrolUntil: s.EnrolUntil}, account.Secret{}, noon),
		"expired":    CheckEnrolToken(&s, token, noon.Add(time.Hour)),
	} {
		if !errors.Is(err, ErrEnrolToken) || strings.Contains(err.Error(), "expired") != (name == "expired") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzBackupFold(f *testing.F) {
	plain, _ := newReadable(backupLength)
	for _, s := range []string{shown(plain), "", "İ-O-l", strings.Repeat("-", 300), "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code := fold(s)
		if form(code, readable, FormError{Lengths: []int{backupLength}, Backup: true}) == nil && fold(code) != code {
			t.Errorf("%q is folded to %q, which is folded on", s, code)
		}
	})
}
