package main

import "postern/internal/login"

// texts are what webmail shows with a denial. Before the password is known to be
// right, all denials read the same but those by address or by the mere shape of what
// was typed: nobody learns whether the name exists, or whether two-step login is on.
// Afterwards, they help.
var texts = map[login.Reason]string{
	login.Throttled:            "Too many tries. Wait a few minutes, then try again.",
	login.AppPasswordAtWebmail: "This looks like an app password. They are for mail programs: sign in here with your main password.",
	login.DirectoryDown:        "We cannot check this right now. Try again in a minute.",

	// At the exchange: the password was right.
	login.BadTransaction:  "This sign-in could not be finished. Sign in again.",
	login.TransactionOver: "Signing in took too long. Sign in again.",
	login.BadCode:         "Signing in took too long, or was not finished. Sign in again.",
	login.AccountChanged:  "Your account was changed while you signed in. Sign in again.",
	login.SpentCode:       "This code was used already. Wait for the next one, then sign in again.",
	login.FactorDisabled:  "This method was switched off after too many wrong codes. Sign in another way, or ask whoever looks after your mail.",
	login.FactorForbidden: "You may not sign in this way any more. Sign in another way.",
	login.FactorMissing:   "What you signed in with was removed meanwhile. Sign in another way.",
	login.ClonedKey:       "There seems to be a copy of your security key. Sign in another way, and ask whoever looks after your mail.",

	// With a grant.
	login.BadGrant:     "Your session has ended. Sign in again.",
	login.GrantOver:    "Your session has ended. Sign in again.",
	login.SessionEnded: "Your session has ended. Sign in again.",
}

const (
	textWrong      = "The user name or the password is not right, or this account cannot sign in here."
	textNotCurrent = "This is not your current password."
)

// say is the text of a reason.
func say(r login.Reason) string {
	if text, ok := texts[r]; ok {
		return text
	}
	return textWrong
}
