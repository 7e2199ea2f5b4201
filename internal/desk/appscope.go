package desk

import (
	"fmt"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/policy"
)

// mayScope checks what an app password is to be good for against the policy, whoever
// makes it: the doors would refuse it all the same.
func mayScope(scope *factor.AppPassword, eff policy.Effective) error {
	if len(scope.Services) == 0 {
		return fmt.Errorf("%w: name a service; the policy of %s (app_password_services) allows %v",
			ErrForbidden, eff.Origin["app_password_services"], eff.AppPasswordServices)
	}
	for _, s := range scope.Services {
		if !eff.AllowsService(string(s)) {
			return fmt.Errorf("%w: no app password for %s by the policy of %s (app_password_services), which allows %v",
				ErrForbidden, s, eff.Origin["app_password_services"], eff.AppPasswordServices)
		}
	}
	if eff.ServiceAccount {
		return fixed(scope, eff)
	}
	return nil
}

// fixed refuses what is too wide for a service account: its app passwords lie about in
// the settings of machines, and must be worth nothing anywhere else.
func fixed(scope *factor.AppPassword, eff policy.Effective) error {
	origin := eff.Origin["service_account"]
	if len(scope.Services) != 1 {
		return fmt.Errorf("%w: an app password of a service account (policy of %s) must be for exactly one service, not for %v",
			ErrForbidden, origin, scope.Services)
	}
	if len(scope.Networks) == 0 {
		return fmt.Errorf("%w: an app password of a service account (policy of %s) must name the networks that it is used from",
			ErrForbidden, origin)
	}
	for _, n := range scope.Networks {
		if n.Bits() == 0 {
			return fmt.Errorf("%w: %s is everywhere; an app password of a service account (policy of %s) is for fixed networks",
				ErrForbidden, n, origin)
		}
	}
	return nil
}

// noService keeps a service account from what only people have.
func noService(a *account.Account, eff policy.Effective) error {
	if !eff.ServiceAccount {
		return nil
	}
	return fmt.Errorf("%w: %s is a service account by the policy of %s (service_account): nobody enrols, and nobody signs in with its main password",
		ErrForbidden, a.Name, eff.Origin["service_account"])
}
