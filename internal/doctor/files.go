package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/secretfile"
)

var roles = []string{account.RoleDoor, account.RoleFactor, account.RoleTicket}

// files looks at what lies on this host: keys, secrets, and who may read them.
func (e *examination) files(context.Context) {
	for _, role := range roles {
		e.keyFile(role)
	}
	e.keyDirectory()
	e.publicKey()
	list, err := secretFiles(e.Config)
	if err != nil {
		e.unchecked("secret-file", "", err.Error())
	}
	for _, f := range list {
		e.secret(f)
	}
}

// keyFile: not every host has every key, but none has one that others read.
func (e *examination) keyFile(role string) {
	path := e.Config.KeyPath(role)
	_, err := e.Config.OpenRing(role)
	switch {
	case err == nil:
		e.owner(path)
		e.kept("key-file", "key-readers", secretFile{path: path})
	case errors.Is(err, fs.ErrNotExist) && role != account.RoleDoor:
		e.ok("key-file", path, "is not on this host")
	case errors.Is(err, fs.ErrPermission):
		e.unchecked("key-file", path, "may not be read by this user: run doctor as root")
	default:
		e.wrong("key-file", path, err.Error())
	}
}

// kept says that a file is as it should be, if nobody else can read it either.
func (e *examination) kept(id, readers string, f secretFile) {
	if e.keptFrom(readers, f.path, f.user) {
		e.ok(id, f.path, "is there; root and the daemons alone can read it")
		return
	}
	e.ok(id, f.path, "is there")
}

// keyDirectory: who may write it may put another key there.
func (e *examination) keyDirectory() { e.mode("key-directory", e.Config.Keys.Directory, 0o027) }

// mode finds permissions that a file should not have.
func (e *examination) mode(id, path string, not fs.FileMode) {
	info, err := os.Stat(path) //nolint:gosec // the administrator's configuration names it
	switch {
	case err != nil:
		e.unchecked(id, path, err.Error())
	case info.Mode().Perm()&not != 0:
		e.wrong(id, path, fmt.Sprintf("has mode %04o: others can read or change it", info.Mode().Perm()))
	default:
		e.ok(id, path, fmt.Sprintf("has mode %04o", info.Mode().Perm()))
	}
}

// owner: a key that belongs to neither root nor the owner of its directory is another
// program's to change.
func (e *examination) owner(path string) {
	file, err1 := os.Stat(path)
	dir, err2 := os.Stat(filepath.Dir(path))
	if errors.Join(err1, err2) != nil {
		return // keyDirectory says so
	}
	f, ok1 := file.Sys().(*syscall.Stat_t)
	d, ok2 := dir.Sys().(*syscall.Stat_t)
	if ok1 && ok2 && f.Uid != 0 && f.Uid != d.Uid {
		e.wrong("key-owner", path, fmt.Sprintf("belongs to uid %d, who may change it", f.Uid))
	}
}

// publicKey: tickets are checked by ticket.pub, which must be that of ticket.key.
func (e *examination) publicKey() {
	path := e.Config.PublicKeyPath()
	have, err := secretfile.ReadPublic(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && e.Config.Webhook.PublicURL == "" && !exists(e.Config.KeyPath(account.RoleTicket)):
		e.ok("ticket-pub", path, "is not needed: there is no webhook")
		return
	case errors.Is(err, fs.ErrNotExist):
		e.wrong("ticket-pub", path, "is missing: webmail's tickets cannot be checked on this host")
		return
	case err != nil:
		e.wrong("ticket-pub", path, err.Error())
		return
	}
	want, err := e.Config.PublicFile()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.ok("ticket-pub", path, "is there; whether it is the site's, the directory tells below")
	case err != nil:
		e.unchecked("ticket-pub", path, err.Error())
	case !bytes.Equal(have, want):
		e.wrong("ticket-pub", path, "is not the public half of ticket.key: it is old, or another site's")
	default:
		e.ok("ticket-pub", path, "is the public half of ticket.key")
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// secretFile is a file that the configuration names.
type secretFile struct {
	key, path string
	user      string // who reads it beside the daemons; mostly nobody
}

// publicFiles are settings of files that everybody may read.
var publicFiles = []string{"ca_file", "doveadm_ca_file", "tls_cert_file", "profile_cert_file"}

// secretFiles finds them by the names of settings, so that none is forgotten: whatever
// ends in _file or _files names a secret, but for publicFiles.
func secretFiles(c *app.Config) ([]secretFile, error) {
	var list []secretFile
	err := c.Settings(func(key string, value any) {
		name := key[strings.LastIndex(key, ".")+1:]
		path, is := value.(string)
		if !is || path == "" || slices.Contains(publicFiles, name) {
			return
		}
		if strings.HasSuffix(name, "_file") || strings.Contains(key, "_files.") {
			list = append(list, secretFile{key: key, path: path})
		}
	})
	for name, p := range c.Plugins {
		if p.Config != "" {
			list = append(list, secretFile{"plugins." + name + ".config", p.Config, p.User})
		}
	}
	slices.SortFunc(list, func(a, b secretFile) int { return strings.Compare(a.key, b.key) })
	return list, err
}

// secret: systemd's credentials are made anew for each unit, and only there.
func (e *examination) secret(f secretFile) {
	if strings.HasPrefix(f.path, secretfile.CredentialPrefix) {
		e.ok("secret-file", f.key, "is a systemd credential of the daemon's unit")
		return
	}
	_, err := secretfile.Read(f.path)
	switch {
	case err == nil:
		e.kept("secret-file", "secret-readers", f)
	case errors.Is(err, fs.ErrPermission):
		e.unchecked("secret-file", f.path, "may not be read by this user: run doctor as root")
	default:
		e.wrong("secret-file", f.path, f.key+": "+err.Error())
	}
}
