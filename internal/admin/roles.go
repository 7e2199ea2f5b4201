package admin

import (
	"context"
	"time"

	"postern/internal/account"
)

// MaxAge is how old what is known of the groups may be when somebody's authority is
// asked for: who is taken out of one loses it within that time.
const MaxAge = 10 * time.Second

// Grant is one reason why an account is an administrator's.
type Grant struct {
	Role   Role
	All    bool   // of all domains
	Domain string // else of this one
	Source string // the group's name, or the attribute's
}

// Members says who is an administrator, and why, as the directory had it.
type Members interface {
	// Grants are those of the account, by its entry's name in the directory.
	Grants(*account.Account) []Grant
}

// Directory looks the groups up. Errors: account.ErrUnavailable, also when a group that is
// configured is not there or cannot be read.
type Directory interface {
	Members(ctx context.Context) (Members, error)
}

// Roles tells who is an administrator. Now must be set: time.Now outside tests. It is safe
// for concurrent use.
type Roles struct {
	Directory Directory // nil: nobody is one
	Now       func() time.Time

	cache cache
}

// Of is the authority of an account; of most it may nothing, and that is no error. An
// account that the directory has switched off is nobody's. Errors:
// account.ErrUnavailable.
func (r *Roles) Of(ctx context.Context, a *account.Account) (Authority, error) {
	grants, err := r.Grants(ctx, a)
	if err != nil {
		return Authority{}, err
	}
	if a.Status == account.Disabled || a.ID == "" {
		return Authority{}, nil
	}
	var who Authority
	for _, g := range grants {
		who.add(g)
	}
	if who.Role != None {
		who.Self, who.roles = a.ID, r
		who.Name = a.Name + " (" + titles[who.Role] + ")"
	}
	return who, nil
}

// Grants are the reasons why an account is an administrator's; none: it is not. Errors:
// account.ErrUnavailable.
func (r *Roles) Grants(ctx context.Context, a *account.Account) ([]Grant, error) {
	m, err := r.members(ctx)
	if err != nil || m == nil {
		return nil, err
	}
	return m.Grants(a), nil
}

// Panel is the authority of a program with a key of the API. Its domains may be "*".
func (r *Roles) Panel(name string, role Role, domains ...string) Authority {
	a := Authority{Name: "api:" + name, Panel: true, roles: r}
	for _, d := range domains {
		a.add(Grant{Role: role, All: d == "*", Domain: d})
	}
	return a
}

// titles are the roles behind a name in the audit log.
var titles = map[Role]string{HelpDesk: "help desk", Domain: "domain administrator", Site: "site administrator"}
