package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/app"
	"postern/ldapstore"
)

// answers are what setup must know. They come from flags, from --answers, from the
// terminal, and otherwise from looking.
type answers struct {
	URI         string `toml:"directory_uri"`
	Base        string `toml:"base"`
	BindDN      string `toml:"bind_dn"`
	External    bool   `toml:"sasl_external"`
	PosternBase string `toml:"postern_base"`
	Kind        string `toml:"directory_kind"`
	Layout      string `toml:"layout"`
	Dovecot     string `toml:"dovecot"`
	Door        string `toml:"door"`
	PublicURL   string `toml:"public_url"`
	WebmailURL  string `toml:"webmail_url"`

	writeDovecot, answersFile string
}

func (c *ctl) setupCommand() *cobra.Command {
	var a answers
	cmd := &cobra.Command{Use: "setup", Short: "Write postern.toml, make keys and secrets, and print what to do in the directory, Dovecot and Postfix",
		Long: "Ask for the directory, write postern.toml beside --config, make keys and secrets there, and print the commands for\n" +
			"the directory and the lines for Dovecot and Postfix, as files below setup/.\n\n" +
			"Nothing else is changed: no server's configuration, unless --write-dovecot says so, and no entry of the directory\n" +
			"but the check values of the keys. A postern.toml that is there is never overwritten: the new one is written beside\n" +
			"it as postern.toml.new. It may be run again.",
		Example: "  posternctl setup\n" +
			"  posternctl setup --no-input --directory-uri ldapi:/// --base dc=example,dc=test\n" +
			"  posternctl setup --no-input --answers answers.toml --write-dovecot /etc/dovecot/conf.d",
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.setup(cmd.Context(), &a) }}
	f := cmd.Flags()
	f.StringVar(&a.URI, "directory-uri", "", "`URI` of the directory: ldapi:///, ldap://host, ldaps://host")
	f.StringVar(&a.Base, "base", "", "`DN` below which the users are")
	f.StringVar(&a.BindDN, "bind-dn", "", "`DN` of Postern's own account there (default cn=postern below the base)")
	f.BoolVar(&a.External, "sasl-external", false, "no password: the directory knows the daemons' system user, on ldapi://")
	f.StringVar(&a.PosternBase, "postern-base", "", "`DN` of Postern's own subtree (default ou=postern below the base)")
	f.StringVar(&a.Kind, "directory-kind", "", "openldap, 389ds or ad; by default what the directory says")
	f.StringVar(&a.Layout, "layout", "", "entry: records in users' entries; subtree: in entries of Postern's own")
	f.StringVar(&a.Dovecot, "dovecot", "", "`version` 2.3 or 2.4; by default the one that is installed")
	f.StringVar(&a.Door, "door", "", "lua or checkpassword (2.3 only)")
	f.StringVar(&a.PublicURL, "public-url", "", "`URL` of the webhook's pages, if there is webmail: https://mail.example.test/2fa/")
	f.StringVar(&a.WebmailURL, "webmail-url", "", "`URL` of webmail (default the same host's /)")
	f.StringVar(&a.answersFile, "answers", "", "`file` with answers: the flags' names with _ for -, as TOML (directory_uri = \"ldapi:///\")")
	f.StringVar(&a.writeDovecot, "write-dovecot", "", "write Dovecot's lines into this `directory`, as 99-postern.conf")
	return cmd
}

func (c *ctl) setup(ctx context.Context, a *answers) error {
	if err := a.fromFile(); err != nil {
		return err
	}
	if err := c.complete(ctx, a); err != nil {
		return err
	}
	path, err := filepath.Abs(c.configPath)
	if err != nil {
		return err
	}
	c.configPath = path
	s := &site{answers: *a, dir: filepath.Dir(path)}
	if err := c.writeSite(s); err != nil {
		return err
	}
	c.setupKeys(ctx)
	texts, err := s.texts()
	if err != nil {
		return err
	}
	files, err := c.writeTexts(s, texts)
	if err != nil {
		return err
	}
	lines := s.instructions()
	return c.print(object{"config": s.config, "files": files, "dovecot": s.Dovecot, "door": s.Door, "directory_kind": s.Kind,
		"layout": s.Layout, "instructions": lines}, lines...)
}

