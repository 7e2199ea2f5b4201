// Package app reads the one configuration file, /etc/postern/postern.toml, and
// builds from it what the programs are made of.
//
// The configuration is strict: unknown and mis-cased keys, values of the wrong
// type and values out of range are all reported, every problem at once with file
// and key, and no program starts with any of them. It holds no secrets, only the
// names of files (or systemd credentials) that do.
package app

import (
	"fmt"
	"time"

	"postern/internal/effect"
	"postern/internal/policy"
	"postern/internal/throttle"
)

// DefaultPath is where the configuration lives unless -config says otherwise.
const DefaultPath = "/etc/postern/postern.toml"

// Config is the whole configuration. The doc tags are the comments of the
// reference file that Reference prints, the values of Default its values.
type Config struct {
	Directory    Directory         `toml:"directory" doc:"The LDAP directory: where accounts are found and where Postern keeps its records."`
	Keys         Keys              `toml:"keys" doc:"Keys that seal the records. Make them with: posternctl keys new"`
	Policyserver Policyserver      `toml:"policyserver" doc:"The daemon that checkpassword and the Lua passdb ask."`
	Webhook      Webhook           `toml:"webhook" doc:"The daemon beside webmail: hook API and pages."`
	Pages        Pages             `toml:"pages" doc:"How the webhook's pages look and speak."`
	ClientSetup  ClientSetup       `toml:"client_setup" doc:"How mail programs reach this site: the server settings beside a new app password, Apple's profiles, Thunderbird's autoconfig and Outlook's autodiscover: docs/guides/mail-programs.md"`
	OIDC         OIDC              `toml:"oidc" doc:"Webmail and other programs that sign users in by OpenID Connect, at webhook.public_url + \"oidc\": docs/guides/oidc.md"`
	Passkeys     Passkeys          `toml:"passkeys" doc:"Passkeys and security keys (WebAuthn)."`
	Plugins      map[string]Plugin `toml:"plugins" doc:"Second factors of the site's own, each a program beside the webhook: docs/guides/plugins.md. Policies call them plugin:NAME."`
	Login        Login             `toml:"login" doc:"What decides a login."`
	Sessions     Sessions          `toml:"sessions" doc:"Ending live mail sessions when what they began with is revoked. Without doveadm they go on until they reconnect."`
	Mail         Mail              `toml:"mail" doc:"Mails to users about what happens to their accounts: docs/mails.md"`
	Throttle     throttle.Settings `toml:"throttle" doc:"Limits on guessing."`
	Policy       policy.Settings   `toml:"policy" doc:"Policy of the site, where no domain, class or account has one of its own: posternctl policy set --help. Durations: 14d, 12h, 90m."`
	Admin        Admin             `toml:"admin" doc:"Who administers accounts at the pages and by the API: docs/guides/administrators.md"`
	Audit        Audit             `toml:"audit" doc:"One JSON line per decision and per change."`
	Privacy      Privacy           `toml:"privacy" doc:"What is written down about users, and how long: docs/privacy.md"`
	Sweep        Sweep             `toml:"sweep" doc:"Passes over all accounts."`

	Doctor Doctor `toml:"doctor" doc:"The account by which posternctl doctor tries the doors."`

	path string
}

