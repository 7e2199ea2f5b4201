package ldapstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/mailtest"
	"postern/internal/seal"
)

// directory is shared by all tests that do not stop or reconfigure it; each test
// makes users of its own.
var directory *mailtest.Slapd

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	var err error
	if directory, err = mailtest.StartSlapd(context.Background(), mailtest.SlapdOptions{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer directory.Stop()
	return m.Run()
}

// layouts run a conformance test with both.
func layouts(t *testing.T, test func(t *testing.T, h *harness)) {
	for _, layout := range []string{LayoutEntry, LayoutSubtree} {
		t.Run(layout, func(t *testing.T) {
			test(t, newHarness(t, directory, func(c *Config) { c.Layout = layout }))
		})
	}
}

// harness is a store on a directory, with its keys.
type harness struct {
	*Store
	slapd *mailtest.Slapd
	ring  *seal.Ring
}

func newHarness(t testing.TB, slapd *mailtest.Slapd, change func(*Config)) *harness {
	t.Helper()
	ring := newRing(t)
	return &harness{openStore(t, slapd, ring, change), slapd, ring}
}

func openStore(t testing.TB, slapd *mailtest.Slapd, ring *seal.Ring, change func(*Config)) *Store {
	t.Helper()
	cfg := config(slapd)
	if change != nil {
		change(&cfg)
	}
	s, err := Open(cfg, ring)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func config(slapd *mailtest.Slapd) Config {
	return Config{
		ReadURIs: []string{slapd.URI()}, BindDN: mailtest.ServiceDN, BindPassword: account.SecretString(mailtest.Password),
		Base: mailtest.Base, UserFilter: "(mail=%u)", PosternBase: mailtest.PosternBase, Timeout: 5 * time.Second,
	}
}

func newRing(t testing.TB) *seal.Ring {
	t.Helper()
	files := map[string][]byte{}
	for _, role := range []string{account.RoleDoor, account.RoleFactor} {
		f, _, err := seal.NewFile(role)
		if err != nil {
			t.Fatal(err)
		}
		files[role] = f
	}
	r, err := seal.NewRing(files)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var userNumber atomic.Int64

// user makes a fresh entry and returns its address.
func (h *harness) user(t testing.TB, attrs map[string][]string) string {
	t.Helper()
	mail := fmt.Sprintf("t%d@example.test", userNumber.Add(1))
	if err := h.slapd.AddUser(mail, "secret of "+mail, attrs); err != nil {
		t.Fatal(err)
	}
	return mail
}

func (h *harness) find(t testing.TB, name string) *account.Account {
	t.Helper()
	a, err := h.Find(context.Background(), name)
	if err != nil {
		t.Fatalf("find %q: %v", name, err)
	}
	return a
}

// apply makes edits that must succeed.
func (h *harness) apply(t testing.TB, a *account.Account, edits ...account.Edit) {
	t.Helper()
	if err := h.Apply(context.Background(), a, edits...); err != nil {
		t.Fatal(err)
	}
}

// record is a fresh record of a kind.
func record(k account.Kind, body string) *account.Record {
	return &account.Record{Kind: k, ID: account.NewID(), Name: "phone", Created: time.Now(), Body: []byte(body)}
}

func stateOf(t testing.TB, s account.State) *account.Record {
	t.Helper()
	body, err := account.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	return &account.Record{Kind: account.KindState, Created: time.Now(), Body: body}
}

func wantErr(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v, want %v", got, want)
	}
}

func sound(t testing.TB, a *account.Account) {
	t.Helper()
	if err := a.Damage(); err != nil {
		t.Errorf("%s: %v", a.Name, err)
	}
}
