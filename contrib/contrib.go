// Package contrib holds the files for other programs that stand beside it: what
// posternctl prints, writes and compares with is what the documents name and the tests
// load.
package contrib

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed dovecot/*.conf dovecot/postern.lua postfix slapd/*.ldif 389ds/*.ldif
var files embed.FS

// File is the text of a file below contrib/, like "dovecot/postern.lua".
func File(name string) (string, error) {
	b, err := files.ReadFile(name)
	return string(b), err
}

// Filled is File with what the pairs say replaced, old and new in turn. An old text
// that does not occur is an error: the file has changed, and the replacement would
// silently do nothing.
func Filled(name string, pairs ...string) (string, error) {
	text, err := File(name)
	if err != nil {
		return "", err
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			return "", fmt.Errorf("contrib/%s does not contain %q", name, pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(text), nil
}