// Directory configures package ldapstore.
type Directory struct {
	ReadURIs         []string `toml:"read_uris" doc:"Servers to read from, tried in order: ldap://, ldaps:// or ldapi:// (path percent-encoded)."`
	WriteURI         string   `toml:"write_uri" doc:"The one server to write to: the provider, not a consumer. Empty: the first of read_uris."`
	AllowPlaintext   bool     `toml:"allow_plaintext" doc:"Permit ldap:// without StartTLS to other hosts than this one: passwords cross the network readably."`
	StartTLS         bool     `toml:"starttls" doc:"Upgrade ldap:// connections by StartTLS (RFC 4511 section 4.14); refused means unavailable, never plain text."`
	CAFile           string   `toml:"ca_file" doc:"PEM file of the authorities to trust instead of the system's."`
	BindDN           string   `toml:"bind_dn" doc:"Postern's own entry. Leave empty with sasl_external."`
	BindPasswordFile string   `toml:"bind_password_file" doc:"File with its password (mode 0600 or 0640), or credential:NAME."`
	SASLExternal     bool     `toml:"sasl_external" doc:"Bind by SASL EXTERNAL over ldapi:// instead (olcAuthzRegexp maps the system user): no password at all."`
	Base             string   `toml:"base" doc:"Where users are searched, with their subtree."`
	UserFilter       string   `toml:"user_filter" doc:"Finds one user: %u is the name as typed, %n its part before the @, %d the part behind it, all escaped. A class that everybody has only makes it slower."`
	IDAttribute      string   `toml:"id_attribute" doc:"The account's key: never reused and not writable by users. entryUUID, objectGUID, nsUniqueId, ipaUniqueID."`
	LoginAttribute   string   `toml:"login_attribute" doc:"The account's own mail address; its domain is the account's domain."`
	StatusFilter     string   `toml:"status_filter" doc:"An additional filter that matches disabled accounts. nsAccountLock, shadowExpire, pwdAccountLockedTime and userAccountControl are always honoured."`
	PasswordChanged  string   `toml:"password_changed_attribute" doc:"Tells when the main password was last changed: webmail sessions and trusted devices from before end. pwdChangedTime (OpenLDAP's ppolicy), pwdUpdateTime (389-ds), pwdLastSet (AD), krbLastPwdChange (FreeIPA), sambaPwdLastSet, shadowLastChange (which cannot tell two changes on one day apart). Empty: a change ends nothing."`
	Layout           string   `toml:"layout" doc:"\"entry\": records in the user's entry; \"subtree\": in entries of Postern's own below postern_base (AD, read-only directories)."`
	PosternBase      string   `toml:"postern_base" doc:"Postern's own subtree: key-check values, and the records with layout \"subtree\"."`
	Timeout          Duration `toml:"timeout" doc:"For each operation."`
	PoolSize         int      `toml:"pool_size" doc:"Connections to each server at most."`
}

// Keys says where the key files are.
type Keys struct {
	Directory string `toml:"directory" doc:"Holds door.key (policyserver, webhook, posternctl), factor.key (webhook, posternctl only), ticket.key (webhook only) and ticket.pub, which is not secret (policyserver)."`
}

// Policyserver configures the daemon.
type Policyserver struct {
	Socket        string   `toml:"socket" doc:"Unix socket of /verify, for checkpassword and for Lua on Dovecot 2.4. Empty: none. systemd may pass it in instead."`
	SocketUsers   []string `toml:"socket_users" doc:"Who may ask on the socket, by user name or number: the users that Dovecot's auth and auth-worker processes run as."`
	Listen        string   `toml:"listen" doc:"TCP address of /verify, /metrics, /livez, /readyz, for Lua on Dovecot 2.3. Empty: none."`
	APIKeyFile    string   `toml:"api_key_file" doc:"File with the key that callers over TCP send as X-API-Key, or credential:NAME."`
	MaxConns      int      `toml:"max_connections" doc:"Connections at once, on each listener."`
	HashNonceFile string   `toml:"hash_nonce_file" doc:"File with Dovecot's auth_policy_hash_nonce, or credential:NAME. Empty: mail programs are not told that they need an app password."`
}

