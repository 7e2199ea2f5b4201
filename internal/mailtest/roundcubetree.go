package mailtest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The places of Debian's Roundcube.
const (
	roundcubeShare = "/usr/share/roundcube"
	roundcubeEtc   = "/etc/roundcube"
)

// writeTree makes the directory that INSTALL_PATH names: the program's own parts
// as links, as Debian's /var/lib/roundcube has them, and configuration, plug-ins,
// database, logs and temporary files of our own. Below public/ is what the web
// server shows.
func (r *Roundcube) writeTree() error {
	if err := r.removeOld("config", "plugins"); err != nil {
		return err
	}
	for name, target := range map[string]string{
		"index.php": roundcubeShare + "/index.php", "program": roundcubeShare + "/program",
		"SQL": roundcubeShare + "/SQL", "skins": roundcubeShare + "/skins", "bin": roundcubeShare + "/bin",
		"config/defaults.inc.php": roundcubeEtc + "/defaults.inc.php", "config/mimetypes.php": roundcubeEtc + "/mimetypes.php",
		"public/program/js": roundcubeShare + "/program/js", "public/program/resources": roundcubeShare + "/program/resources",
		"public/skins": roundcubeShare + "/skins", "public/plugins": r.Inside("plugins"),
	} {
		if err := r.link(name, target); err != nil {
			return err
		}
	}
	unasked := []RoundcubePlugin{{Name: "filesystem_attachments"}, {Name: "jqueryui"}}
	for _, p := range slices.Concat(unasked, r.options.Plugins) {
		if err := r.writePlugin(p); err != nil {
			return fmt.Errorf("plug-in %s: %w", p.Name, err)
		}
	}
	for _, dir := range []string{"db", "logs", "temp"} {
		if err := os.MkdirAll(filepath.Join(r.Dir, dir), 0o700); err != nil {
			return err
		}
	}
	return writeFiles(r.Dir, map[string]string{"config/config.inc.php": r.config(), "public/index.php": roundcubeIndex})
}

// removeOld removes what a restart writes anew.
func (r *Roundcube) removeOld(names ...string) error {
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(r.Dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// link makes a symbolic link in the tree, unless it is there.
func (r *Roundcube) link(name, target string) error {
	path := filepath.Join(r.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	return os.Symlink(target, path)
}

// writePlugin lays a plug-in into the tree. It becomes a directory of our own in
// any case, as its configuration lies inside.
func (r *Roundcube) writePlugin(p RoundcubePlugin) error {
	to := filepath.Join(r.Dir, "plugins", p.Name)
	if p.Dir == "" {
		if err := r.linkPlugin(p.Name); err != nil {
			return err
		}
	} else if err := copyPlugin(p.Dir, to); err != nil {
		return err
	}
	if p.Config == "" {
		return nil
	}
	path := filepath.Join(to, "config.inc.php")
	if err := os.RemoveAll(path); err != nil { // it may be a link to Debian's
		return err
	}
	return os.WriteFile(path, []byte(p.Config), 0o600)
}

// linkPlugin links the files of one of Debian's.
func (r *Roundcube) linkPlugin(name string) error {
	from := filepath.Join(roundcubeShare, "plugins", name)
	files, err := os.ReadDir(filepath.Join(r.Root, from))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := r.link(filepath.Join("plugins", name, f.Name()), filepath.Join(from, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// copyPlugin copies a plug-in's files: links would lead out of a root directory.
func copyPlugin(from, to string) error {
	if !filepath.IsAbs(from) {
		src, err := sourceRoot()
		if err != nil {
			return err
		}
		from = filepath.Join(src, from)
	}
	tree := os.DirFS(from)
	if _, err := fs.Stat(tree, "."); err != nil {
		return err
	}
	return os.CopyFS(to, tree)
}

// config is config.inc.php.
func (r *Roundcube) config() string {
	names := make([]string, len(r.options.Plugins))
	for i, p := range r.options.Plugins {
		names[i] = "'" + p.Name + "'"
	}
	return strings.NewReplacer("@DIR@", r.Inside(""), "@KEY@", r.desKey,
		"@IMAP@", fmt.Sprint(r.options.IMAP), "@SMTP@", fmt.Sprint(r.options.SMTP),
		"@PLUGINS@", strings.Join(names, ", "),
	).Replace(roundcubeConfig) + r.options.Config
}

// roundcubeConfig is that of a small site behind a web server on this machine,
// which says whose request it passes on.
const roundcubeConfig = `<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///@DIR@/db/roundcube.db?mode=0600';
$config['log_dir'] = '@DIR@/logs/';
$config['temp_dir'] = '@DIR@/temp/';
$config['imap_host'] = '127.0.0.1:@IMAP@';
$config['smtp_host'] = '127.0.0.1:@SMTP@';
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
$config['des_key'] = '@KEY@';
$config['product_name'] = 'Example Webmail';
$config['support_url'] = '';
$config['language'] = 'en_US';
$config['create_default_folders'] = true;
$config['enable_spellcheck'] = false;
$config['proxy_whitelist'] = ['127.0.0.1'];
$config['plugins'] = [@PLUGINS@];
`

// roundcubeIndex is the front page. A link to Debian's would find Debian's tree. The
// port is the browser's, as nginx tells php-fpm; PHP's own server tells its own.
const roundcubeIndex = `<?php
if (preg_match('/:(\d+)$/D', $_SERVER['HTTP_HOST'] ?? '', $m)) {
    $_SERVER['SERVER_PORT'] = $m[1];
}
define('INSTALL_PATH', dirname(__DIR__) . '/');
require INSTALL_PATH . 'index.php';
`
