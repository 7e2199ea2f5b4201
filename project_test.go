// Package postern_test holds tests about the project as a whole: the direction of
// imports, the documents.
package postern_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// deps lists all packages that a package's program would contain.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Fields(string(out))
}

// TestImportsPointDownward: the decision knows neither HTTP nor LDAP, so neither
// can decide anything; and what starts for every login stays small.
func TestImportsPointDownward(t *testing.T) {
	for pkg, forbidden := range map[string][]string{
		"./internal/login":           {"net/http", "github.com/go-ldap/ldap/v3", "github.com/hashicorp/go-plugin", "postern/ldapstore", "postern/internal/passkey", "postern/internal/app"},
		"./internal/desk":            {"net/http", "github.com/go-ldap/ldap/v3", "postern/ldapstore", "postern/internal/login", "postern/internal/app"},
		"./internal/account":         {"net/http", "postern/internal/seal", "postern/internal/factor", "postern/ldapstore"},
		"./internal/policy":          {"postern/internal/account"},
		"./internal/factor":          {"postern/internal/login", "postern/internal/seal"},
		"./ldapstore":                {"postern/internal/login", "postern/internal/desk", "postern/internal/app"},
		"./checkpassword":            {"google.golang.org/grpc", "net", "net/http", "fmt", "encoding/json", "postern/internal/account", "postern/internal/login"},
		"./internal/verify":          {"fmt", "net", "net/url", "postern/internal/account"},
		"./internal/session":         {"net/http", "postern/internal/login", "postern/internal/desk"},
		"./internal/web":             {"github.com/go-ldap/ldap/v3", "postern/internal/login", "postern/internal/desk"},
		"./internal/passkey":         {"github.com/go-ldap/ldap/v3", "postern/internal/login", "postern/internal/desk"},
		"./policyserver":             {"postern/internal/plugin", "github.com/hashicorp/go-plugin", "google.golang.org/grpc", "postern/internal/mailtest", "testing", "postern/internal/passkey", "postern/internal/web"},
		"./webhook":                  {"postern/internal/mailtest"}, // go-plugin brings package testing
		"./internal/plugin":          {"postern/internal/login", "postern/internal/desk", "postern/internal/web", "postern/ldapstore"},
		"./plugin":                   {"postern/internal/account", "postern/internal/factor"},
		"./contrib/plugins/radius":   {"postern/internal/account", "postern/ldapstore"},
		"./contrib/plugins/httpcode": {"postern/internal/account", "postern/ldapstore"},
		"./posternctl":               {"postern/internal/plugin", "github.com/hashicorp/go-plugin", "google.golang.org/grpc", "postern/internal/mailtest", "testing"},
	} {
		all := deps(t, pkg)
		for _, f := range forbidden {
			if slices.Contains(all, f) {
				t.Errorf("%s must not contain %s", pkg, f)
			}
		}
	}
}

func documents(t *testing.T) []string {
	t.Helper()
	_, _ = os.Stat(".git/index") // so that go test knows what its cached result depends on
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "*.md").Output()
	files := strings.Fields(string(out))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d documents, %v", len(files), err)
	}
	return files
}

var link = regexp.MustCompile(`\]\(([^)#][^)]*)\)`)

// TestLinksInDocuments: every link to a file of the project leads to one.
func TestLinksInDocuments(t *testing.T) {
	for _, doc := range documents(t) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), target)); err != nil {
				t.Errorf("%s: %v", doc, err)
			}
		}
	}
}

// TestFilesNamedInDocuments: what the documents tell people to copy exists.
func TestFilesNamedInDocuments(t *testing.T) {
	named := regexp.MustCompile("(?:contrib|packaging|scripts)/[A-Za-z0-9_./-]*[A-Za-z0-9]")
	for _, doc := range documents(t) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(string(text), -1) {
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s: %v", doc, err)
			}
		}
	}
}

// TestFeatureRowsHaveTests: docs/features.md names for every promise that is kept
// a test that exists.
func TestFeatureRowsHaveTests(t *testing.T) {
	text, err := os.ReadFile("docs/features.md")
	if err != nil {
		t.Fatal(err)
	}
	existing := testNames(t)
	rows := regexp.MustCompile(`(?m)^\| (\w+) \|.*\|$`).FindAllString(string(text), -1)
	name := regexp.MustCompile(`Test\w+`)
	kept := 0
	for _, row := range rows {
		for _, test := range name.FindAllString(row, -1) {
			kept++
			if !existing[test] {
				t.Errorf("there is no %s: %s", test, row)
			}
		}
		if !name.MatchString(row) && !strings.Contains(row, "not yet") && !strings.Contains(row, "---") && !strings.HasPrefix(row, "| id") && !strings.HasPrefix(row, "| n |") {
			t.Errorf("neither a test nor \"not yet\": %s", row)
		}
	}
	if len(rows) < 80 || kept < 30 {
		t.Errorf("%d rows, %d tests", len(rows), kept)
	}
}

func testNames(t *testing.T) map[string]bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "grep", "-hoE", `^func Test\w+`, "--", "*_test.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, line := range strings.Split(string(out), "\n") {
		names[strings.TrimPrefix(line, "func ")] = true
	}
	return names
}
