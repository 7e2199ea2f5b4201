package app

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// Passkeys configures what passkeys and security keys are made for.
type Passkeys struct {
	RPID    string              `toml:"rp_id" doc:"The relying party: the pages' host, or a parent domain of it that is yours. It cannot be changed later: passkeys are made for it. Empty: the host of webhook.public_url."`
	Name    string              `toml:"name" doc:"What browsers call it. Empty: rp_id."`
	Origins []string            `toml:"origins" doc:"Pages that may use passkeys: scheme, host and port, exactly; and apps, as android:apk-key-hash:…. Empty: that of webhook.public_url."`
	Related []string            `toml:"related_origins" doc:"Pages on other domains that may use these passkeys, too: https://, host and port, exactly. Browsers ask https://RP_ID/.well-known/webauthn for them, which the webhook answers."`
	Android []string            `toml:"android_apps" doc:"Android apps that may: \"PACKAGE FINGERPRINT\", the signing certificate's SHA-256 as keytool prints it. Their origins need not be listed."`
	Apple   []string            `toml:"apple_apps" doc:"Apps on Apple's systems that may: TEAMID.BUNDLE.ID."`
	AAGUIDs []string            `toml:"aaguids" doc:"Only authenticators of these makes can be added. They say so themselves: a rule for users, not for forgers. Empty: all."`
	Domains map[string]RPDomain `toml:"domains" doc:"Hosted domains with a relying party of their own, by the accounts' domain."`
}

// RPDomain is the relying party of one hosted domain.
type RPDomain struct {
	RPID    string   `toml:"rp_id" doc:"The relying party."`
	Name    string   `toml:"name" doc:"What browsers call it. Empty: rp_id."`
	Origins []string `toml:"origins" doc:"Pages that may use passkeys."`
	Related []string `toml:"related_origins" doc:"Pages on other domains that may, such as the site's own: https://RP_ID/.well-known/webauthn must lead to the webhook."`
}

// RelyingParty is a relying party with what the configuration leaves to defaults.
type RelyingParty struct {
	ID, Name string
	Origins  []string // below ID, and those of apps
	Related  []string // on other domains
}

// RelyingParties are the site's own and those of hosted domains.
func (c *Config) RelyingParties() (RelyingParty, map[string]RelyingParty) {
	p := c.Passkeys
	own := RelyingParty{ID: p.RPID, Name: p.Name, Origins: p.Origins, Related: p.Related}
	if u, err := url.Parse(c.Webhook.PublicURL); err == nil {
		if own.ID == "" {
			own.ID = u.Hostname()
		}
		if len(own.Origins) == 0 {
			own.Origins = []string{u.Scheme + "://" + u.Host}
		}
	}
	own.Origins = slices.Concat(own.Origins, p.androidOrigins())
	domains := make(map[string]RelyingParty)
	for domain, d := range p.Domains {
		domains[strings.ToLower(domain)] = named(RelyingParty{ID: d.RPID, Name: d.Name, Origins: slices.Concat(d.Origins, p.androidOrigins()), Related: d.Related})
	}
	return named(own), domains
}

func named(rp RelyingParty) RelyingParty {
	if rp.Name == "" {
		rp.Name = rp.ID
	}
	return rp
}

func (p *Passkeys) problems(ps *problemList) {
	p.appProblems(ps)
	if p.RPID != "" {
		ps.join("passkeys.rp_id", checkRPID(p.RPID))
	}
	for domain, d := range p.Domains {
		ps.join("passkeys.domains."+domain+".rp_id", checkRPID(d.RPID))
		if len(d.Origins)+len(d.Related) == 0 {
			ps.add("passkeys.domains.%s.origins: needed", domain)
		}
	}
}

func checkRPID(id string) error {
	if id == "" || strings.ContainsAny(id, ":/@ ") || id != strings.ToLower(id) {
		return errors.New("must be a domain in lower case, without scheme and port")
	}
	return nil
}
