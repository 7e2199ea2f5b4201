package ldapstore

import (
	"strconv"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// statusRules say what each attribute means for the use of an account. App
// passwords and tickets are checked without a bind, so the directory cannot
// refuse them: what its own password policy would look at, Postern has to.
var statusRules = []struct {
	attribute string
	judge     func(value string, now time.Time) account.Status
}{
	{"nsAccountLock", flagged},             // 389-ds, FreeIPA, Oracle
	{"pwdAccountLockedTime", lockedTime},   // OpenLDAP's ppolicy
	{"pwdStartTime", startTime},            // the same, since 2.5
	{"pwdEndTime", endTime},                //
	{"shadowExpire", shadowExpire},         // RFC 2307
	{"accountUnlockTime", unlockTime},      // 389-ds, after wrong binds
	{"userAccountControl", accountControl}, // Active Directory
	{"accountExpires", windowsExpiry},      //
	{"lockoutTime", windowsLock},           //
}

// status is the worst that any attribute says, and which attribute that was.
func status(e *ldap.Entry, now time.Time) (account.Status, string) {
	worst, cause := account.Active, ""
	for _, rule := range statusRules {
		for _, v := range values(e, rule.attribute) {
			if st := rule.judge(string(v), now); st > worst {
				worst, cause = st, rule.attribute+": "+string(v)
			}
		}
	}
	return worst, cause
}

func disabledIf(yes bool) account.Status {
	if yes {
		return account.Disabled
	}
	return account.Active
}

// flagged is closed: what is not clearly false locks.
func flagged(v string, _ time.Time) account.Status {
	return disabledIf(!strings.EqualFold(v, "FALSE"))
}

// lockedTime: the attribute outlives the lock, whose duration is in the password
// policy: it goes with the next right bind. An administrator's lock is the time 000001010000Z
// (draft-behera-ldap-password-policy-10 section 5.3.3), any other was set by
// wrong binds.
func lockedTime(v string, _ time.Time) account.Status {
	if strings.HasPrefix(v, "00000101") {
		return account.Disabled
	}
	return account.BindLocked
}

// unlockTime: the beginning of 1970 means until an administrator unlocks.
func unlockTime(v string, now time.Time) account.Status {
	t, err := ber.ParseGeneralizedTime([]byte(v))
	if err == nil && t.Unix() != 0 && !now.Before(t) {
		return account.Active
	}
	return account.BindLocked
}

func startTime(v string, now time.Time) account.Status {
	t, err := ber.ParseGeneralizedTime([]byte(v))
	return disabledIf(err != nil || now.Before(t))
}

func endTime(v string, now time.Time) account.Status {
	t, err := ber.ParseGeneralizedTime([]byte(v))
	return disabledIf(err != nil || !now.Before(t))
}

// shadowExpire counts days since 1970; the account is closed from that day on, as
// in pam_unix. Negative: never.
func shadowExpire(v string, now time.Time) account.Status {
	days, err := strconv.ParseInt(v, 10, 64)
	return disabledIf(err != nil || days >= 0 && now.Unix()/86400 >= days)
}

// accountControl: ADS_UF_ACCOUNTDISABLE ([MS-ADTS] section 2.2.16).
func accountControl(v string, _ time.Time) account.Status {
	flags, err := strconv.ParseInt(v, 10, 64)
	return disabledIf(err != nil || flags&2 != 0)
}

// windowsExpiry: intervals of 100 ns since 1601; 0 and the largest number mean
// never ([MS-ADA1] section 2.1).
func windowsExpiry(v string, now time.Time) account.Status {
	const never, epoch = 1<<63 - 1, 11644473600
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return account.Disabled
	}
	return disabledIf(n != 0 && n != never && now.Unix() >= n/1e7-epoch)
}

func windowsLock(v string, _ time.Time) account.Status {
	if v == "0" {
		return account.Active
	}
	return account.BindLocked
}
