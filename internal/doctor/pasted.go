package doctor

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"postern/internal/secretfile"
)

// maxConfig bounds a file of Dovecot's configuration.
const maxConfig = 1 << 20

// pastedSecrets: Dovecot's configuration holds copies of Postern's secrets: the
// API key, the nonce, doveadm's key; and its files are for everybody as Debian makes them. Whoever
// has the key can ask policyserver about passwords, and say that a login went well.
func (e *examination) pastedSecrets() {
	secrets := e.pasted()
	if len(secrets) == 0 {
		return
	}
	if e.dovecot.file == "" {
		e.unchecked("dovecot-secrets", e.Doveconf, "it does not say which file was read: whether others can read the secrets in it was not looked at")
		return
	}
	dir := e.inRoot(filepath.Dir(e.dovecot.file))
	files, err := e.configFiles(dir)
	fine, found := true, 0
	for _, f := range files {
		if slices.ContainsFunc(secrets, func(s []byte) bool { return bytes.Contains(f.text, s) }) {
			found++
			fine = e.keptFrom("dovecot-secrets", f.path, "dovecot", e.dovecot.get("default_internal_user", "dovecot")) && fine
		}
	}
	switch {
	case err != nil:
		e.unchecked("dovecot-secrets", dir, err.Error())
	case found == 0:
		e.unchecked("dovecot-secrets", dir, "none of the files there, or included there, holds them, so they are elsewhere: that file should be root's, mode 0600")
	case fine:
		e.ok("dovecot-secrets", dir, "the secrets in Dovecot's configuration are root's and Dovecot's alone")
	}
}

type configFile struct {
	path string
	text []byte
}

// included is a line of Dovecot's configuration that names other files by their whole path.
var included = regexp.MustCompile(`(?m)^[ \t]*!include(?:_try)?[ \t]+(/\S+)`)

// configFiles are the files below a directory, whether Dovecot reads them or not, and those
// outside it that one of them includes. Files of the second kind include no more here.
func (e *examination) configFiles(dir string) ([]configFile, error) {
	var files []configFile
	add := func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Size() > maxConfig {
			return err
		}
		text, err := readFile(path)
		files = append(files, configFile{path, []byte(text)})
		return err
	}
	err := filepath.WalkDir(dir, add)
	for _, f := range slices.Clone(files) {
		for _, m := range included.FindAllSubmatch(f.text, -1) {
			matches, globErr := filepath.Glob(e.inRoot(string(m[1])))
			err = errors.Join(err, globErr)
			for _, path := range matches {
				if !strings.HasPrefix(path, dir+"/") {
					err = errors.Join(err, filepath.WalkDir(path, add))
				}
			}
		}
	}
	return files, err
}

// pasted are those of Postern's secrets that Dovecot's configuration repeats.
func (e *examination) pasted() [][]byte {
	var list [][]byte
	p := e.dovecot.policySettings()
	shown := strings.Join([]string{p["server_api_header"], p["hash_nonce"], e.dovecot.get("doveadm_api_key", ""), e.dovecot.get("doveadm_password", "")}, "\n")
	files, err := secretFiles(e.Config)
	if err != nil {
		return nil // files says so
	}
	for _, f := range files {
		if s, err := secretfile.ReadLine(f.path); err == nil && strings.Contains(shown, string(s)) {
			list = append(list, s)
		}
	}
	return list
}
