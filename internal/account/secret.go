package account

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[secret]"

// Secret is a password, key or code that redacts itself wherever it might be
// printed: fmt, JSON and slog all show a placeholder. The value leaves through
// Reveal only, so that a reader can find every place that touches it.
type Secret struct{ b []byte }

// NewSecret copies b into a Secret.
func NewSecret(b []byte) Secret { return Secret{b: append([]byte(nil), b...)} }

// SecretString makes a Secret of a string.
func SecretString(s string) Secret { return Secret{b: []byte(s)} }

// Reveal returns the secret itself; the caller must not keep, change or print it.
func (s Secret) Reveal() []byte { return s.b }

// Empty reports whether there is nothing in it. An empty password would be an
// anonymous bind (RFC 4513 section 5.1.2) and is refused everywhere.
func (s Secret) Empty() bool { return len(s.b) == 0 }

// Equal compares in constant time.
func (s Secret) Equal(t Secret) bool { return subtle.ConstantTimeCompare(s.b, t.b) == 1 }

// Format implements fmt.Formatter without the secret, whatever the verb: %d would
// print the bytes otherwise.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements fmt.Stringer without the secret.
func (s Secret) String() string { return redacted }

// MarshalJSON implements json.Marshaler without the secret.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText implements encoding.TextMarshaler without the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer without the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
