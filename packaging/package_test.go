package packaging

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"postern/internal/mailtest"
)

// TestPackages builds the packages once, for this processor, and looks at them from
// outside; then it installs them on Debian 12 and 13.
func TestPackages(t *testing.T) {
	mailtest.Long(t)
	dir := t.TempDir()
	pack(t, "..", dir, "deb rpm", "1.0.0")
	t.Run("Contents", func(t *testing.T) { contents(t, dir) })
	t.Run("SumsAndBill", func(t *testing.T) { sumsAndBill(t, dir) })
	t.Run("Reproducible", func(t *testing.T) { reproducible(t, dir) })
	t.Run("Manuals", func(t *testing.T) { manuals(t, dir) })
	t.Run("Debian12", func(t *testing.T) { installed(t, dir, "bookworm") })
	t.Run("Debian13", func(t *testing.T) { installed(t, dir, "trixie") })
	t.Run("Setup12", func(t *testing.T) { bySetup(t, dir, "bookworm") })
	t.Run("Setup13", func(t *testing.T) { bySetup(t, dir, "trixie") })
}

// pack builds packages from the source below a directory.
func pack(t *testing.T, source, dir, formats, version string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "scripts/package", dir)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "ARCHES="+runtime.GOARCH, "FORMATS="+formats, "VERSION="+version, "SOURCE_DATE_EPOCH=1790000000")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// one is the one file that a pattern stands for.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// contents: both formats have the same files, and configuration that nobody overwrites.
func contents(t *testing.T, dir string) {
	deb, rpm := one(t, dir, "postern_*.deb"), one(t, dir, "postern-1*.rpm")
	debList, rpmList := output(t, "dpkg-deb", "-c", deb), output(t, "rpm", "-qpl", rpm)
	for _, file := range []string{
		"/usr/lib/postern/checkpassword", "/usr/sbin/policyserver", "/usr/sbin/webhook", "/usr/sbin/posternctl",
		"/usr/lib/systemd/system/postern-policyserver.socket", "/usr/lib/systemd/system/postern-webhook.service",
		"/usr/lib/sysusers.d/postern.conf", "/usr/lib/tmpfiles.d/postern.conf",
		"/usr/share/postern/dovecot/postern.lua", "/usr/share/postern/slapd/postern-acl.ldif", "/usr/share/postern/389ds/99postern.ldif",
		"/usr/share/man/man1/posternctl.1.gz", "/usr/share/man/man5/postern.toml.5.gz", "/usr/share/man/man8/checkpassword.8.gz",
		"/usr/share/bash-completion/completions/posternctl", "/usr/share/zsh/vendor-completions/_posternctl",
		"/usr/share/doc/postern/copyright", "/usr/share/doc/postern/licences.gz", "/usr/share/doc/postern/docs/guides/openldap.md",
		"/etc/apparmor.d/postern-checkpassword", "/etc/logrotate.d/postern",
	} {
		if !strings.Contains(debList, " ."+file+"\n") || !strings.Contains(rpmList, file+"\n") {
			t.Errorf("%s is not in both packages", file)
		}
	}
	if n := strings.Count(debList, "_test.go") + strings.Count(debList, "/testdata/"); n > 0 {
		t.Errorf("%d files of tests", n)
	}
	conffiles := output(t, "dpkg-deb", "-I", deb, "conffiles")
	kept := output(t, "rpm", "-qp", "--qf", "[%{FILENAMES} %{FILEFLAGS:fflags}\n]", rpm)
	for _, file := range []string{"/etc/apparmor.d/postern-policyserver", "/etc/logrotate.d/postern"} {
		if !strings.Contains(conffiles, file+"\n") || !strings.Contains(kept, file+" cn\n") {
			t.Errorf("%s would be overwritten", file)
		}
	}
	plugins, rpmPlugins := output(t, "dpkg-deb", "-c", one(t, dir, "postern-plugins_*.deb")), output(t, "rpm", "-qpl", one(t, dir, "postern-plugins-1*.rpm"))
	for _, file := range []string{"/usr/lib/postern/plugins/radius", "/usr/lib/postern/plugins/httpcode", "/usr/lib/sysusers.d/postern-plugins.conf", "/usr/share/doc/postern-plugins/licences.gz", "/usr/share/doc/postern-plugins/sbom.cdx.json"} {
		if !strings.Contains(plugins, " ."+file+"\n") || !strings.Contains(rpmPlugins, file+"\n") {
			t.Errorf("%s is not in both postern-plugins", file)
		}
	}
	plugin := output(t, "dpkg-deb", "-c", one(t, dir, "postern-roundcube_*_all.deb"))
	for _, line := range []string{" ./usr/share/roundcube/plugins/postern/postern.php\n", " ./var/lib/roundcube/plugins/postern -> /usr/share/roundcube/plugins/postern\n", " ./etc/roundcube/plugins/postern/config.inc.php\n"} {
		if !strings.Contains(plugin, line) {
			t.Errorf("postern-roundcube lacks %q", line)
		}
	}
	if list := output(t, "rpm", "-qpl", one(t, dir, "postern-roundcube-*.noarch.rpm")); !strings.Contains(list, "/usr/share/roundcubemail/plugins/postern/postern.php\n") {
		t.Errorf("postern-roundcube as rpm: %s", list)
	}
}

