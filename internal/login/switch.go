package login

import "postern/internal/account"

// SwitchedOff goes with Granted: the main password of an account with two-factor login,
// let in because an administrator has switched Postern off for a while (package
// siteswitch).
const SwitchedOff Reason = "switched_off"

// sayOff gives a login its reason that only the switch has let in.
func sayOff(d *Decision) {
	if d.Outcome == account.Granted && d.Reason == "" && d.Credential == "main" && d.Account != nil &&
		d.Account.SwitchedOff && d.Account.TwoFactor() {
		d.Reason = SwitchedOff
	}
}
