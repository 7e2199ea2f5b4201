// Package secretfile reads secrets from where Postern allows them: files that
// others cannot read, and systemd credentials. Never from the environment, the
// command line or the configuration itself.
package secretfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// CredentialPrefix marks a reference to a systemd credential: "credential:NAME"
// reads $CREDENTIALS_DIRECTORY/NAME (systemd.exec(5), LoadCredential=).
const CredentialPrefix = "credential:"

const maxSize = 64 << 10

// Read returns the content of the secret that ref names. An empty secret is an
// error: it must never count as one.
func Read(ref string) ([]byte, error) {
	path, credential, err := resolve(ref)
	if err != nil {
		return nil, err
	}
	return read(path, func(perm fs.FileMode) error {
		// systemd makes credentials readable by the unit's user alone.
		if !credential && perm&0o027 != 0 {
			return fmt.Errorf("%s has mode %04o: others can read it, or its group can change it; run: chmod 0640 %s (or 0600)", path, perm, path)
		}
		return nil
	})
}

// ReadPublic is Read for a file that everybody may read, such as public keys: what is
// believed because of it must not be others' to change.
func ReadPublic(path string) ([]byte, error) {
	return read(path, func(perm fs.FileMode) error {
		if perm&0o022 != 0 {
			return fmt.Errorf("%s has mode %04o: others can change it; run: chmod 0644 %s", path, perm, path)
		}
		return nil
	})
}

func read(path string, check func(fs.FileMode) error) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the administrator's configuration names it
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if err := check(info.Mode().Perm()); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("%s is larger than %d bytes: not a key or password", path, maxSize)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, fmt.Errorf("%s is empty", path)
	}
	return b, nil
}

// ReadLine is Read for a password or API key: one line, its line end removed.
func ReadLine(ref string) ([]byte, error) {
	b, err := Read(ref)
	if err != nil {
		return nil, err
	}
	b = bytes.TrimRight(b, "\r\n")
	if bytes.ContainsAny(b, "\r\n\x00") {
		return nil, fmt.Errorf("%s must hold exactly one line", ref)
	}
	return b, nil
}

func resolve(ref string) (path string, credential bool, err error) {
	name, credential := strings.CutPrefix(ref, CredentialPrefix)
	if !credential {
		return ref, false, nil
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return "", true, fmt.Errorf("%s: CREDENTIALS_DIRECTORY is not set; add LoadCredential=%s:… to the unit", ref, name)
	}
	if name == "" || name != filepath.Base(name) {
		return "", true, errors.New(ref + ": not the name of a credential")
	}
	return filepath.Join(dir, name), true, nil
}
