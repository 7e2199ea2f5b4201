package main

import (
	"os"
	"strings"
	"testing"
)

// TestSetup389Rules: setup writes the access rules of the guide, which contrib/389ds
// tries against a server.
func TestSetup389Rules(t *testing.T) {
	guide, err := os.ReadFile("../docs/guides/389-ds.md")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{}
	s.Base, s.PosternBase, s.BindDN = "dc=example,dc=test", "ou=postern,dc=example,dc=test", "cn=postern,ou=services,dc=example,dc=test"
	if !strings.Contains(string(guide), "```ldif\n"+s.aci()+"```\n") {
		t.Errorf("the guide has other rules than\n%s", s.aci())
	}
}
