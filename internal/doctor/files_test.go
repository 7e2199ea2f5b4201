package doctor_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"postern/internal/doctor"
	"postern/internal/mailtest"
)

// idsOf are the numbers of a user who has nothing to do with mail, and of its group.
func idsOf(t *testing.T, name string) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return uid, gid
}

// TestAttack34_ReadableSecrets: who can read a key or a password but root and the daemons
// is named; a mode that nobody can make use of is not complained about.
func TestAttack34_ReadableSecrets(t *testing.T) {
	s := quick(t, mailtest.SlapdOptions{})
	uid, gid := idsOf(t, "games")
	door, password := filepath.Join(s.Keys, "door.key"), filepath.Join(s.Dir, "ldap.password")
	own := func(path string, uid, gid int, mode os.FileMode) func() error {
		return func() error {
			if err := os.Chown(path, uid, gid); err != nil {
				return err
			}
			return os.Chmod(path, mode)
		}
	}
	both := func(a, b func() error) func() error {
		return func() error {
			if err := a(); err != nil {
				return err
			}
			return b()
		}
	}
	for _, row := range []struct {
		name   string
		change func() error
		id     string // none: nothing is to be found
		status doctor.Status
		words  []string
	}{
		{"as they are made", own(door, 0, 0, 0o600), "", "", nil},
		{"root's group", own(door, 0, 0, 0o640), "", "", nil},
		{"a key for everybody", own(door, 0, 0, 0o644), "key-file", doctor.Wrong, []string{"0644"}},
		{"a key that its group can change", own(door, 0, 0, 0o660), "key-file", doctor.Wrong, []string{"0660"}},
		{"another group, behind a closed directory", own(door, 0, gid, 0o640), "", "", nil},
		{"another group, behind its own directory", both(own(s.Keys, 0, gid, 0o750), own(door, 0, gid, 0o640)), "key-readers", doctor.Wrong, []string{"games", door}},
		{"another program's key", own(door, uid, gid, 0o600), "key-owner", doctor.Wrong, []string{"belongs to uid " + strconv.Itoa(uid)}},
		{"another program's directory", both(own(s.Keys, 0, 0, 0o755), own(door, uid, gid, 0o600)), "key-readers", doctor.Wrong, []string{"games"}},
		{"a directory for everybody", own(s.Keys, 0, 0, 0o755), "key-directory", doctor.Wrong, []string{"0755"}},
		{"a password for everybody", own(password, 0, 0, 0o604), "secret-file", doctor.Wrong, []string{"directory.bind_password_file", "0604"}},
		{"a password for a group", own(password, 0, gid, 0o640), "secret-readers", doctor.Wrong, []string{"games", password}},
		{"a password with an access list", func() error { return accessList(password, uid) }, "secret-readers", doctor.Unchecked, []string{"access list"}},
		{"a password that is gone", func() error { return os.Rename(password, password+".gone") }, "secret-file", doctor.Wrong, []string{"no such file"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Cleanup(func() {
				_ = os.Rename(password+".gone", password)
				_ = syscall.Removexattr(password, "system.posix_acl_access")
				for path, mode := range map[string]os.FileMode{s.Keys: 0o700, door: 0o600, password: 0o600} {
					if err := own(path, 0, 0, mode)(); err != nil {
						t.Error(err)
					}
				}
			})
			o := quickOptions(t, s)
			if err := row.change(); err != nil {
				t.Fatal(err)
			}
			r, complaints := examine(t, o)
			if row.id != "" && !finding(r, row.id, row.status, row.words...) {
				t.Errorf("no %s %s %q in:\n%s", row.status, row.id, row.words, complaints)
			}
			for _, id := range []string{"key-file", "key-readers", "key-owner", "key-directory", "secret-file", "secret-readers"} {
				if row.id == "" && (has(r, id, doctor.Wrong) || has(r, id, doctor.Unchecked)) {
					t.Errorf("complaints about %s:\n%s", id, complaints)
				}
			}
			if row.id == "secret-readers" && finding(r, "secret-file", doctor.OK, password, "alone") {
				t.Errorf("it is said to be root's alone")
			}
		})
	}
}

// accessList lets a user read a file beside its mode (acl(5)).
func accessList(path string, uid int) error {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, uint32(2))
	for _, e := range [][3]uint32{{1, 6, 1<<32 - 1}, {2, 4, uint32(uid)}, {4, 0, 1<<32 - 1}, {0x10, 4, 1<<32 - 1}, {0x20, 0, 1<<32 - 1}} {
		_ = binary.Write(&b, binary.LittleEndian, [2]uint16{uint16(e[0]), uint16(e[1])})
		_ = binary.Write(&b, binary.LittleEndian, e[2])
	}
	return syscall.Setxattr(path, "system.posix_acl_access", b.Bytes(), 0)
}

