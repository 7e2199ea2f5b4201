// Command reference writes the parts of docs/reference/ that are made from the source:
// the configuration from its types, the audit log's actions and reasons and the metrics
// from the declarations that the programs use. (commands.md is posternctl's own:
// posternctl reference.)
//
//	reference SOURCE DIRECTORY
//
// make generate runs it, and a test fails when a document is stale.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: reference SOURCE DIRECTORY")
	}
	docs, err := documents(args[0])
	if err != nil {
		return err
	}
	for name, text := range docs {
		if err := os.WriteFile(filepath.Join(args[1], name), text, 0o644); err != nil { //nolint:gosec // documents are for everybody
			return err
		}
	}
	return nil
}

// documents are the texts by the names of their files; source is the clone.
func documents(source string) (map[string][]byte, error) {
	code, err := parse(source)
	if err != nil {
		return nil, err
	}
	docs := map[string][]byte{"config.md": configuration(), "metrics.md": metrics(code)}
	if docs["audit.md"], err = auditLog(code); err != nil {
		return nil, err
	}
	if docs["reasons.md"], err = reasons(code); err != nil {
		return nil, err
	}
	return docs, nil
}
