package doctor

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"postern/contrib"
	"postern/internal/app"
)

// passdbs looks at the chain: Postern's must be there, first among those that take
// passwords, and final.
func (e *examination) passdbs(ctx context.Context) {
	if e.dovecot == nil {
		return
	}
	list := e.dovecot.passdbs()
	at := slices.IndexFunc(list, func(p passdb) bool { return p.ours && p.scope == "" })
	if at < 0 {
		e.wrong("passdb-missing", "", "no passdb is Postern's: every other one lets main passwords in")
	} else {
		e.ok("passdb-missing", list[at].named(), "Postern is asked")
		e.ourPassdb(ctx, &list[at])
	}
	clean := true
	for i := range list {
		if i != at {
			clean = e.otherPassdb(list, i, at) && clean
		}
	}
	if at >= 0 && clean {
		e.ok("passdb-other", "", "no other passdb lets main passwords in")
	}
	e.cache(list)
}

// ourPassdb: its refusal, and its "could not check", must be the end (FACTS: Dovecot's
// default for both is to go on).
func (e *examination) ourPassdb(ctx context.Context, p *passdb) {
	final := true
	for _, name := range []string{"result_failure", "result_internalfail"} {
		if v := p.get(name, "continue"); v != "return-fail" {
			final = false
			e.wrong("passdb-result", name, fmt.Sprintf("%s of Postern's passdb is %s: after a refusal Dovecot asks the next passdb", name, v))
		}
	}
	if v := p.get("result_success", "return-ok"); v != "return-ok" && v != "continue-ok" {
		final = false
		e.wrong("passdb-result", "result_success", "result_success of Postern's passdb is "+v+": what Postern grants, another passdb decides")
	}
	if v := p.get("skip", "never"); v != "never" {
		final = false
		e.wrong("passdb-result", "skip", "Postern's passdb has skip = "+v+": it is not always asked")
	}
	if final {
		e.ok("passdb-result", p.named(), "its refusals are final")
	}
	if m := p.mechs(); len(m) > 0 && (!slices.Contains(m, "PLAIN") || !slices.Contains(m, "LOGIN")) {
		e.wrong("passdb-result", "mechanisms", "Postern's passdb is kept to "+strings.Join(m, " ")+": passwords by other mechanisms go past it")
	}
	switch p.driver {
	case "lua":
		e.luaScript(p)
	case "checkpassword":
		e.addressSpace(ctx, p)
		if e.Config.Login.MainPassword != app.MainByBind || e.Config.Login.UnknownUser == "next" {
			e.wrong("passdb-door", p.named(), "checkpassword cannot say \"ask the next passdb\", which login.main_password or login.unknown_user demands")
		}
	}
}

// otherPassdb looks at a passdb that is not Postern's, or is so in one protocol only.
func (e *examination) otherPassdb(list []passdb, i, at int) (fine bool) {
	p := &list[i]
	switch {
	case p.ours:
		e.warn("passdb-twice", p.named(), "Postern's passdb is there more than once: each login is checked, and counted, as often")
	case p.yes("master"):
		e.masterPassdb(p)
		return false
	case p.yes("deny"):
		return true // it can only refuse
	case !p.takesPasswords():
		e.strongPassdb(p)
		return true
	case p.scope == "" && i > at && at >= 0 && e.ownPassdb(&list[at]):
		e.fieldsPassdb(&list[at], p)
		return true
	case p.scope == "" && i < at:
		e.wrong("passdb-other", p.named(), "it is asked before Postern's, and lets main passwords in")
	case p.scope != "":
		e.wrong("passdb-other", p.named(), "it is asked in one protocol only, and lets main passwords in there")
	default:
		e.wrong("passdb-other", p.named(), "it stands behind Postern's although main passwords are checked by the directory: it is not asked today, and one changed line opens it")
	}
	return false
}

// ownPassdb reports whether this site has a passdb of its own behind Postern's.
func (e *examination) ownPassdb(ours *passdb) bool {
	return e.Config.Login.MainPassword != app.MainByBind || e.Config.Login.UnknownUser == "next" ||
		ours.get("result_success", "") == "continue-ok"
}

