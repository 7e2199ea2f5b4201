package factor

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
)

// rfcSecret is the ASCII secret of RFC 6238 appendix B, repeated to the hash's
// size as its reference code does.
func rfcSecret(n int) []byte { return bytes.Repeat([]byte("1234567890"), 7)[:n] }

func TestT4_RFC6238Vectors(t *testing.T) {
	secrets := map[Algorithm][]byte{SHA1: rfcSecret(20), SHA256: rfcSecret(32), SHA512: rfcSecret(64)}
	for _, v := range []struct {
		unix int64
		a    Algorithm
		code string
	}{
		{59, SHA1, "94287082"}, {59, SHA256, "46119246"}, {59, SHA512, "90693936"},
		{1111111109, SHA1, "07081804"}, {1111111109, SHA256, "68084774"}, {1111111109, SHA512, "25091201"},
		{1111111111, SHA1, "14050471"}, {1111111111, SHA256, "67062674"}, {1111111111, SHA512, "99943326"},
		{1234567890, SHA1, "89005924"}, {1234567890, SHA256, "91819424"}, {1234567890, SHA512, "93441116"},
		{2000000000, SHA1, "69279037"}, {2000000000, SHA256, "90698825"}, {2000000000, SHA512, "38618901"},
		{20000000000, SHA1, "65353130"}, {20000000000, SHA256, "77737706"}, {20000000000, SHA512, "47863826"},
	} {
		a, err := NewTOTP(TOTPOptions{Secret: secrets[v.a], Algorithm: v.a, Digits: 8})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(v.unix, 0)
		if got, err := a.Code(now); got != v.code || err != nil {
			t.Errorf("%s at %d: %s, %v; want %s", v.a, v.unix, got, err, v.code)
		}
		if step, drift, err := a.Verify(v.code, now, 0); step != v.unix/30 || drift != 0 || err != nil {
			t.Errorf("%s at %d: Verify = %d, %s, %v", v.a, v.unix, step, drift, err)
		}
	}
}

