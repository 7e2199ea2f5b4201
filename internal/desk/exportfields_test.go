package desk

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"postern/internal/account"
	"postern/internal/policy"
)

// Every field of what is kept sealed is exported, or withheld on purpose: a new one fails
// here until somebody has said which.
func TestA20_ExportKnowsEveryField(t *testing.T) {
	for _, k := range account.Kinds[1:] {
		body, _ := bodyOf(&account.Record{Kind: k}) // of its type, if without contents
		if body == nil || exportNames[reflect.TypeOf(body)] == nil {
			t.Errorf("%v has no names of fields", k)
		}
	}
	for typ, names := range exportNames {
		seen := map[string]string{}
		for i := range typ.NumField() {
			f := typ.Field(i)
			as, known := names[f.Name]
			if !known {
				t.Errorf("%v.%s is neither exported nor withheld", typ, f.Name)
			}
			if other := seen[as]; other != "" && as != withheld {
				t.Errorf("%v: %s and %s are both called %s", typ, f.Name, other, as)
			}
			seen[as] = f.Name
		}
		for name := range names {
			if _, ok := typ.FieldByName(name); !ok {
				t.Errorf("%v has no field %s", typ, name)
			}
		}
	}
	// The header of a record is exported field by field in posternctl.
	if n := reflect.TypeFor[account.Record]().NumField(); n != 10 {
		t.Errorf("account.Record has %d fields: export the new one, then count it here", n)
	}
}

// What is exported of an account with one of everything holds the fields, and nothing
// that a credential is checked by.
func TestA20_ExportHoldsTheBodies(t *testing.T) {
	h := newScene(t, policy.Settings{})
	x, err := h.Export(ctx, operator, h.user)
	if err != nil || x.Unreadable != nil || len(x.Records) != len(x.Bodies) || len(x.Bodies) != 10 {
		t.Fatal(len(x.Records), len(x.Bodies), err, x.Unreadable)
	}
	text, err := json.Marshal(append(x.Bodies, ExportFields(x.Account.State)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"algorithm"`, `"services":["imap"`, `"via":"` + h.phone.String() + `"`, `"client":"webmail"`, `"argon2_memory"`, `"enrolled":true`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}
