package policy_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"postern/internal/policy"
)

var update = flag.Bool("update", false, "write docs/policy.md's table anew")

// TestReference: the table of keys in docs/policy.md is what the source says.
func TestReference(t *testing.T) {
	const file, begin, end = "../../docs/policy.md", "-update -->\n", "<!-- end of keys -->"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(b), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the table", file)
	}
	want := head + begin + keyTable(t) + end + tail
	if want == string(b) {
		return
	}
	if !*update {
		t.Fatalf("%s is stale; run: go test ./internal/policy -run TestReference -update", file)
	}
	if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func keyTable(t *testing.T) string {
	t.Helper()
	e, err := policy.Layers(nil).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| key | values | default | what it does |\n|---|---|---|---|\n")
	for _, f := range policy.Fields() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Key, f.Values, strings.ReplaceAll(policy.Text(e.Get(f.Key)), ",", ", "), f.Doc)
	}
	return b.String()
}
