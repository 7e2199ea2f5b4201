package doctor

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/seal"
	"postern/internal/secretfile"
)

// Host is what one host says about itself, to be compared with another. It holds no
// secret and no setting: facts are MACs under the site's door key, of which only another
// host of the site knows whether they are the same as its own.
type Host struct {
	Name    string            `json:"name"`
	Time    time.Time         `json:"time"`
	Version string            `json:"version"` // of posternctl
	Dovecot string            `json:"dovecot,omitempty"`
	Keys    map[string]string `json:"keys"` // ids by role, the one in use first
	Facts   map[string]string `json:"facts,omitempty"`
}

// factSize is how much of a MAC is told, in bytes.
const factSize = 8

// describe makes the Host of this one, as far as it can be read.
func (e *examination) describe() Host {
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	h := Host{Name: name, Time: e.Now().UTC().Truncate(time.Second), Version: e.Version, Keys: map[string]string{}}
	if e.dovecot != nil {
		h.Dovecot = e.dovecot.full
	}
	for _, role := range roles {
		if ring, err := e.Config.OpenRing(role); err == nil {
			h.Keys[role] = keyIDs(ring, role)
		}
	}
	ring, err := e.Config.OpenRing(account.RoleDoor)
	if err != nil {
		return h
	}
	f := facts{ring: ring, all: map[string]string{}}
	e.settingFacts(&f)
	e.secretFacts(&f)
	e.dovecotFacts(&f)
	if len(e.keyChecks) > 0 {
		f.add("site", e.keyChecks...)
	}
	h.Facts = f.all
	return h
}

func keyIDs(ring *seal.Ring, role string) string {
	var ids []string
	for _, id := range ring.IDs(role) {
		ids = append(ids, id.String())
	}
	return strings.Join(ids, " ")
}

// facts collects them.
type facts struct {
	ring *seal.Ring
	all  map[string]string
}

func (f *facts) add(key string, values ...string) {
	sum, err := f.ring.MAC(account.RoleDoor, "doctor/host", append([]string{key}, values...)...)
	if err == nil {
		f.all[key] = hex.EncodeToString(sum[:factSize])
	}
}

// ownSettings are a host's own, by their beginning: addresses, paths, sizes, and by which
// account the directory is asked.
var ownSettings = []string{
	"directory.read_uris", "directory.write_uri", "directory.timeout", "directory.pool_size", "directory.starttls", "directory.allow_plaintext",
	"directory.sasl_external", "directory.bind_dn", "keys.", "policyserver.", "login.auth_socket", "login.deadline", "login.max_binds",
	"sessions.doveadm", "sessions.spool", "throttle.redis_deadline", "throttle.max_keys", "mail.server", "mail.starttls", "mail.user",
	"mail.spool", "mail.templates", "audit.", "doctor.", "webhook.socket", "webhook.listen", "webhook.max_connections", "webhook.trusted_proxies",
}

// pageSettings matter where the webhook is, and nowhere else.
var pageSettings = []string{"webhook.", "pages.", "client_setup.", "oidc.", "passkeys.", "plugins.", "admin."}

// isPageSetting: webhook.networks is Dovecot's hosts', too.
func isPageSetting(key string) bool {
	return key != "webhook.networks" && beginsWith(key, pageSettings)
}

// settingFact begins the facts about settings.
const settingFact = "setting "

func beginsWith(key string, list []string) bool {
	return slices.ContainsFunc(list, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// settingFacts: each is named "setting KEY" (settingFact).
func (e *examination) settingFacts(f *facts) {
	web := e.Config.Webhook.PublicURL != ""
	err := e.Config.Settings(func(key string, value any) {
		if beginsWith(key, ownSettings) || strings.Contains(key, "_file") ||
			!web && isPageSetting(key) {
			return
		}
		f.add(settingFact+key, fmt.Sprint(value))
	})
	if err != nil {
		e.unchecked("config", e.Config.Path(), err.Error())
	}
	if uris := e.Config.Directory.ReadURIs; len(uris) > 0 {
		f.add(settingFact+"directory.write_uri", cmp.Or(e.Config.Directory.WriteURI, uris[0]))
	}
}

// ownSecrets may differ between hosts.
var ownSecrets = []string{"directory.bind_password_file", "policyserver.api_key_file", "webhook.tls_key_file", "client_setup.profile_key_file",
	"mail.password_file", "doctor.canary_password_file", "plugins."}

// secretFacts: each is named "secret KEY".
func (e *examination) secretFacts(f *facts) {
	list, err := secretFiles(e.Config)
	if err != nil {
		return // files says so
	}
	for _, s := range list {
		if beginsWith(s.key, ownSecrets) {
			continue
		}
		if text, err := secretfile.ReadLine(s.path); err == nil {
			f.add("secret "+s.key, string(text))
		}
	}
}

// dovecotFacts: each is named "dovecot KEY".
func (e *examination) dovecotFacts(f *facts) {
	d := e.dovecot
	if d == nil {
		return
	}
	for _, p := range d.passdbs() {
		if p.ours && p.driver == "lua" {
			if text, err := readFile(e.inRoot(luaFile(p.block))); err == nil {
				f.add("dovecot postern.lua", plainScript(text))
			}
		}
	}
	var chain []string
	for _, p := range d.passdbs() {
		chain = append(chain, p.scope, p.driver, p.get("result_success", ""), p.get("result_failure", ""), p.get("result_internalfail", ""),
			p.get("skip", ""), p.get("master", ""), p.get("deny", ""), strings.Join(p.mechs(), " "))
	}
	f.add("dovecot passdbs", chain...)
	f.add("dovecot auth_mechanisms", d.get("auth_mechanisms", "plain"))
	policy := d.policySettings()
	for _, name := range []string{"hash_nonce", "hash_mech", "hash_truncate", "check_before_auth", "check_after_auth", "report_after_auth", "reject_on_fail"} {
		f.add("dovecot auth_policy_"+name, policy[name])
	}
	var sent []string
	for k, v := range d.policyAttributes() {
		sent = append(sent, k+"="+v)
	}
	slices.Sort(sent)
	f.add("dovecot auth_policy_request_attributes", sent...)
}
