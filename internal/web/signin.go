package web

import "time"

// Choice is one method that can be chosen.
type Choice struct {
	Method Method
	Label  string // a plug-in's own; empty for the built-in ones
}

// Challenge is one method's form, part of SignIn and Confirm.
type Challenge struct {
	Methods []Choice // what the account can use, best first; the chosen one among them
	Method  Method   // the one whose form is shown; empty: only the choice
	Digits  int      // TOTP: of its codes; 0: 6
	// Options is a passkey's request: the JSON of PublicKeyCredentialRequestOptions
	// (WebAuthn level 3, section 5.1.8).
	Options string
	Prompt  Prompt // a plug-in's
	// Disabled: this method was switched off after too many wrong tries; no form.
	Disabled bool
}

// SignIn is the second step after a right password.
type SignIn struct {
	Common
	Challenge
	TrustDays int  // how long a device can be trusted; 0: not offered
	Trust     bool // ticked, when the page is shown again
}

func (*SignIn) view() (string, string) { return "signin", "signin_title" }

// SignInPasskey is the sign-in with a passkey instead of a password, by button or
// from the browser's autofill (conditional mediation).
type SignInPasskey struct {
	Common
	Options string // as in Challenge, without allowCredentials
}

func (*SignInPasskey) view() (string, string) { return "passkey", "passkey_title" }

// Confirm asks for a fresh proof before a change in Security.
type Confirm struct {
	Common
	Challenge        // with Password among the methods where there is no factor yet
	Next      string // FieldNext, sealed or checked by the daemon: where to go on
	Cancel    string // path of where Cancel leads
}

func (*Confirm) view() (string, string) { return "confirm", "confirm_title" }

// Duty says that the account's policy wants a second factor.
type Duty struct {
	Mandatory bool
	Until     time.Time // end of the grace period; zero: none
	DaysLeft  int       // of it; 0: cannot be put off
	// Anew: two-step login is on, and no method is left. Code: a backup code was spent on
	// getting here; LastCode: the last one.
	Anew, Code, LastCode bool
	// Said: the page before has said so.
	Said bool
}
