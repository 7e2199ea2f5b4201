package factor

import (
	"postern/internal/account"
	"postern/internal/policy"
)

// Names of the built-in factors, as Factor.Name returns them.
const (
	NameTOTP    = policy.MethodTOTP
	NamePasskey = policy.MethodPasskey
	NameBackup  = "backup"
)

// Allowed reports whether policy lets a factor of that kind and name be used.
func Allowed(p policy.Effective, k account.Kind, name string) bool {
	if k == account.KindBackup {
		return p.BackupCodes
	}
	return p.AllowsMethod(name)
}