// Login configures package login.
type Login struct {
	MainPassword string               `toml:"main_password" doc:"Who checks main passwords. \"bind\": the directory. \"dovecot\": your own passdb behind Postern's, which Postern asks by auth_socket. \"next\": the same, but at the mail doors, for accounts without a second factor, Dovecot itself goes on to it. (The last two need the Lua door.)"`
	AuthSocket   string               `toml:"auth_socket" doc:"Dovecot's unix socket for Postern's own questions, unused with main_password = \"bind\". See contrib/dovecot/*-main-password.conf."`
	UnknownUser  string               `toml:"unknown_user" doc:"\"deny\" names that no entry answers to, or leave them to the site's own passdb: \"next\" (Lua door only)."`
	ReturnUser   bool                 `toml:"return_user" doc:"Tell Dovecot the account's own address as the user name. This moves mailboxes of people who log in by another name."`
	Fields       map[string]string    `toml:"fields" doc:"Fields for Dovecot and the attributes they come from, such as userdb_home = \"homeDirectory\"."`
	HelpURL      string               `toml:"help_url" doc:"Where users make app passwords; mail programs show it when they are refused."`
	MasterUsers  map[string][]string  `toml:"master_users" doc:"Master users of Dovecot that may impersonate, each with the networks it may come from. Nobody else may."`
	Observe      map[string]time.Time `toml:"observe" doc:"Domains that are only observed until a date, such as \"example.test\" = 2026-12-31T12:00:00Z: main passwords of users with 2FA still work, and are reported."`
	Deadline     Duration             `toml:"deadline" doc:"For one decision. Doors wait 5 s."`
	DenialTime   Duration             `toml:"denial_time" doc:"Every denial takes a multiple of this, so that unknown names and wrong passwords take equally long. Longer than one bind."`
	MaxBinds     int                  `toml:"max_binds" doc:"Main passwords checked at once. App passwords do not wait for them."`
}

// Audit configures the audit log.
type Audit struct {
	File string `toml:"file" doc:"Empty: standard error, which is the journal under systemd. SIGHUP reopens it."`
}

// Privacy configures what is written down.
type Privacy struct {
	Address   effect.AddressPrivacy `toml:"address" doc:"Client addresses in the audit log: \"full\", \"prefix\" (/24, IPv6 /48) or \"none\"."`
	Retention int                   `toml:"retention" doc:"Days after which is deleted what users did and from where: the history on the Security page, addresses and programs of last uses, tries with the main password. The audit log is not touched. From 7; 0: as long as there is room."`
}

// Duration is a time.Duration written as a string with its unit: a bare number
// would mean nanoseconds, and is an error.
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration; write it like \"2s\" or \"500ms\"", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Default returns the configuration that holds where the file says nothing.
func Default() Config {
	return Config{
		Directory: Directory{
			ReadURIs:        []string{"ldapi:///"},
			UserFilter:      "(&(objectClass=inetOrgPerson)(mail=%u))",
			IDAttribute:     "entryUUID",
			LoginAttribute:  "mail",
			PasswordChanged: "pwdChangedTime",
			Layout:          "entry",
			Timeout:         Duration(2 * time.Second),
			PoolSize:        32,
		},
		Keys: Keys{Directory: "/etc/postern/keys"},
		Policyserver: Policyserver{
			Socket:      "/run/postern/verify.sock",
			SocketUsers: []string{"root", "dovecot"},
			MaxConns:    1024,
		},
		Login: Login{
			MainPassword: MainByBind,
			AuthSocket:   "/run/dovecot/postern-auth",
			UnknownUser:  "deny",
			Deadline:     Duration(4 * time.Second),
			DenialTime:   Duration(50 * time.Millisecond),
			MaxBinds:     8,
		},
		Webhook:  defaultWebhook(),
		Pages:    Pages{Domains: map[string]Brand{}},
		OIDC:     OIDC{Clients: map[string]OIDCClient{}},
		Passkeys: Passkeys{Origins: []string{}, Related: []string{}, Android: []string{}, Apple: []string{}, AAGUIDs: []string{}, Domains: map[string]RPDomain{}},
		Plugins:  map[string]Plugin{},
		Sessions: defaultSessions(),
		Mail:     defaultMail(),
		Throttle: throttle.Default(),
		Admin:    Admin{Clients: map[string]AdminClient{}},
		Privacy:  Privacy{Address: effect.AddressFull, Retention: defaultRetention},
		Sweep:    defaultSweep(),
	}
}
