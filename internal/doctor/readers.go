package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// systemUser is a line of passwd(5), with the groups of group(5).
type systemUser struct {
	name string
	uid  uint32
	gids []uint32
}

// systemUsers reads the users that this host has of its own: daemons' are among them.
func systemUsers(root string) ([]systemUser, error) {
	var list []systemUser
	err := fields(filepath.Join(root, "/etc/passwd"), 4, func(f []string) {
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if errors.Join(err1, err2) == nil {
			list = append(list, systemUser{f[0], uint32(uid), []uint32{uint32(gid)}})
		}
	})
	if err != nil {
		return nil, err
	}
	return list, fields(filepath.Join(root, "/etc/group"), 4, func(f []string) {
		gid, err := strconv.ParseUint(f[2], 10, 32)
		for member := range strings.SplitSeq(f[3], ",") {
			for i := range list {
				if err == nil && list[i].name == member {
					list[i].gids = append(list[i].gids, uint32(gid))
				}
			}
		}
	})
}

// fields calls f for every line that has so many fields.
func fields(path string, least int, f func([]string)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if part := strings.Split(lines.Text(), ":"); len(part) >= least {
			f(part)
		}
	}
	return lines.Err()
}

// may reports whether the user has a right (4 read, 1 search) to a file, by its owner,
// group and mode.
func (u *systemUser) may(info fs.FileInfo, right fs.FileMode) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case u.uid == 0 || !ok:
		return true
	case st.Uid == u.uid:
		right <<= 6
	case slices.Contains(u.gids, st.Gid):
		right <<= 3
	}
	return info.Mode().Perm()&right != 0
}

// readersOf are the users who can read a file, root left out: it, and every directory on
// the way to it, must let them.
func readersOf(path string, users []systemUser) ([]string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(path) //nolint:gosec // the administrator's configuration names it
	if err != nil {
		return nil, err
	}
	var way []fs.FileInfo
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir) //nolint:gosec // likewise
		if err != nil {
			return nil, err
		}
		way = append(way, info)
		if dir == "/" || dir == "." {
			break
		}
	}
	var names []string
	for i := range users {
		u := &users[i]
		if u.uid != 0 && u.may(file, 4) && !slices.ContainsFunc(way, func(d fs.FileInfo) bool { return !u.may(d, 1) }) {
			names = append(names, u.name)
		}
	}
	return names, nil
}

// hasAccessList reports whether a file has an access list (acl(5)), which mode and group
// do not tell.
func hasAccessList(path string) bool {
	n, err := syscall.Getxattr(path, "system.posix_acl_access", nil)
	return err == nil && n > 0
}

// keptFrom finds who can read a secret, but for those who must: root, the daemons' user,
// and who else is named. A file of mode 0640 is as secret as its group is small; users
// of a directory (nsswitch) are not seen. It adds a finding only if it returns false.
func (e *examination) keptFrom(id, path string, who ...string) bool {
	root := ""
	if e.Root != "" && strings.HasPrefix(path, e.Root) {
		root = e.Root // which has users of its own
	}
	users, err1 := systemUsers(root)
	names, err2 := readersOf(path, users)
	if err := errors.Join(err1, err2); err != nil {
		e.unchecked(id, path, "who can read it was not looked at: "+err.Error())
		return false
	}
	if hasAccessList(path) {
		e.unchecked(id, path, "has an access list (getfacl), which doctor does not read")
		return false
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return strings.HasPrefix(name, "postern") || slices.Contains(who, name) || e.ownsKeys(users, name)
	})
	if len(names) == 0 {
		return true
	}
	if n := len(names) - namedReaders; n > 1 {
		names = append(names[:namedReaders], fmt.Sprintf("%d more", n))
	}
	e.wrong(id, path, fmt.Sprintf("can be read by %s, by its owner, group or mode", strings.Join(names, ", ")))
	return false
}

// namedReaders is how many are named; with a file for everybody it would be all of passwd.
const namedReaders = 5

// ownsKeys reports whether the user is the one to whom the directory of keys belongs: the
// daemons' own, on a host that has named it otherwise.
func (e *examination) ownsKeys(users []systemUser, name string) bool {
	info, err := os.Stat(e.Config.Keys.Directory)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && slices.ContainsFunc(users, func(u systemUser) bool { return u.name == name && u.uid == st.Uid })
}