// sumsAndBill: every file has its checksum, and the bill of materials names what the
// programs are made of.
func sumsAndBill(t *testing.T, dir string) {
	sums, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS")) //nolint:gosec // the test's own
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*.deb", "*.rpm", "*.cdx.json"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, file := range files {
			b, err := os.ReadFile(file) //nolint:gosec // the test's own
			sum := sha256.Sum256(b)
			if err != nil || !bytes.Contains(sums, []byte(hex.EncodeToString(sum[:])+"  "+filepath.Base(file)+"\n")) {
				t.Errorf("SHA256SUMS: %s, %v", file, err)
			}
		}
	}
	text, err := os.ReadFile(one(t, dir, "*.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bill struct {
		BOMFormat  string
		Components []struct{ PURL string }
	}
	if err := json.Unmarshal(text, &bill); err != nil || bill.BOMFormat != "CycloneDX" || len(bill.Components) < 30 {
		t.Errorf("%d components, %v", len(bill.Components), err)
	}
	for _, part := range []string{"pkg:golang/std@", "pkg:golang/github.com/go-ldap/ldap/v3@"} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("the bill does not name %s", part)
		}
	}
}

// reproducible: the same source elsewhere gives the same bytes.
func reproducible(t *testing.T, dir string) {
	elsewhere, again := filepath.Join(t.TempDir(), "another", "place"), t.TempDir()
	output(t, "bash", "-ec", `git clone -q -s .. "$0"; cd ..
		git ls-files -z --modified --others --exclude-standard --deduplicate | while IFS= read -r -d "" f; do
			if [ -e "$f" ]; then cp -p --parents "$f" "$0"; else rm -f "$0/$f"; fi
		done; cd "$0"; git add -A`, elsewhere)
	pack(t, elsewhere, again, "deb rpm", "1.0.0")
	for _, pattern := range []string{"postern_*.deb", "postern-1*.rpm", "postern-plugins*.deb", "postern-plugins*.rpm", "postern-roundcube*.deb", "postern-roundcube*.rpm", "*.cdx.json"} {
		a, errA := os.ReadFile(one(t, dir, pattern))
		b, errB := os.ReadFile(one(t, again, pattern))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %d and %d bytes, not the same ones; %v, %v", pattern, len(a), len(b), errA, errB)
		}
	}
}

// manuals: mandoc finds nothing worse than a matter of style in the manual pages.
func manuals(t *testing.T, dir string) {
	tree := t.TempDir()
	output(t, "dpkg-deb", "-x", one(t, dir, "postern_*.deb"), tree)
	pages, _ := filepath.Glob(filepath.Join(tree, "usr/share/man/man*/*.gz"))
	if len(pages) != 5 {
		t.Errorf("%d manual pages", len(pages))
	}
	for _, page := range pages {
		out, err := exec.CommandContext(t.Context(), "mandoc", "-T", "lint", "-W", "error", page).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", page, err, out)
		}
	}
}
