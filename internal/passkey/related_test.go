package passkey

import (
	"errors"
	"testing"

	"postern/internal/factor"
)

// A related origin uses the relying party's passkeys as its own pages do; one that is
// not listed does not, whatever it looks like.
func TestW5_RelatedOrigins(t *testing.T) {
	rp := mail
	rp.Related = []string{"https://mail.example.org"}
	for origin, right := range map[string]bool{
		"https://mail.example.test": true, "https://mail.example.org": true,
		"https://example.org": false, "https://mail.example.org:8443": false, "https://x.mail.example.org": false, "http://mail.example.org": false,
	} {
		o := newOwner(t, Settings{Default: rp})
		o.register()
		o.rp.Origin = origin
		if err := o.use(factor.Login); (err == nil) != right || err != nil && !errors.Is(err, factor.ErrWrong) {
			t.Errorf("%s: %v", origin, err)
		}
	}
	for _, related := range []string{"http://mail.example.org", "https://mail.example.org/", "https://mail.example.org/x", "mail.example.org",
		"https://", "https://MAIL.example.org", "https://u@mail.example.org", "https://mail.example.org?", "android:apk-key-hash:x"} {
		rp.Related = []string{related}
		if _, err := New(Settings{Default: rp}, nil); err == nil {
			t.Errorf("%s is accepted", related)
		}
	}
}
