package mailtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings are keys of postern.toml by table: strings, bools, ints, []string and
// dates. A nil value leaves the key out of the file; a key that is no bare word,
// such as a domain, is quoted as TOML wants it: `"example.test"`. The name of a
// table inside another has dots: webhook.clients.roundcube.
type Settings map[string]map[string]any

// Config is a postern.toml with its secret files, and what others must know of
// it.
type Config struct {
	// Dir holds the file and everything it names; Path is the file.
	Dir, Path string
	// Keys is the directory of the key files, Audit the audit log.
	Keys, Audit string
	// Socket is the policyserver's unix socket, Listen its TCP address, Key the API
	// key for that, Nonce that of Dovecot's auth policy.
	Socket, Listen, Key, Nonce string
	// WebhookSocket and WebhookListen are the same of the webhook.
	WebhookSocket, WebhookListen string
}

// URL is the address of /verify over TCP.
func (c *Config) URL() string { return "http://" + c.Listen + "/verify" }

// settings are those of a site whose directory is s.
func (c *Config) settings(s *Slapd) Settings {
	return Settings{
		"directory": {
			"read_uris": []string{s.URI()}, "write_uri": s.URI(), "starttls": false, "ca_file": s.CAFile,
			"bind_dn": ServiceDN, "bind_password_file": filepath.Join(c.Dir, "ldap.password"), "base": Base,
			"user_filter": "(&(objectClass=inetOrgPerson)(mail=%u))", "id_attribute": "entryUUID", "login_attribute": "mail",
			"layout": "entry", "postern_base": PosternBase, "timeout": "2s",
		},
		"keys": {"directory": c.Keys},
		"policyserver": {
			"socket": c.Socket, "socket_users": []string{"root", "dovecot"},
			"listen": c.Listen, "api_key_file": filepath.Join(c.Dir, "policyserver.key"),
			"hash_nonce_file": filepath.Join(c.Dir, "hash.nonce"),
		},
		"login": {"main_password": "bind", "unknown_user": "deny", "help_url": HelpURL},
		"audit": {"file": c.Audit},
	}
}

// HelpURL is where mail programs send users who need an app password.
const HelpURL = "https://mail.example.test/2fa"

// writeSecrets makes the files of the service's password, the API keys and the nonce.
func (c *Config) writeSecrets() error {
	c.Key, c.Nonce = rand.Text(), rand.Text()
	return errors.Join(
		os.WriteFile(filepath.Join(c.Dir, "ldap.password"), []byte(Password+"\n"), 0o600),
		os.WriteFile(filepath.Join(c.Dir, "doveadm.key"), []byte(DoveadmPassword+"\n"), 0o600),
		os.WriteFile(filepath.Join(c.Dir, "policyserver.key"), []byte(c.Key+"\n"), 0o600),
		os.WriteFile(filepath.Join(c.Dir, "hash.nonce"), []byte(c.Nonce+"\n"), 0o600))
}

// Write writes postern.toml with some settings changed from those of a site whose
// directory is s. It may be called again, with other changes.
func (c *Config) Write(s *Slapd, changes Settings) error {
	text, err := c.settings(s).merge(changes).toml()
	if err != nil {
		return err
	}
	return os.WriteFile(c.Path, []byte(text), 0o600)
}

// merge lays the changes over a copy.
func (s Settings) merge(changes Settings) Settings {
	all := Settings{}
	for _, from := range []Settings{s, changes} {
		for table, keys := range from {
			if all[table] == nil {
				all[table] = map[string]any{}
			}
			maps.Copy(all[table], keys)
		}
	}
	return all
}

// toml writes the settings in order.
func (s Settings) toml() (string, error) {
	var b strings.Builder
	for _, table := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "[%s]\n", table)
		for _, key := range slices.Sorted(maps.Keys(s[table])) {
			if s[table][key] == nil {
				continue
			}
			value, err := tomlValue(s[table][key])
			if err != nil {
				return "", fmt.Errorf("mailtest: %s.%s: %w", table, key, err)
			}
			fmt.Fprintf(&b, "%s = %s\n", key, value)
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// tomlValue is a value in TOML. Quoting is Go's, which for the printable ASCII of
// our settings is TOML's.
func tomlValue(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v), nil
	case bool, int:
		return fmt.Sprint(v), nil
	case []string:
		quoted := make([]string, len(v))
		for i := range v {
			quoted[i] = strconv.Quote(v[i])
		}
		return "[" + strings.Join(quoted, ", ") + "]", nil
	case time.Time:
		return v.Format(time.RFC3339), nil
	}
	return "", fmt.Errorf("cannot write a %T", v)
}