// fieldsPassdb: behind continue-ok, a refusal of its own is dropped unless it is final.
func (e *examination) fieldsPassdb(ours, p *passdb) {
	if ours.get("result_success", "") == "continue-ok" && p.get("result_failure", "continue") != "return-fail" {
		e.warn("passdb-fields", p.named(), "Dovecot drops its refusal (allow_nets, for instance) together with its fields")
		return
	}
	e.ok("passdb-fields", p.named(), "is asked after Postern's")
}

// masterPassdb: master users get in without the owner's factors (ATTACKS 13). Postern
// refuses those that login.master_users does not name, if it is asked at all.
func (e *examination) masterPassdb(p *passdb) {
	if len(e.Config.Login.MasterUsers) > 0 {
		e.warn("passdb-master", p.named(), "master users may log in as anybody, without a second factor; login.master_users says who, from where")
		return
	}
	e.wrong("passdb-master", p.named(), "master users may log in as anybody, without a second factor, and login.master_users names none")
}

// strongPassdb: one for mechanisms without a password must be declared, or the second
// net refuses everybody with two-factor login.
func (e *examination) strongPassdb(p *passdb) {
	if p.declared() || p.driver == "oauth2" && e.oauthDeclared() {
		e.ok("mechanism-declared", p.named(), "is declared for "+strings.Join(p.mechs(), " "))
		return
	}
	e.warn("mechanism-declared", p.named(), "is not declared: the auth policy's second question refuses users with two-factor login")
}

func (e *examination) oauthDeclared() bool {
	return strings.HasPrefix(e.dovecot.one("oauth2", "").one("fields", "").get("cred_id", ""), "declared.")
}

// cache: an answer from Dovecot's cache ignores the service, and outlives a revocation
// (ATTACKS 18).
func (e *examination) cache(list []passdb) {
	clean := true
	for i := range list {
		if p := &list[i]; strings.Contains(p.get("args", ""), "cache_key=") && p.driver == "lua" || p.ours && p.get("cache_key", "") != "" {
			clean = false
			e.wrong("auth-cache", p.named(), "it has a cache key: a revoked app password goes on working, on every service")
		}
	}
	if n, ok := size(e.dovecot.get("auth_cache_size", "0")); ok && n > 0 {
		others := slices.ContainsFunc(list, func(p passdb) bool { return !p.ours || p.driver == "lua" && e.dovecot.version == "2.3" })
		if others {
			clean = false
			e.wrong("auth-cache", "auth_cache_size", "Dovecot caches what passdbs say: who switched two-factor login on is let in by the old password from the cache")
		}
	}
	if clean {
		e.ok("auth-cache", "", "no answer about a password is cached")
	}
}

var (
	settingsLine = regexp.MustCompile(`(?m)^local settings_file = ".*"$`)
	cacheKeyFunc = regexp.MustCompile(`(?m)^[^-\n]*\bauth_passdb_get_cache_key\b`)
)

// luaScript compares the door's script with the one of this version, but for the name
// of its settings file.
func (e *examination) luaScript(p *passdb) {
	path := e.inRoot(luaFile(p.block))
	b, err := os.ReadFile(path)
	if err != nil {
		e.unchecked("lua-script", path, err.Error())
		return
	}
	shipped, err := contrib.File("dovecot/postern.lua")
	if err != nil {
		e.unchecked("lua-script", path, err.Error())
		return
	}
	if cacheKeyFunc.Match(b) {
		e.wrong("auth-cache", path, "the script has a function auth_passdb_get_cache_key: Dovecot then caches its answers")
	}
	if plainScript(string(b)) != plainScript(shipped) {
		e.wrong("lua-script", path, "it is not the script of this version of Postern: somebody changed it, or it was not upgraded")
		return
	}
	e.ok("lua-script", path, "is the script of this version")
	e.luaSettings(p, string(b))
}

func plainScript(text string) string {
	return strings.TrimSpace(settingsLine.ReplaceAllString(text, "local settings_file = \"\""))
}

// luaSettings: the file of Dovecot 2.3 holds the API key.
func (e *examination) luaSettings(p *passdb, script string) {
	if e.dovecot.version != "2.3" || p.settings["lua_file"] != "" {
		return
	}
	_, path, _ := strings.Cut(settingsLine.FindString(script), `"`)
	path = e.inRoot(strings.TrimSuffix(path, `"`))
	e.mode("lua-settings", path, 0o027)
	e.keptFrom("lua-settings", path, e.asks(p)...)
}
