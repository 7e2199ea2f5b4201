// Package admin says who may administer whom.
//
// An administrator is an account that a group of the directory names (roles.go): a site
// administrator, an administrator of some domains, or a help desk; a hosting panel is
// one by its key (FEATURES A6, A18, E6). What either may do is an Authority, and one
// table says which role has which Right (right.go). Package desk asks it about the
// account as just read, at the moment of each change; nothing else decides.
//
// Three rules stand beside the table (ATTACKS 27): the domain that counts is that of the
// account's entry, never of a name that was typed; nobody acts on an administrator above,
// which is one who may more or elsewhere; nobody resets, provisions or bypasses
// themselves. What could not be looked up is neither "an administrator" nor "none": it is
// account.ErrUnavailable.
package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"postern/internal/account"
	"postern/internal/policy"
)

// ErrForbidden is wrapped by every refusal of this package. The texts say why, for the
// administrator to read.
var ErrForbidden = errors.New("not allowed")

// ErrElsewhere: the account or domain is none of those that the administrator has. It is
// an ErrForbidden; outside the audit log it is better told as "there is no such account".
var ErrElsewhere = fmt.Errorf("%w here", ErrForbidden)

// Role is a kind of administrator; a greater one is above.
type Role uint8

// The roles. Watcher is for keys of hosting panels only.
const (
	None     Role = iota
	Watcher       // sees who has two-factor login
	HelpDesk      // and resets, and makes enrolment tokens
	Domain        // and all else about the accounts of its domains, and their policy
	Site          // everything
)

var roleNames = map[Role]string{None: "none", Watcher: "status", HelpDesk: "helpdesk", Domain: "domain", Site: "site"}

// String is the role's name in logs and answers: none, status, helpdesk, domain, site.
func (r Role) String() string { return roleNames[r] }

// ParseRole reads the String of a role that somebody can have.
func ParseRole(text string) (Role, error) {
	for r, name := range roleNames {
		if name == text && r != None {
			return r, nil
		}
	}
	return None, fmt.Errorf("%.20q is none of status, helpdesk, domain, site", text)
}

// Authority is what somebody may do. The zero value may nothing.
type Authority struct {
	// Role is the highest that there is, in whatever domain: see RoleIn.
	Role Role
	// All domains are meant; else Domains, in the form of policy.DomainName, sorted.
	All     bool
	Domains []string
	// Name is for the audit log: the administrator's login name and role, or "api:NAME".
	Name string
	// Self is the administrator's own account; empty for a panel.
	Self account.ID
	// Panel says that it is a program with a key: it has no right that would let it into
	// a mailbox (FEATURES E6).
	Panel bool

	everywhere Role            // in all domains
	in         map[string]Role // in one, where that is more
	roles      *Roles          // tells what a target is; nil: nothing
}

// RoleIn is the role in a domain, None if there is none.
func (a *Authority) RoleIn(domain string) Role {
	return max(a.everywhere, a.in[policy.DomainName(domain)])
}

// May reports whether the right extends to the account, which must be as just read; nil
// means yes. Errors: ErrForbidden; account.ErrUnavailable when nobody can tell whether
// the account is an administrator's.
func (a *Authority) May(ctx context.Context, right Right, target *account.Account) error {
	if err := a.MayDomain(right, target.Domain); err != nil {
		return err
	}
	if a.Self != "" && a.Self == target.ID {
		if rules[right].notSelf {
			return fmt.Errorf("%w: nobody may %s that is their own; another administrator can", ErrForbidden, right)
		}
		return nil
	}
	if rules[right].looks || a.roles == nil {
		return nil
	}
	other, err := a.roles.Of(ctx, target)
	if err != nil {
		return err
	}
	if !a.over(a.RoleIn(target.Domain), &other) {
		return fmt.Errorf("%w: %s is an administrator, whom somebody above must see to", ErrForbidden, target.Name)
	}
	return nil
}

// MayDomain is May about the accounts of a domain in general; "" is none that has a name,
// and asks about all. Errors: ErrForbidden.
func (a *Authority) MayDomain(right Right, domain string) error {
	rule, role := rules[right], a.RoleIn(domain)
	switch {
	case role == None && a.Role != None:
		return fmt.Errorf("%w: this is not in %s", ErrElsewhere, a.domains())
	case rule.least == None || role < rule.least:
		return fmt.Errorf("%w: to %s is for %s", ErrForbidden, right, article[rule.least])
	case a.Panel && rule.noPanel:
		return fmt.Errorf("%w: to %s is for people, not for keys of the API", ErrForbidden, right)
	}
	return nil
}

// MayLevel is May about the policy of a domain or class, or the site's default, with
// SeePolicy or SetPolicy. What holds for a class or for all is seen by all who may see
// policies, and set by site administrators. Errors: ErrForbidden.
func (a *Authority) MayLevel(right Right, l policy.Level) error {
	switch {
	case l.Kind == policy.LevelAccount, right != SeePolicy && right != SetPolicy:
		return fmt.Errorf("%w: this is not about a level", ErrForbidden)
	case l.Kind == policy.LevelDomain:
		return a.MayDomain(right, l.Name)
	case right == SeePolicy && a.Role >= rules[SeePolicy].least:
		return nil
	case a.everywhere < Site:
		return fmt.Errorf("%w: what holds for a class or for all is for %s", ErrForbidden, article[Site])
	}
	return nil
}

// Can reports whether there is the right at all, over whomever: for what a page offers.
func (a *Authority) Can(right Right) bool {
	rule := rules[right]
	return rule.least != None && a.Role >= rule.least && (!a.Panel || !rule.noPanel)
}

// over reports whether an administrator, who acts as role, may act on another: if that
// one may nothing that the first may not. A help desk acts on no administrators: it is
// what strangers call.
func (a *Authority) over(role Role, other *Authority) bool {
	if other.Role == None {
		return true
	}
	if role <= HelpDesk || other.everywhere > a.everywhere {
		return false
	}
	for domain, r := range other.in {
		if r > a.RoleIn(domain) {
			return false
		}
	}
	return true
}

// add gives what a grant says. One for a domain without a name gives nothing.
func (a *Authority) add(g Grant) {
	domain := policy.DomainName(g.Domain)
	switch {
	case g.Role == None || !g.All && domain == "":
		return
	case g.All:
		a.everywhere, a.All = max(a.everywhere, g.Role), true
	default:
		if a.in == nil {
			a.in = make(map[string]Role)
		}
		a.in[domain] = max(a.in[domain], g.Role)
	}
	a.Role = max(a.Role, g.Role)
	if a.Domains = nil; !a.All {
		a.Domains = slices.Sorted(maps.Keys(a.in))
	}
}

func (a *Authority) domains() string {
	if len(a.Domains) > 3 {
		return fmt.Sprintf("the %d domains that you administer", len(a.Domains))
	}
	return "the domains that you administer (" + strings.Join(a.Domains, ", ") + ")"
}

// article is a role in a sentence.
var article = map[Role]string{None: "nobody", Watcher: "keys of the API", HelpDesk: "help desks",
	Domain: "domain administrators", Site: "site administrators"}