// fromFile fills in what flags did not say.
func (a *answers) fromFile() error {
	if a.answersFile == "" {
		return nil
	}
	var from answers
	md, err := toml.DecodeFile(a.answersFile, &from)
	if err != nil {
		return err
	}
	if unknown := md.Undecoded(); len(unknown) > 0 {
		return fmt.Errorf("%s: there is no answer %s", a.answersFile, unknown[0])
	}
	for _, p := range []struct{ to, from *string }{
		{&a.URI, &from.URI}, {&a.Base, &from.Base}, {&a.BindDN, &from.BindDN}, {&a.PosternBase, &from.PosternBase}, {&a.Kind, &from.Kind},
		{&a.Layout, &from.Layout}, {&a.Dovecot, &from.Dovecot}, {&a.Door, &from.Door}, {&a.PublicURL, &from.PublicURL}, {&a.WebmailURL, &from.WebmailURL},
	} {
		*p.to = cmp.Or(*p.to, *p.from)
	}
	a.External = a.External || from.External
	return nil
}

// kinds are the words for directories on the command line.
var kinds = map[string]string{"openldap": ldapstore.OpenLDAP, "389ds": ldapstore.DS389, "ad": ldapstore.ActiveDirectory}

// complete asks, looks and derives what is still missing.
func (c *ctl) complete(ctx context.Context, a *answers) error {
	ask := c.asker()
	var err error
	if a.URI, err = ask("Where is the directory (ldapi:///, ldaps://host)", "--directory-uri", a.URI, "ldapi:///"); err != nil {
		return err
	}
	root, err := ldapstore.ReadRoot(ctx, a.URI, 5*time.Second)
	if err != nil {
		c.warn("the directory was not looked at: %v", err)
	}
	if a.Kind != "" && kinds[a.Kind] == "" {
		return usagef("--directory-kind: openldap, 389ds or ad")
	}
	a.Kind = cmp.Or(kinds[a.Kind], root.Kind, ldapstore.OpenLDAP)
	suggestion := ""
	if len(root.Suffixes) > 0 {
		suggestion = root.Suffixes[0]
	}
	if a.Base, err = ask("Below which DN are the users", "--base", a.Base, suggestion); err != nil {
		return err
	}
	if !a.External {
		if a.BindDN, err = ask("Postern's own account", "--bind-dn", a.BindDN, "cn=postern,"+a.Base); err != nil {
			return err
		}
	}
	a.PosternBase = cmp.Or(a.PosternBase, "ou=postern,"+a.Base)
	a.Layout = cmp.Or(a.Layout, map[bool]string{true: ldapstore.LayoutSubtree, false: ldapstore.LayoutEntry}[a.Kind == ldapstore.ActiveDirectory])
	return c.completeDovecot(ctx, a)
}

// asker returns how to get one answer: given, typed, or the suggestion.
func (c *ctl) asker() func(question, flag, given, suggestion string) (string, error) {
	in := bufio.NewReader(c.in)
	typed := terminal(c.in) && !c.noInput && !c.json
	return func(question, flag, given, suggestion string) (string, error) {
		if given == "" && typed {
			fmt.Fprintf(c.err, "%s [%s]: ", question, suggestion)
			line, err := in.ReadString('\n')
			if err != nil {
				return "", err
			}
			given = strings.TrimSpace(line)
		}
		if given = cmp.Or(given, suggestion); given == "" {
			return "", usagef("%s is needed", flag)
		}
		return given, nil
	}
}

var dovecotVersion = regexp.MustCompile(`2\.[34]`)

