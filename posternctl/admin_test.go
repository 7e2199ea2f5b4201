package main

import (
	"github.com/rogpeppe/go-internal/testscript"

	"postern/internal/mailtest"
)

// administrators DN MAIL: a group of site administrators with one member, which $C names.
func administrators(ts *testscript.TestScript, _ bool, args []string) {
	s := siteOf(ts)
	ts.Check(s.Slapd.Add(args[0], map[string][]string{"objectClass": {"groupOfNames"}, "member": {mailtest.UserDN(args[1])}}))
	ts.Check(s.Write(s.Slapd, mailtest.Settings{"admin": {"site_group": args[0]}}))
}
