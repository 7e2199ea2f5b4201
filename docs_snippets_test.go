package postern_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/go-ldap/ldap/v3"
	"postern/internal/app"
	"postern/internal/mailtest"
)

// TestTOMLInDocuments: every piece of postern.toml, put beside the one of the guide
// with which everything begins, is a configuration that the programs load; every
// piece of a plug-in's own file has settings that its source knows.
func TestTOMLInDocuments(t *testing.T) {
	all := blocksIn(t, "toml")
	base := firstOf(t, all, "docs/guides/openldap.md")
	web := firstOf(t, all, "docs/guides/webmail.md")
	var before block
	for _, b := range all {
		if b.page == before.page && !strings.Contains(b.text, "[") {
			b.text = before.text + b.text // goes on in the same table
		}
		before = b
		if m := regexp.MustCompile("`/etc/postern(?:-plugins)?/(\\w+)\\.toml`").FindStringSubmatch(b.before); m != nil && m[1] != "postern" {
			pluginKnows(t, b)
			continue
		}
		if err := together(b, base, web); err != nil {
			t.Errorf("%s:%d: %v", b.page, b.line, err)
		}
	}
}

func firstOf(t *testing.T, all []block, page string) block {
	t.Helper()
	for _, b := range all {
		if b.page == page {
			return b
		}
	}
	t.Fatalf("%s: no toml", page)
	return block{}
}

// together loads a piece with those that it stands beside: its own settings win.
func together(piece block, others ...block) error {
	whole := map[string]any{}
	for _, b := range append(others, piece) {
		var part map[string]any
		if _, err := toml.Decode(b.text, &part); err != nil {
			return err
		}
		merge(whole, part)
	}
	var text bytes.Buffer
	if err := toml.NewEncoder(&text).Encode(whole); err != nil {
		return err
	}
	_, err := app.Parse("postern.toml", text.Bytes())
	return err
}

// merge puts the settings of a table over another's.
func merge(into, from map[string]any) {
	for key, value := range from {
		old, ok1 := into[key].(map[string]any)
		table, ok2 := value.(map[string]any)
		if ok1 && ok2 {
			merge(old, table)
			continue
		}
		into[key] = value
	}
}

// pluginKnows: each key stands in a struct of one of contrib's plug-ins.
func pluginKnows(t *testing.T, b block) {
	t.Helper()
	var settings map[string]any
	if _, err := toml.Decode(b.text, &settings); err != nil {
		t.Errorf("%s:%d: %v", b.page, b.line, err)
	}
	sources, err := filepath.Glob("contrib/plugins/*/config.go")
	if err != nil || len(sources) < 2 {
		t.Fatal(sources, err)
	}
	text := contents(t, sources...)
	for key := range settings {
		if !strings.Contains(text, fmt.Sprintf("`toml:%q`", key)) {
			t.Errorf("%s:%d: no plug-in has a setting %s", b.page, b.line, key)
		}
	}
}

// contents are the texts of files, one after the other.
func contents(t *testing.T, files ...string) string {
	t.Helper()
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// TestLDIFInDocuments: a directory with Postern's schema takes every entry and every
// change of its configuration that the documents show.
func TestLDIFInDocuments(t *testing.T) {
	s := mailtest.NewSlapd(t, mailtest.SlapdOptions{})
	root, err := s.Root()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	dn := regexp.MustCompile(`(?m)^dn: [^,\n]+,(ou=([^,]+),.*)$`)
	for _, b := range blocksIn(t, "ldif") {
		if b.page == "docs/guides/389-ds.md" {
			continue // contrib/389ds loads it into that server
		}
		if m := dn.FindStringSubmatch(b.text); m != nil {
			parent := ldap.NewAddRequest(m[1], nil)
			parent.Attribute("objectClass", []string{"organizationalUnit"})
			parent.Attribute("ou", []string{m[2]})
			if err := root.Add(parent); err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultEntryAlreadyExists) {
				t.Fatal(err)
			}
		}
		if err := takes(t, s, b.text); err != nil {
			t.Errorf("%s:%d: %v", b.page, b.line, err)
		}
	}
}

