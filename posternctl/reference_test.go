package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestReference: docs/reference/commands.md, of which the manual page is made, is what
// the commands say of themselves, and every command tells how it is called.
func TestReference(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"reference"}, nil, &out, &errs); code != exitDone || errs.Len() > 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	stored, err := os.ReadFile("../docs/reference/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored, out.Bytes()) {
		t.Error("docs/reference/commands.md is stale: make generate")
	}
	for _, want := range []string{"## posternctl totp add\n", "posternctl policy set LEVEL KEY=VALUE… [flags]", "- `--config file`"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q", want)
		}
	}
	if strings.Contains(out.String(), "posternctl reference") {
		t.Error("the hidden command shows itself")
	}
}