func totp(t *testing.T, o TOTPOptions) TOTP {
	t.Helper()
	a, err := NewTOTP(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func codeAt(t *testing.T, a TOTP, at time.Time) string {
	t.Helper()
	code, err := a.Code(at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

var noon = time.Unix(1_790_000_010, 0)

func TestT2_ToleranceAndDrift(t *testing.T) {
	for _, period := range []int{30, 60} {
		a := totp(t, TOTPOptions{Secret: rfcSecret(20), Period: period, Digits: 8})
		for off := -14; off <= 14; off++ {
			drift := time.Duration(off*period) * time.Second
			step, got, err := a.Verify(codeAt(t, a, noon.Add(drift)), noon, 1)
			switch {
			case off >= -1 && off <= 1:
				if err != nil || step != a.step(noon)+int64(off) || got != drift {
					t.Errorf("%+d steps: %d, %s, %v", off, step, got, err)
				}
			case off >= -11 && off <= 11:
				if !errors.Is(err, ErrWrong) || step != 0 || got != drift {
					t.Errorf("%+d steps: %d, %s, %v, want a hint of %s", off, step, got, err, drift)
				}
			default:
				if !errors.Is(err, ErrWrong) || got != 0 {
					t.Errorf("%+d steps: hint %s, %v", off, got, err)
				}
			}
		}
	}
}

func TestTOTPToleranceIsBounded(t *testing.T) {
	a := totp(t, TOTPOptions{Secret: rfcSecret(20), Digits: 8})
	if _, _, err := a.Verify(codeAt(t, a, noon.Add(11*30*time.Second)), noon, 1_000_000); !errors.Is(err, ErrWrong) {
		t.Errorf("a tolerance of a million steps was taken: %v", err)
	}
	if _, _, err := a.Verify(codeAt(t, a, noon), noon, -5); err != nil {
		t.Errorf("negative tolerance: %v", err)
	}
}

func TestAttack04_SpentStep(t *testing.T) {
	a := totp(t, TOTPOptions{Secret: rfcSecret(20)})
	body, err := account.Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	r := account.Record{Kind: account.KindTOTP, ID: "x", Body: body}
	step, _, err := a.Verify(codeAt(t, a, noon), noon, 1)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = SpendTOTP(r, step, noon); err != nil || !r.Used.At.Equal(noon) {
		t.Fatalf("Spend: %v, used %s", err, r.Used.At)
	}
	if _, err := SpendTOTP(r, step, noon); !errors.Is(err, ErrSpent) {
		t.Errorf("the same step again: %v", err)
	}
	if a, err = DecodeTOTP(r.Body); err != nil {
		t.Fatal(err)
	}
	for off, want := range map[int]error{-1: ErrSpent, 0: ErrSpent, 1: nil, -5: ErrWrong} {
		_, drift, err := a.Verify(codeAt(t, a, noon.Add(time.Duration(off)*30*time.Second)), noon, 1)
		if !errors.Is(err, want) {
			t.Errorf("code of step %+d after the step was spent: %v, want %v", off, err, want)
		}
		if off == -5 && drift != 0 {
			t.Errorf("an old code gives the hint %s", drift)
		}
	}
}

func TestAttack30_ClockJumpsBack(t *testing.T) {
	a := totp(t, TOTPOptions{Secret: rfcSecret(20)})
	a.Last = a.step(noon)
	before := noon.Add(-time.Hour)
	if _, _, err := a.Verify(codeAt(t, a, before), before, 1); !errors.Is(err, ErrSpent) {
		t.Errorf("a code from before the last one: %v", err)
	}
}

func TestTOTPCodeAsTyped(t *testing.T) {
	a := totp(t, TOTPOptions{Secret: rfcSecret(20)})
	code := codeAt(t, a, noon)
	for _, typed := range []string{code, code[:3] + " " + code[3:], " " + code + "\n", code[:3] + "-" + code[3:]} {
		if _, _, err := a.Verify(typed, noon, 1); err != nil {
			t.Errorf("%q: %v", typed, err)
		}
	}
	for _, typed := range []string{"", code[:5], code + "0", "12345a", "１２３４５６", strings.Repeat("1", 1<<16), "\x00\xff"} {
		if _, _, err := a.Verify(typed, noon, 1); !errors.Is(err, ErrForm) {
			t.Errorf("%.20q: %v, want ErrForm", typed, err)
		}
	}
}

func TestTOTPOptions(t *testing.T) {
	if a := totp(t, TOTPOptions{}); len(a.Secret) != 20 || a.Algorithm != SHA1 || a.Digits != 6 || a.Period != 30 {
		t.Errorf("default: %d bytes, %s, %d, %d", len(a.Secret), a.Algorithm, a.Digits, a.Period)
	}
	for _, o := range []TOTPOptions{
		{Secret: []byte{}}, {Secret: make([]byte, 9)}, {Secret: make([]byte, 129)},
		{Algorithm: "MD5"}, {Digits: 7}, {Period: 15}, {Period: -30},
	} {
		if _, err := NewTOTP(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestAttack22_MalformedAuthenticator(t *testing.T) {
	good := totp(t, TOTPOptions{Secret: rfcSecret(20)})
	empty := good
	empty.Secret = nil
	digits := good
	digits.Digits = 1
	for _, v := range []any{empty, digits, "text", map[int]int{99: 1}} {
		body, err := account.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeTOTP(body); !errors.Is(err, account.ErrDamaged) {
			t.Errorf("%T: %v, want damaged", v, err)
		}
		if _, err := SpendTOTP(account.Record{Body: body}, 1<<40, noon); !errors.Is(err, account.ErrDamaged) {
			t.Errorf("Spend of %T: %v, want damaged", v, err)
		}
	}
}

func TestT4_ProvisionedSecret(t *testing.T) {
	want, err := ParseTOTPSecret("JBSWY3DPEHPK3PXP")
	if err != nil || len(want) != 10 {
		t.Fatalf("%x, %v", want, err)
	}
	for _, s := range []string{"jbswy3dpehpk3pxp", "JBSW Y3DP EHPK 3PXP\n", "jbsw-y3dp-ehpk-3pxp", "JBSWY3DPEHPK3PXP=="} {
		if got, err := ParseTOTPSecret(s); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: %x, %v", s, got, err)
		}
	}
	for n := 16; n <= 64; n++ {
		b, err := ParseTOTPSecret(strings.Repeat("A", n))
		if bad := n%8 == 1 || n%8 == 3 || n%8 == 6; bad != (err != nil) || err == nil && len(b) != n*5/8 {
			t.Errorf("%d characters: %d bytes, %v", n, len(b), err)
		}
	}
	for _, s := range []string{"", "JBSWY3DPEHPK3PX", "JBSWY3DPEHPK3PX1", "JBSWY3DPEHPK3PX8", "JBSWY3DP=EHPK3PXP", "ÄBSWY3DPEHPK3PXP"} {
		if b, err := ParseTOTPSecret(s); err == nil {
			t.Errorf("%q was accepted: %x", s, b)
		} else if len(s) > 10 && strings.Contains(err.Error(), s[:8]) {
			t.Errorf("the error quotes the secret: %v", err)
		}
	}
}

func TestTOTPURI(t *testing.T) {
	a := totp(t, TOTPOptions{Secret: rfcSecret(20), Algorithm: SHA256, Digits: 8, Period: 60})
	u, err := url.Parse(a.URI("Mail: Example & Söhne", "alice+x@example.test"))
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Mail  Example & Söhne:alice+x@example.test" {
		t.Errorf("%s: path %q", u, u.Path)
	}
	q := u.Query()
	for k, want := range map[string]string{"secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "issuer": "Mail  Example & Söhne",
		"algorithm": "SHA256", "digits": "8", "period": "60"} {
		if q.Get(k) != want {
			t.Errorf("%s is %q, want %q", k, q.Get(k), want)
		}
	}
	if strings.Contains(u.RawQuery, "+") {
		t.Errorf("%s: apps show the plus sign", u.RawQuery)
	}
}

func FuzzTOTPVerify(f *testing.F) {
	a, err := NewTOTP(TOTPOptions{Secret: rfcSecret(20)})
	if err != nil {
		f.Fatal(err)
	}
	code, err := a.Code(noon)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(code, noon.Unix(), 1, int64(0))
	f.Add("000 000", int64(0), 99, int64(-1))
	f.Add("-1", int64(-62135596800), -1, int64(1)<<62)
	f.Fuzz(func(t *testing.T, code string, unix int64, tolerance int, last int64) {
		a := a
		a.Last = last
		step, _, err := a.Verify(code, time.Unix(unix%(1<<40), 0), tolerance)
		if err != nil {
			return
		}
		if want, _ := a.codeAt(step); want != compact(code) || step <= last {
			t.Errorf("Verify took %q at %d, step %d, last %d", code, unix, step, last)
		}
	})
}