// printed is a file with what doveconf would print.
func printed(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "doveconf.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAttack34_PastedSecrets: Dovecot's files hold copies of the API key, the nonce and
// doveadm's key, and are for everybody as distributions make them.
func TestAttack34_PastedSecrets(t *testing.T) {
	s := quick(t, mailtest.SlapdOptions{})
	if err := s.Reconfigure(mailtest.Settings{"sessions": {"doveadm": []string{"http://127.0.0.1:9/doveadm/v1"},
		"doveadm_key_file": filepath.Join(s.Dir, "doveadm.key")}}); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "pt-") // not below t.TempDir, which is closed
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	conf := filepath.Join(dir, "conf.d", "policy.conf")
	if err := os.Mkdir(filepath.Dir(conf), 0o755); err != nil {
		t.Fatal(err)
	}
	outside := dir + "-included.conf"
	t.Cleanup(func() { _ = os.Remove(outside) })
	if err := os.WriteFile(outside, []byte("auth_policy_hash_nonce = "+s.Nonce+"\n"), 0o644); err != nil { //nolint:gosec // what the test is about
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, line, holds string
		mode, above       os.FileMode
		want              doctor.Status
		words             string
	}{
		{"the key, root's", "auth_policy_server_api_header = X-API-Key: " + s.Key, s.Key, 0o600, 0o755, doctor.OK, ""},
		{"the key, everybody's", "auth_policy_server_api_header = X-API-Key: " + s.Key, s.Key, 0o644, 0o755, doctor.Wrong, conf},
		{"the key, in a directory of root's", "auth_policy_server_api_header = X-API-Key: " + s.Key, s.Key, 0o644, 0o700, doctor.OK, ""},
		{"the nonce, everybody's", "auth_policy_hash_nonce = " + s.Nonce, s.Nonce, 0o644, 0o755, doctor.Wrong, conf},
		{"doveadm's key, everybody's", "doveadm_api_key = " + mailtest.DoveadmPassword, mailtest.DoveadmPassword, 0o644, 0o755, doctor.Wrong, conf},
		{"the nonce in a file that is included", "auth_policy_hash_nonce = " + s.Nonce, "nothing\n!include_try " + dir + "-incl*.conf", 0o600, 0o755, doctor.Wrong, outside},
		{"the key, elsewhere", "auth_policy_server_api_header = X-API-Key: " + s.Key, "nothing", 0o644, 0o755, doctor.Unchecked, "elsewhere"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := os.WriteFile(conf, []byte("x = "+row.holds+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			for path, mode := range map[string]os.FileMode{conf: row.mode, dir: row.above} {
				if err := os.Chmod(path, mode); err != nil {
					t.Fatal(err)
				}
			}
			o := quickOptions(t, s)
			o.Doveconf = printed(t, "# 2.3.19.1 (9b53102964): "+dir+"/dovecot.conf\n"+row.line+"\n")
			r, complaints := examine(t, o)
			if !finding(r, "dovecot-secrets", row.want, row.words) || row.want == doctor.OK && has(r, "dovecot-secrets", doctor.Wrong) {
				t.Errorf("no %s in:\n%s", row.want, complaints)
			}
			for _, f := range r {
				if strings.Contains(f.Text+f.Subject+f.Remedy, row.holds) && !strings.HasPrefix(row.holds, "nothing") {
					t.Errorf("the report shows the secret: %+v", f)
				}
			}
		})
	}
	o := quickOptions(t, s)
	o.Doveconf = printed(t, "# 2.3.19.1\nauth_policy_hash_nonce = "+s.Nonce+"\n")
	if r, complaints := examine(t, o); !has(r, "dovecot-secrets", doctor.Unchecked) {
		t.Errorf("without a file's name: %s", complaints)
	}
}

// TestA13_VszLimit: checkpassword is started in the room that Dovecot would give it.
func TestA13_VszLimit(t *testing.T) {
	s := quick(t, mailtest.SlapdOptions{})
	early, err := s.Binary(context.Background(), "checkpassword")
	if err != nil {
		t.Fatal(err)
	}
	ordinary := filepath.Join(t.TempDir(), "checkpassword")
	build := exec.Command("go", "build", "-o", ordinary, "postern/checkpassword")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	type row struct {
		name, binary, setting string
		want                  doctor.Status
		words                 string
	}
	rows := []row{
		{"ordinary, by default", ordinary, "", doctor.Wrong, "256 MB"},
		{"ordinary, of default_vsz_limit", ordinary, "default_vsz_limit = 64 M", doctor.Wrong, "64 MB"},
		{"ordinary, unlimited", ordinary, "service auth {\n  vsz_limit = 0\n}", doctor.OK, "none"},
		{"ordinary, 4 G", ordinary, "service auth {\n  vsz_limit = 4 G\n}", doctor.OK, "4096 MB"},
		{"no room at all", early, "service auth {\n  vsz_limit = 100 k\n}", doctor.Wrong, "0 MB"},
		{"no size", early, "service auth {\n  vsz_limit = much\n}", doctor.Unchecked, "no size"},
		{"no program", "/nonexistent/checkpassword", "", doctor.Unchecked, "no such file"},
	}
	if runtime.GOARCH == "amd64" {
		rows = append(rows, row{"early, by default", early, "", doctor.OK, "256 MB"})
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			o := quickOptions(t, s)
			o.Doveconf = printed(t, fmt.Sprintf("# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf\n%s\npassdb {\n  driver = checkpassword\n  args = %s -socket %s\n"+
				"  result_failure = return-fail\n  result_internalfail = return-fail\n}\n", row.setting, row.binary, s.Socket))
			r, complaints := examine(t, o)
			if !finding(r, "vsz-limit", row.want, row.words) {
				t.Errorf("no %s %q in:\n%s", row.want, row.words, complaints)
			}
		})
	}
}
