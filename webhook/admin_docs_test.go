package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The example of docs/admin-api.md works as it stands there, but for paths; and its table
// names all calls with all their fields, and no others.
func TestE6_ExampleOfTheAdminDocuments(t *testing.T) {
	w := panels(t)
	user, _ := w.twoFactor()
	text, err := os.ReadFile("../docs/admin-api.md")
	must(t, err)
	m := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(string(text))
	if m == nil {
		t.Fatal("docs/admin-api.md shows no example")
	}
	dir := t.TempDir()
	key := filepath.Join(dir, "panel.key")
	must(t, os.WriteFile(key, []byte(keyOfA+"\n"), 0o600))
	script := strings.NewReplacer("/etc/postern/panel.key", key, "/run/postern/webhook.sock", w.Webmail.Webhook().Socket).Replace(m[1])
	curl := exec.CommandContext(t.Context(), "sh", "-ec", script) //nolint:gosec // what the document says
	curl.Dir = dir
	out, err := curl.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"result":"done"`) || !strings.Contains(string(out), user) {
		t.Errorf("%v\n%s", err, out)
	}
	if strings.Contains(script, "Bearer $") {
		t.Error("the example has the key on a command line")
	}
	var told []string
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z-]+(?:/[a-z]+)?(?:, [a-z/-]+)*) \| (.*?) \| `).FindAllStringSubmatch(string(text), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			method, ok := panelMethods[name]
			if !ok {
				t.Errorf("there is no %s", name)
			}
			told = append(told, name)
			for _, field := range slices.Concat(method.required, method.optional) {
				if !regexp.MustCompile(`\b` + field + `\b`).MatchString(row[2]) {
					t.Errorf("the field %s of %s is not named", field, name)
				}
			}
		}
	}
	for name := range panelMethods {
		if !slices.Contains(told, name) {
			t.Errorf("%s is not in the table", name)
		}
	}
}