// completeDovecot finds the version and the best door that it has.
func (c *ctl) completeDovecot(ctx context.Context, a *answers) error {
	if a.Dovecot == "" {
		out, err := runProgram(ctx, "dovecot", "--version")
		if err != nil {
			c.warn("no Dovecot was found here; name its version by --dovecot 2.3 or 2.4")
		}
		a.Dovecot = dovecotVersion.FindString(out)
	}
	if a.Dovecot != "" && a.Dovecot != "2.3" && a.Dovecot != "2.4" {
		return usagef("--dovecot: 2.3 or 2.4")
	}
	switch {
	case a.Door == "" && a.Dovecot == "2.3" && !haveLua():
		a.Door = "checkpassword"
	case a.Door == "":
		a.Door = "lua"
	case a.Door != "lua" && a.Door != "checkpassword":
		return usagef("--door: lua or checkpassword")
	case a.Door == "checkpassword" && a.Dovecot == "2.4":
		return usagef("Dovecot 2.4 has no checkpassword: --door lua")
	}
	return nil
}

// haveLua reports whether Dovecot's Lua passdb (package dovecot-auth-lua) is installed.
func haveLua() bool {
	for _, pattern := range []string{"/usr/lib/dovecot/modules/auth/libauthdb_lua.so", "/usr/lib64/dovecot/auth/libauthdb_lua.so",
		"/usr/lib/*/dovecot/modules/auth/libauthdb_lua.so"} {
		if m, err := filepath.Glob(pattern); err == nil && len(m) > 0 {
			return true
		}
	}
	return false
}

// writeSite writes the configuration and the secrets it names.
func (c *ctl) writeSite(s *site) error {
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return err
	}
	if err := s.secrets(c); err != nil {
		return err
	}
	text := s.toml()
	if _, err := app.Parse(c.configPath, []byte(text)); err != nil {
		return fmt.Errorf("these answers make no configuration: %w", err)
	}
	s.config = c.configPath
	old, err := os.ReadFile(s.config)
	switch {
	case err == nil && string(old) == text:
		c.say("%s is there, and as it should be", s.config)
		return nil
	case err == nil:
		s.config += ".new"
		c.warn("%s was left as it is; compare it with %s", c.configPath, s.config)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	return c.writeFile(s.config, text, 0o640)
}

// setupKeys makes the keys as posternctl keys new does; without the directory they are
// registered later.
func (c *ctl) setupKeys(ctx context.Context) {
	quiet := *c
	quiet.json = false
	roles := []string{account.RoleDoor, account.RoleFactor, account.RoleTicket}
	err := quiet.newKeys(ctx, roles, false)
	if err == nil {
		return
	}
	if !errors.Is(err, account.ErrUnavailable) {
		c.warn("keys: %v", err)
		return
	}
	c.warn("the directory does not know Postern yet; the keys are made, and registered later")
	if err := quiet.newKeys(ctx, roles, true); err != nil {
		c.warn("keys: %v", err)
	}
}

// writeTexts writes what is to be loaded elsewhere below setup/, and Dovecot's lines
// where they were asked for.
func (c *ctl) writeTexts(s *site, texts map[string]string) ([]string, error) {
	dir := filepath.Join(s.dir, "setup")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	files := []string{}
	for name, text := range texts {
		path := filepath.Join(dir, name)
		files = append(files, path)
		if err := c.writeFile(path, text, 0o640); err != nil {
			return nil, err
		}
	}
	slices.Sort(files)
	if s.writeDovecot == "" {
		return files, nil
	}
	if s.Dovecot == "" {
		return nil, usagef("--write-dovecot needs --dovecot")
	}
	path := filepath.Join(s.writeDovecot, "99-postern.conf")
	s.wrote = path
	return append(files, path), c.writeFile(path, texts[fileDovecot], 0o600)
}

// writeFile writes a file in one step, unless it is there with the same content.
func (c *ctl) writeFile(path, text string, mode os.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == text {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".postern-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = giveToOwnerOfDir(f.Name())
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	c.say("Wrote %s", path)
	return nil
}
