package factor

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"postern/internal/account"
)

// Errors of a second factor's check.
var (
	// ErrForm: what was typed cannot be a code; FormError says why.
	ErrForm = errors.New("not a code")
	// ErrWrong: the code is not right now.
	ErrWrong = errors.New("wrong code")
	// ErrSpent: the code was right, and was used before (RFC 6238 section 5.2).
	ErrSpent = errors.New("code was used before")
)

// Algorithm is the hash of an authenticator (RFC 6238 section 1.2).
type Algorithm string

// The algorithms of RFC 6238. Most telephone apps know SHA-1 only.
const (
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

const (
	newSecretSize = 20 // RFC 4226 section 4, R6: 160 bits recommended
	minSecretSize = 10 // 16 characters of base32: hardware tokens of old
	maxSecretSize = 128
	maxTolerance  = 10
	// farSteps is how far from now a wrong code is still recognised, for the hint
	// that a clock is off. It is small because the hint for a fast clock tells a
	// guesser of a code that will be right soon.
	farSteps = 10
)

// TOTP is the body of an authenticator's record.
type TOTP struct {
	Secret    []byte    `cbor:"1,keyasint"`
	Algorithm Algorithm `cbor:"2,keyasint"`
	Digits    int       `cbor:"3,keyasint"`
	Period    int       `cbor:"4,keyasint"`           // seconds
	Last      int64     `cbor:"5,keyasint,omitempty"` // last accepted step: it and all before are spent
}

// TOTPOptions describe a new authenticator; the zero value is what every app
// understands: a random secret, SHA-1, 6 digits, 30 seconds.
type TOTPOptions struct {
	// Secret is an existing one, of a hardware token; only administrators give it,
	// because it may be as short as 10 bytes.
	Secret    []byte
	Algorithm Algorithm
	Digits    int
	Period    int
}

// NewTOTP makes an authenticator. Errors name the option that is out of range.
func NewTOTP(o TOTPOptions) (TOTP, error) {
	t := TOTP{Secret: o.Secret, Algorithm: o.Algorithm, Digits: o.Digits, Period: o.Period}
	if t.Secret == nil {
		t.Secret = make([]byte, newSecretSize)
		rand.Read(t.Secret) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
	}
	if t.Algorithm == "" {
		t.Algorithm = SHA1
	}
	if t.Digits == 0 {
		t.Digits = 6
	}
	if t.Period == 0 {
		t.Period = 30
	}
	return t, t.validate()
}

// DecodeTOTP reads the body of an authenticator's record. What NewTOTP would not
// have made is damage: an empty secret would accept a code that anybody can compute.
func DecodeTOTP(body []byte) (TOTP, error) {
	var t TOTP
	if err := account.Decode(body, &t); err != nil {
		return TOTP{}, err
	}
	if err := t.validate(); err != nil {
		return TOTP{}, fmt.Errorf("%w: %w", err, account.ErrDamaged)
	}
	return t, nil
}

func (t *TOTP) validate() error {
	if n := len(t.Secret); n < minSecretSize || n > maxSecretSize {
		return fmt.Errorf("an authenticator's secret must have %d to %d bytes, not %d", minSecretSize, maxSecretSize, n)
	}
	if _, ok := algorithms[t.Algorithm]; !ok {
		return fmt.Errorf("the algorithm must be SHA1, SHA256 or SHA512, not %q", string(t.Algorithm))
	}
	if t.Digits != 6 && t.Digits != 8 {
		return fmt.Errorf("a code must have 6 or 8 digits, not %d", t.Digits)
	}
	if t.Period != 30 && t.Period != 60 {
		return fmt.Errorf("the period must be 30 or 60 seconds, not %d", t.Period)
	}
	return nil
}

var algorithms = map[Algorithm]otp.Algorithm{
	SHA1: otp.AlgorithmSHA1, SHA256: otp.AlgorithmSHA256, SHA512: otp.AlgorithmSHA512,
}

// ParseAlgorithm reads an algorithm as people write it: sha1, SHA-256.
func ParseAlgorithm(s string) (Algorithm, error) {
	a := Algorithm(strings.ReplaceAll(strings.ToUpper(s), "-", ""))
	if _, ok := algorithms[a]; !ok {
		return "", fmt.Errorf("the algorithm must be SHA1, SHA256 or SHA512, not %q", s)
	}
	return a, nil
}

var secretText = base32.StdEncoding.WithPadding(base32.NoPadding)

// ParseTOTPSecret reads a secret in base32 (RFC 4648 section 6): 16 characters or more;
// blanks, dashes, lower case and missing padding are accepted. The error never
// quotes the secret.
func ParseTOTPSecret(text string) ([]byte, error) {
	chars := strings.ToUpper(strings.TrimRight(compact(text), "="))
	if len(chars) < 16 {
		return nil, fmt.Errorf("the secret must have 16 or more characters of base32, not %d", len(chars))
	}
	if strings.Trim(chars, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return nil, errors.New("the secret must be base32: the letters A to Z and the digits 2 to 7")
	}
	// 1, 3 or 6 characters over a group of eight end no byte: one got lost or was doubled.
	if n := len(chars) % 8; n == 1 || n == 3 || n == 6 {
		return nil, fmt.Errorf("no base32 secret has %d characters: one is missing or too many", len(chars))
	}
	return secretText.DecodeString(chars)
}

// SecretText is the secret in base32, as apps let it be typed.
func (t *TOTP) SecretText() string { return secretText.EncodeToString(t.Secret) }

// Code is the code of the step that now is in, for administrators and tests.
func (t *TOTP) Code(now time.Time) (string, error) { return t.codeAt(t.step(now)) }

// step is T of RFC 6238 section 4.2 with T0 = 0.
func (t *TOTP) step(now time.Time) int64 { return now.Unix() / int64(t.Period) }

func (t *TOTP) codeAt(step int64) (string, error) {
	if step < 0 {
		return "", errors.New("the clock is before 1970")
	}
	return hotp.GenerateCodeCustom(t.SecretText(), uint64(step), hotp.ValidateOpts{
		Digits: otp.Digits(t.Digits), Algorithm: algorithms[t.Algorithm],
	})
}

// Verify checks a code against the steps around now, tolerance to either side.
// It changes nothing: the caller spends the step it returns, and lets nobody in
// before that has been stored.
//
// Errors: ErrForm; ErrSpent when the code fits a step that is not after Last;
// ErrWrong. With ErrWrong, drift other than zero says that the code fits a step
// farther off: the device's clock is about that far ahead (or behind, if negative).
func (t *TOTP) Verify(code string, now time.Time, tolerance int) (step int64, drift time.Duration, err error) {
	code = compact(code)
	if err := numberForm(code, []int{t.Digits}); err != nil {
		return 0, 0, err
	}
	reach := int64(min(max(tolerance, 0), maxTolerance))
	current := t.step(now)
	fitting, err := t.fitting(code, current-reach-farSteps, current+reach+farSteps)
	if err != nil {
		return 0, 0, err
	}
	return t.verdict(fitting, current, reach)
}

// fitting returns the steps whose code this is. It always computes all of them,
// so that the time taken says nothing.
func (t *TOTP) fitting(code string, from, to int64) ([]int64, error) {
	var steps []int64
	for s := max(from, 0); s <= to; s++ {
		want, err := t.codeAt(s)
		if err != nil {
			return nil, err
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			steps = append(steps, s)
		}
	}
	return steps, nil
}

// verdict chooses among the fitting steps: a fresh one near now wins over a spent
// one, and that over a hint.
func (t *TOTP) verdict(fitting []int64, current, reach int64) (step int64, drift time.Duration, err error) {
	err = ErrWrong
	for _, s := range fitting {
		off := s - current
		near := off >= -reach && off <= reach
		switch {
		case s <= t.Last && near:
			err = ErrSpent
		case s <= t.Last: // an old code, used or not: no hint
		case near:
			return s, t.drift(off), nil
		case drift == 0 || t.drift(off).Abs() < drift.Abs():
			drift = t.drift(off)
		}
	}
	if errors.Is(err, ErrSpent) {
		drift = 0
	}
	return 0, drift, err
}

func (t *TOTP) drift(steps int64) time.Duration {
	return time.Duration(steps) * time.Duration(t.Period) * time.Second
}

// SpendTOTP returns the authenticator's record with the step, which Verify found,
// marked as used at now; the caller swaps it for the stored one. Errors: ErrSpent
// when somebody was faster, ErrDamaged.
func SpendTOTP(r account.Record, step int64, now time.Time) (account.Record, error) {
	t, err := DecodeTOTP(r.Body)
	if err != nil {
		return r, err
	}
	if step <= t.Last {
		return r, ErrSpent
	}
	t.Last = step
	r.Used.At = now
	r.Body, err = account.Encode(t)
	return r, err
}

// URI is what an authenticator app scans (the Key URI Format). A colon would end
// the issuer early and put the rest into the account's name, so it is replaced.
func (t *TOTP) URI(issuer, name string) string {
	noColon := strings.NewReplacer(":", " ")
	issuer, name = noColon.Replace(issuer), noColon.Replace(name)
	q := url.Values{}
	q.Set("secret", t.SecretText())
	q.Set("issuer", issuer)
	q.Set("algorithm", string(t.Algorithm))
	q.Set("digits", strconv.Itoa(t.Digits))
	q.Set("period", strconv.Itoa(t.Period))
	// Several apps show a plus sign where form encoding means a blank.
	query := strings.ReplaceAll(q.Encode(), "+", "%20")
	return "otpauth://totp/" + url.PathEscape(issuer) + ":" + url.PathEscape(name) + "?" + query
}

// Format implements fmt.Formatter without the secret.
func (t TOTP) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "{%s %d digits %d s}", t.Algorithm, t.Digits, t.Period) //nolint:errcheck // as fmt itself
}

// MarshalJSON implements json.Marshaler without the secret.
func (t TOTP) MarshalJSON() ([]byte, error) { return account.Secret{}.MarshalJSON() }

// LogValue implements slog.LogValuer without the secret.
func (t TOTP) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(t)) }
