package mailtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// DS389 is a running 389 Directory Server with Postern's schema and the entries
// Base, People, PosternBase and one for each of the users of Slapd.
type DS389 struct {
	// Dir holds its files, Port is its loopback port.
	Dir  string
	Port int

	ports ports
	proc  *process
}

// dsTemplate is Debian's template of an instance's configuration.
const dsTemplate = "/usr/share/dirsrv/data/template-dse.ldif"

// dsBackend is the database for Base. The server takes it at run time only.
const dsBackend = `dn: cn=userRoot,cn=ldbm database,cn=plugins,cn=config
objectclass: extensibleObject
objectclass: nsBackendInstance
nsslapd-suffix: @BASE@
cn: userRoot

dn: cn="@BASE@",cn=mapping tree,cn=config
objectclass: extensibleObject
objectclass: nsMappingTree
cn: "@BASE@"
nsslapd-state: backend
nsslapd-backend: userRoot

`

// Start389 starts a 389 Directory Server. Its own dscreate wants systemd; this
// fills the same templates and runs the server itself.
func Start389(ctx context.Context) (*DS389, error) {
	dir, err := makeDir("/tmp")
	if err != nil {
		return nil, err
	}
	d := &DS389{Dir: dir}
	if err := d.prepare(ctx); err != nil {
		err = fmt.Errorf("389-ds: %w\n%s", err, d.Log())
		d.Stop()
		return nil, err
	}
	return d, nil
}

// prepare writes the instance, starts it and adds the entries.
func (d *DS389) prepare(ctx context.Context) error {
	if err := d.ports.takeAll(&d.Port); err != nil {
		return err
	}
	if err := d.writeInstance(); err != nil {
		return err
	}
	if err := d.start(ctx); err != nil {
		return err
	}
	c, err := d.Root()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	data, err := entriesLDIF(SlapdOptions{})
	if err != nil {
		return err
	}
	return addLDIF(c, namesReplacer.Replace(dsBackend)+data)
}

// start runs the server in the foreground.
func (d *DS389) start(ctx context.Context) error {
	cmd := exec.Command("/usr/sbin/ns-slapd", "-D", filepath.Join(d.Dir, "conf"), "-i", filepath.Join(d.Dir, "run", "pid"), "-d", "0")
	p, err := startProcess("389-ds", cmd)
	if err != nil {
		return err
	}
	d.proc = p
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	return p.await(ctx, func() error { return answers("tcp", loopback(d.Port)) })
}

// writeInstance writes the configuration and schema of an instance, all owned by
// the server's own user.
func (d *DS389) writeInstance() error {
	conf, err := d.dse()
	if err != nil {
		return err
	}
	schema, err := contrib("389ds/99postern.ldif")
	if err != nil {
		return err
	}
	if err := writeFiles(d.Dir, map[string]string{
		"conf/dse.ldif": conf, "conf/schema/99postern.ldif": schema, "conf/schema/99user.ldif": "dn: cn=schema\n",
	}); err != nil {
		return err
	}
	for _, sub := range []string{"db", "bak", "ldif", "lock", "log", "run", "tmp"} {
		if err := os.Mkdir(filepath.Join(d.Dir, sub), 0o700); err != nil {
			return err
		}
	}
	return chownAll(d.Dir, "dirsrv")
}

// dse is the instance's configuration: Debian's template with our names.
func (d *DS389) dse() (string, error) {
	b, err := os.ReadFile(dsTemplate)
	if err != nil {
		return "", err
	}
	in := func(sub string) string { return filepath.Join(d.Dir, sub) }
	return strings.NewReplacer(
		"%schema_dir%", "/usr/share/dirsrv/schema", "%config_dir%", in("conf"), "%cert_dir%", in("conf"), "%inst_dir%", in("conf"),
		"%db_dir%", in("db"), "%db_home_dir%", in("db"), "%bak_dir%", in("bak"), "%ldif_dir%", in("ldif"),
		"%lock_dir%", in("lock"), "%log_dir%", in("log"), "%run_dir%", in("run"), "%tmp_dir%", in("tmp"),
		"%ldapi%", in("ldapi"), "%ldapi_enabled%", "off", "%ldapi_autobind%", "off", "%db_lib%", "bdb",
		"%fqdn%", "localhost", "%ds_port%", strconv.Itoa(d.Port), "%ds_user%", "dirsrv",
		"%rootdn%", RootDN, "%ds_passwd%", SSHA(Password), "%ds_suffix%", Base,
	).Replace(string(b)), nil
}

// chownAll gives a directory and all in it to a user.
func chownAll(dir, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

// addLDIF adds the entries of a plain LDIF text: no folding, no base64.
func addLDIF(c *ldap.Conn, text string) error {
	for entry := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		var req *ldap.AddRequest
		for line := range strings.Lines(entry) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if req == nil {
				req = ldap.NewAddRequest(value, nil)
				continue
			}
			req.Attribute(name, []string{value})
		}
		if err := c.Add(mergeValues(req)); err != nil {
			return fmt.Errorf("%s: %w", req.DN, err)
		}
	}
	return nil
}

// mergeValues puts the values of each attribute together.
func mergeValues(req *ldap.AddRequest) *ldap.AddRequest {
	merged := ldap.NewAddRequest(req.DN, nil)
	index := map[string]int{}
	for _, a := range req.Attributes {
		if i, ok := index[a.Type]; ok {
			merged.Attributes[i].Vals = append(merged.Attributes[i].Vals, a.Vals...)
			continue
		}
		index[a.Type] = len(merged.Attributes)
		merged.Attribute(a.Type, a.Vals)
	}
	return merged
}

// URI is its address.
func (d *DS389) URI() string { return "ldap://" + loopback(d.Port) }

// Root is a new connection as RootDN.
func (d *DS389) Root() (*ldap.Conn, error) {
	c, err := ldap.DialURL(d.URI())
	if err != nil {
		return nil, err
	}
	if err := c.Bind(RootDN, Password); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Log is the server's error log.
func (d *DS389) Log() string {
	b, _ := os.ReadFile(filepath.Join(d.Dir, "log", "errors"))
	return string(b)
}

// Stop ends the server at once and removes its files.
func (d *DS389) Stop() {
	d.proc.kill()
	d.ports.release()
	_ = os.RemoveAll(d.Dir)
}
