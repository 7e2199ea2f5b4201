package e2e

import (
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// TestAttack10_SameAnswer: an unknown name, a wrong password, a right one that is
// not enough, and a disabled account look alike on every service.
func TestAttack10_SameAnswer(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		known, enrolled, closed := w.user("main password"), w.twoFactor(w.user("main password")), w.user("main password")
		w.disable(closed)
		for _, s := range mailclient.Services {
			t.Run(string(s), func(t *testing.T) {
				t.Parallel()
				w := inhabit(t, w.Site)
				unknown := w.login(s, mailclient.MechPlain, "nobody@example.test", "main password").Text
				for user, password := range map[string]string{known: "wrong", enrolled: "main password", closed: "main password"} {
					if got := w.login(s, mailclient.MechPlain, user, password).Text; got != unknown {
						t.Errorf("%q, for an unknown name %q", got, unknown)
					}
				}
			})
		}
	})
}

// costly is a password hash which takes the directory tens of milliseconds.
func costly(password string) string {
	salt := []byte("0123456789abcdef")
	sum := argon2.IDKey([]byte(password), salt, 2, 19<<10, 1, 32)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("{ARGON2}$argon2id$v=19$m=%d,t=2,p=1$%s$%s", 19<<10, b64(salt), b64(sum))
}

// TestAttack10_SameTime: with passwords that are slow to check, the time until a
// refusal does not tell whether there was anything to check. No other test runs
// beside it.
func TestAttack10_SameTime(t *testing.T) {
	const grain = 250 * time.Millisecond
	w := fresh(t, mailtest.Options{Settings: mailtest.Settings{"login": {"denial_time": grain.String()}}})
	hash := costly("main password")
	cases := map[string]string{"unknown": "nobody@example.test", "wrong": w.user(hash), "disabled": w.user(hash), "enrolled": w.user(hash)}
	w.disable(cases["disabled"])
	w.twoFactor(cases["enrolled"])
	took := map[string][]time.Duration{}
	for range 7 {
		for name, user := range cases {
			password := "wrong"
			if name == "enrolled" {
				password = "main password"
			}
			v := w.ask(user, password)
			if v.line != "denied\n" {
				t.Fatalf("%s: %q", name, v.line)
			}
			took[name] = append(took[name], v.took)
		}
	}
	for name, all := range took {
		slices.Sort(all)
		// Without the grain an unknown name takes a few milliseconds.
		if median := all[len(all)/2]; median < grain || median > grain+grain/4 {
			t.Errorf("%s: median %v, want %v as for all", name, median, grain)
		}
	}
}