// takes loads LDIF as an administrator does, by ldapadd or ldapmodify.
func takes(t *testing.T, s *mailtest.Slapd, ldif string) error {
	t.Helper()
	if strings.Contains(ldif, ",cn=config") {
		return s.Configure(t.Context(), ldif)
	}
	return s.Load(t.Context(), mailtest.RootDN, ldif)
}

// TestDovecotInDocuments: doveconf of the version that a block is for reads it, with
// the files of contrib/dovecot that it includes.
func TestDovecotInDocuments(t *testing.T) {
	mailtest.Long(t)
	for _, b := range blocksIn(t, "dovecot") {
		versions := []mailtest.Version{mailtest.V23}
		if regexp.MustCompile(`2\.4-|(?m)^(passdb|userdb) \w`).MatchString(b.text) {
			versions = []mailtest.Version{mailtest.V24}
		}
		for _, v := range versions {
			if err := doveconf(t, v, b.text); err != nil {
				t.Errorf("%s:%d: Dovecot %v: %v", b.page, b.line, v, err)
			}
		}
	}
}

// doveconf lets a Dovecot read a configuration.
func doveconf(t *testing.T, v mailtest.Version, text string) error {
	t.Helper()
	d, err := mailtest.PrepareDovecot(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	snippets, err := filepath.Glob("contrib/dovecot/*")
	if err != nil || len(snippets) < 10 {
		t.Fatal(snippets, err)
	}
	files := map[string]string{"dovecot.conf": text}
	if v == mailtest.V24 {
		files["dovecot.conf"] = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n" + text
	}
	for _, f := range snippets {
		files[filepath.Base(f)] = contents(t, f)
	}
	for name, text := range files {
		text = strings.ReplaceAll(text, "/etc/dovecot/", d.Inside("")+"/")
		if err := os.WriteFile(filepath.Join(d.Dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	args := []string{"doveconf", "-n", "-c", d.Inside("dovecot.conf")}
	if d.Root != "" {
		args = append([]string{"chroot", d.Root}, args...)
	}
	if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// TestPHPInDocuments: PHP reads it.
func TestPHPInDocuments(t *testing.T) {
	mailtest.Long(t)
	for _, b := range blocksIn(t, "php") {
		text := "<?php\n" + strings.TrimPrefix(b.text, "<?php\n")
		if out, err := exec.CommandContext(t.Context(), "php", "-l", scratch(t, "x.php", text)).CombinedOutput(); err != nil {
			t.Errorf("%s:%d: %v: %s", b.page, b.line, err, out)
		}
	}
}

// TestSettingsOfOthersInDocuments: settings of systemd, Radicale and SOGo are such as
// stand in the units and in the configurations of the servers in the tests.
func TestSettingsOfOthersInDocuments(t *testing.T) {
	sources, err := filepath.Glob("internal/mailtest/*.go")
	if err != nil || len(sources) < 20 {
		t.Fatal(sources, err)
	}
	units, err := filepath.Glob("packaging/systemd/*")
	if err != nil || len(units) < 4 {
		t.Fatal(units, err)
	}
	known := contents(t, append(append(sources, units...), "webhook/oidc_sogo_test.go")...)
	// Not in our units, but in systemd.exec(5).
	known += "\nLoadCredential=\nAmbientCapabilities=\nSupplementaryGroups=\n"
	setting := regexp.MustCompile(`^(\w+) ?=`)
	for _, b := range append(blocksIn(t, "ini"), blocksIn(t, "sogo")...) {
		for _, line := range strings.Split(b.text, "\n") {
			m := setting.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			if !regexp.MustCompile(`\b` + m[1] + ` ?=`).MatchString(known) {
				t.Errorf("%s:%d: who says that there is a setting %s?", b.page, b.line, m[1])
			}
		}
	}
}
