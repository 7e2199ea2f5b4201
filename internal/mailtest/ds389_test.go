package mailtest

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// TestDS389 loads contrib's schema into a 389 Directory Server, keeps records in
// a user's entry and in the subtree, and races swaps of one value: one client
// wins each round, the others hear that the value is gone.
func TestDS389(t *testing.T) {
	began := time.Now()
	d := New389(t)
	t.Logf("ready after %v", time.Since(began))
	c, err := d.Root()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	alice := UserDN("alice@example.test")
	req := ldap.NewModifyRequest(alice, nil)
	req.Add("objectClass", []string{"posternAccount"})
	for _, attr := range []string{
		"posternState", "posternTotp", "posternPasskey", "posternBackupCodes", "posternPluginFactor",
		"posternAppPassword", "posternTrustedDevice", "posternPolicy", "posternClass", "posternSession",
	} {
		req.Add(attr, []string{"0"})
	}
	if err := c.Modify(req); err != nil {
		t.Fatal(err)
	}
	second := ldap.NewModifyRequest(alice, nil)
	second.Add("posternState", []string{"1"})
	if err := c.Modify(second); err == nil {
		t.Error("a second posternState was taken")
	}
	for _, entry := range []*ldap.AddRequest{holderEntry(), siteEntry()} {
		if err := c.Add(entry); err != nil {
			t.Errorf("%s: %v", entry.DN, err)
		}
	}
	for round := range 30 {
		if winners := swapRace(t, d, alice, strconv.Itoa(round), strconv.Itoa(round+1)); winners != 1 {
			t.Fatalf("round %d: %d winners", round, winners)
		}
	}
	if got := readAttr(t, c, alice, "posternState"); !slices.Equal(got, []string{"30"}) {
		t.Errorf("state is %q", got)
	}
}

// holderEntry is a record holder of the subtree layout.
func holderEntry() *ldap.AddRequest {
	req := ldap.NewAddRequest("posternHolderOf=k1,"+PosternBase, nil)
	req.Attribute("objectClass", []string{"posternHolder"})
	req.Attribute("posternHolderOf", []string{"k1"})
	req.Attribute("posternState", []string{"\x00\xff"})
	return req
}

// siteEntry is what Postern keeps once.
func siteEntry() *ldap.AddRequest {
	req := ldap.NewAddRequest("cn=site,"+PosternBase, nil)
	req.Attribute("objectClass", []string{"posternSite"})
	req.Attribute("cn", []string{"site"})
	req.Attribute("posternKeyCheck", []string{"a", "b"})
	return req
}

// swapRace lets eight clients replace the same value, and counts who succeeds.
func swapRace(t *testing.T, d *DS389, dn, was, now string) int32 {
	t.Helper()
	var winners atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			c, err := d.Root()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			req := ldap.NewModifyRequest(dn, nil)
			req.Delete("posternState", []string{was})
			req.Add("posternState", []string{now})
			switch err := c.Modify(req); {
			case err == nil:
				winners.Add(1)
			case !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchAttribute):
				t.Errorf("a loser got %v", err)
			}
		})
	}
	group.Wait()
	return winners.Load()
}
