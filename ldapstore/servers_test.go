package ldapstore

import (
	"context"
	"slices"
	"strings"
	"testing"

	"postern/internal/account"
)

// TestAt reads the account that has a key, from the server that was asked for.
func TestAt(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail, a := h.enrolled(t)
		servers := h.ReadServers()
		if !slices.Equal(servers, []string{h.slapd.URI()}) {
			t.Fatalf("servers %v", servers)
		}
		b, err := h.At(context.Background(), servers[0], a.ID)
		if err != nil || b.Name != mail || b.State.Epoch != a.State.Epoch || len(b.State.Members) != len(a.State.Members) {
			t.Errorf("%+v, %v", b, err)
		}
		_, err = h.At(context.Background(), servers[0], "no such key")
		wantErr(t, err, account.ErrUnknown)
		_, err = h.At(context.Background(), "ldap://127.0.0.1:1", a.ID)
		wantErr(t, err, account.ErrUnavailable)
	})
}

// TestNames follows the user filter.
func TestNames(t *testing.T) {
	for filter, want := range map[string]string{
		"(mail=%u)":                      "MAIL alias@other.test",
		"(|(mail=%u)(cn=%u))":            "MAIL alias@other.test Some Body",
		"(&(uid=%n)(mail=*@%d))":         "MAIL alias@other.test UID UID@example.test UID@other.test",
		"(|(mail=%u)( employeeType=%n))": "MAIL alias@other.test boss boss@example.test boss@other.test",
	} {
		h := newHarness(t, directory, func(c *Config) { c.UserFilter = filter })
		mail := h.user(t, map[string][]string{"cn": {"Some Body"}, "employeeType": {"boss"}})
		if err := h.slapd.SetAttr(mail, "mail", mail, "alias@other.test"); err != nil {
			t.Fatal(err)
		}
		dump, err := h.slapd.Dump(mail)
		if err != nil {
			t.Fatal(err)
		}
		names, err := h.Names(context.Background(), account.ID(dump["entryUUID"][0]))
		uid, _, _ := strings.Cut(mail, "@")
		wanted := strings.Fields(strings.NewReplacer("MAIL", mail, "UID", uid, "Some Body", "Some_Body").Replace(want))
		for i := range names {
			names[i] = strings.ReplaceAll(names[i], " ", "_")
		}
		slices.Sort(names)
		slices.Sort(wanted)
		wanted = slices.Compact(wanted)
		if err != nil || !slices.Equal(slices.Compact(names), wanted) {
			t.Errorf("%s: %q, want %q (%v)", filter, names, wanted, err)
		}
	}
	if names, err := newHarness(t, directory, nil).Names(context.Background(), "nobody"); len(names) != 0 || err != nil {
		t.Errorf("nobody: %v %v", names, err)
	}
}
