package mailtest

import (
	"context"
	"testing"
)

// NewSlapd is StartSlapd for a test, which it fails if slapd does not start.
func NewSlapd(t testing.TB, o SlapdOptions) *Slapd {
	t.Helper()
	s, err := StartSlapd(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}
