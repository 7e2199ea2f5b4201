package login_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"postern/internal/login"
)

// TestA16_EveryReasonIsExplained: whatever stands in the audit log, explain has words.
func TestA16_EveryReasonIsExplained(t *testing.T) {
	reasons := declared(t)
	if len(reasons) < 50 {
		t.Fatalf("only %d reasons were found in the source", len(reasons))
	}
	for _, r := range reasons {
		if m, ok := r.Meaning(); !ok || m.Text == "" || m.Do == "" {
			t.Errorf("%s: no meaning, or nothing to do about it", r)
		}
	}
	if _, ok := login.Reason("no such reason").Meaning(); ok {
		t.Error("a reason that there is not has a meaning")
	}
	for _, limit := range []string{"prefix", "account", "site", "binds"} {
		if login.LimitMeaning(limit) == "" {
			t.Errorf("limit %s has no meaning", limit)
		}
	}
}

// declared are the constants of type Reason in the source.
func declared(t *testing.T) []login.Reason {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var list []login.Reason
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == "Reason" && len(v.Values) == 1 {
				if l, ok := v.Values[0].(*ast.BasicLit); ok {
					s, err := strconv.Unquote(l.Value)
					if err != nil {
						t.Fatal(err)
					}
					list = append(list, login.Reason(s))
				}
			}
			return true
		})
	}
	return list
}
