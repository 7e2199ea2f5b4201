package login

// Meaning is what a Reason means for an administrator, and what to do about it. It is
// for posternctl explain and docs/reference/reasons.md; users are told by text.
type Meaning struct{ Text, Do string }

// Meaning is the one of a reason; ok is false for one that this version does not know.
func (r Reason) Meaning() (m Meaning, ok bool) {
	m, ok = meanings[r]
	return m, ok
}

// LimitMeaning is what the limit means that a throttled login's event names.
func LimitMeaning(limit string) string { return limitMeanings[limit] }

var limitMeanings = map[string]string{
	"prefix":  "too many wrong tries from this address's network (/32, IPv6 /64)",
	"account": "too many wrong main passwords or codes for this account, from anywhere",
	"site":    "many wrong main passwords all over the site: an attack is going on",
	"binds":   "too many wrong binds for this account: one more could lock it in the directory",
}

const (
	doTypo     = "Look at the name in the program's settings. Many different names from one address: somebody is guessing, and the limits see to it."
	doNewApp   = "Make a new app password, at the settings pages or with posternctl app-password create, and put it into the program."
	doDirector = "Look at the directory server and the network to it: posternctl doctor. Programs try again by themselves."
	doAgain    = "Sign in to webmail once more. If it happens to many, look at the clocks of the hosts and at the webmail's plug-in."
	doRestore  = "posternctl status USER says what does not match. Put the records back from a backup, or posternctl user reset USER. Find out who changed them."
	doNothing  = "Nothing."
	doEnrol    = "Let the owner sign in at webmail and set up another factor; without any, posternctl user reset USER."
)

// meanings are the texts of all reasons, in the order of the constants.
var meanings = map[Reason]Meaning{
	BadName:       {"The user name is empty, too long, or has characters that no name has.", doTypo},
	EmptyPassword: {"The password was empty.", "Let the owner enter it again: programs send an empty one when theirs was deleted."},
	Impersonation: {"A master user, or an identity other than the one that logs in, was named.", "If it is yours: login.master_users allows it, for networks. Otherwise somebody tries to become somebody else."},
	Throttled:     {"There were too many wrong tries, so this one was not even looked at; it may have been right.", "Find the program that keeps trying an old password (explain without --last lists them); it ends by itself some minutes after that."},

	UnknownUser:     {"No entry below directory.base answers to the name (directory.user_filter).", doTypo},
	AmbiguousUser:   {"More than one entry answers to the name, so it is nobody's.", "Make the name unique in the directory, or directory.user_filter narrower."},
	AccountDisabled: {"The account is locked or expired in the directory, or directory.status_filter does not match it.", "posternctl user show USER says why. Enable it in the directory if it is to log in."},
	BindLocked:      {"The directory has locked the main password after too many wrong ones. App passwords go on.", "Find the program with the old password, then unlock the entry in the directory or wait until it does."},
	Damaged:         {"What is stored for the account is not what Postern wrote: changed, removed, or copied from another account or an old backup.", doRestore},

	WrongPassword:       {"The main password was wrong.", "Let the owner try it at webmail. Programs keep an old one after it was changed."},
	AppPasswordRequired: {"The main password was right, but the account has two-factor login: mail programs need an app password.", doNewApp},
	ServiceAccount:      {"It is a service account, for a scanner or list software: nobody signs in to webmail with it.", "Give the program an app password for its one service and networks; or change the policy (service_account) or the class of the account."},
	Elsewhere:           {"Postern left this login to the site's own passdb, which has decided.", "Look at Dovecot's log for what that passdb said."},
	AppPasswordOnly:     {"Calendars and address books take app passwords only, whoever asks.", "Make an app password with the service dav: posternctl app-password create USER --name NAME --services dav"},

	NearMiss:              {"It looks like an app password with a mistake in it: a character lost or changed.", "Copy it again, as a whole; or make a new one."},
	AppPasswordUnknown:    {"The account has no such app password: it was removed, or is another account's.", doNewApp},
	AppPasswordWrong:      {"The beginning is one of the account's app passwords, the rest is not.", "Copy it again, as a whole. Many such tries: somebody is guessing, in vain."},
	AppPasswordRevoked:    {"The app password was revoked.", "If the owner knows of it: " + doNewApp + " If not: somebody else has the password that was revoked."},
	AppPasswordExpired:    {"The app password has expired, by its own date or because nobody used it for too long (app_password_unused_days).", doNewApp},
	WrongService:          {"The credential is right, but not for this service.", "posternctl app-password list USER shows the services. Make one for this service, too."},
	WrongNetwork:          {"The credential is right, but not from this address. Of a ticket: webmail's host is not in webhook.networks.", "posternctl app-password list USER shows the networks. If the address is the owner's, make one for it; if not, somebody else has the password: revoke it."},
	AppPasswordsForbidden: {"Policy (app_passwords) does not allow app passwords for this account.", "posternctl policy show USER says which level forbids them. The owner reaches mail by webmail."},

	BadTicket:     {"It is no ticket that a webhook of this site made for this account.", doAgain},
	TicketExpired: {"Webmail has not renewed its ticket in time.", doAgain},
	SessionEnded:  {"The webmail session is over: logged out, ended from elsewhere, too old, or the main password was changed.", "Sign in to webmail once more."},
	SessionWeak:   {"The webmail session began without a second factor, which the account needs by now.", "Sign in to webmail once more, with the factor."},
	Observed:      {"Let in: the main password of an account with two-factor login, because its domain is being observed (login.observe).", "Before the date in login.observe, the program needs an app password."},
	Bypassed:      {"Let in: by its main password, because of an administrator's bypass.", "It ends by itself; before: posternctl bypass USER --end"},
	KnownDevice: {"Let in: by its main password, from a network where the same service was used before two-factor login was switched on (known_device_days).",
		"Before the days are over, the program needs an app password: posternctl user show USER says when. To end it at once: posternctl policy set user USER known_device_days=0"},
	SwitchedOff: {"Let in: by its main password, because Postern is switched off.", "posternctl on"},

	DirectoryDown:    {"The directory did not answer in time, or not at all. The password was neither right nor wrong.", doDirector},
	Busy:             {"Too many main passwords were being checked at once (login.max_binds).", "Look at how long binds take (metrics), and at who sends so many. Programs try again by themselves."},
	PolicyUnreadable: {"A policy that holds for the account cannot be read, and without it nobody is let in.", "posternctl policy list, policy show USER: set the level named there anew."},
	BadField:         {"An attribute of login.fields has a value that Dovecot cannot be given.", "posternctl user show USER; take tabs, line ends and the like out of the attribute."},
	PassdbDown:       {"Dovecot could not check a main password (login.auth_socket).", "Look at Dovecot's log and at the socket: posternctl doctor."},
	Unproven:         {"Somebody used the service name that only Postern's own questions to Dovecot have.", "Look who reaches an auth socket of Dovecot's; or door.key differs between hosts."},
	NoTicketKey:      {"ticket.pub is missing on this host, or older than the key that webmail's tickets are signed with.", "Copy ticket.pub from the webhook's host and restart policyserver."},

	AppPasswordAtWebmail: {"An app password was entered at webmail, which takes the main password only.", "Tell the owner: app passwords are for mail programs."},
	FirstFactor:          {"The main password was right; the second factor is asked for now.", "If the owner never comes so far: look whether the browser reaches webhook.public_url."},
	EnrolmentNeeded:      {"The main password was right; the owner is asked to set up a second factor.", "Help the owner to enrol; policy show USER says why it is needed."},
	BadForm:              {"What was entered cannot be a code: a typing error, which counts for nothing.", doNothing},
	WrongCode:            {"The code or the answer of the key was wrong.", "Look at the clock of the phone: totp_tolerance. Many such tries after right passwords: somebody knows the password; let the owner change it."},
	SpentCode:            {"The code was right, but was used before.", "Wait for the next one. If the owner has not used it: somebody looks over the shoulder."},
	FactorDisabled:       {"There were too many wrong tries, and this factor takes no more.", "Ask the owner whether it was they. " + doEnrol},
	FactorForbidden:      {"Policy (methods, backup_codes) does not allow this factor for the account any more.", "policy show USER says which level. " + doEnrol},
	FactorMissing:        {"The account has no such factor: removed, or never set up.", doEnrol},
	FactorPending:        {"The factor's answer is still awaited, as with a push message.", doNothing},
	FactorDown:           {"The factor could not be checked: factor.key, a plug-in or its server is away.", "Look at the log of the webhook and at the plug-in."},
	ClonedKey:            {"The security key's counter went backwards: perhaps there is a copy of it.", "Talk to the owner; remove the key (posternctl passkey remove) and add another."},
	Backoff:              {"The try came too soon after wrong codes.", "Wait some seconds, longer after each wrong code."},
	BadTransaction:       {"The sign-in's page or token is not one that this site made, or out of order.", doAgain},
	TransactionOver:      {"The sign-in was begun too long ago.", "Begin it anew."},
	BegunElsewhere:       {"The sign-in was begun in another browser or from another address.", "Begin it anew, in one browser. If the owner has not begun it, somebody sent them the link."},
	AccountChanged:       {"The account was changed while the sign-in went on.", "Begin it anew."},
	BadCode:              {"Webmail redeemed a one-time code that is wrong, old or used.", doAgain},
	BadGrant:             {"Webmail showed a handle of a session that is not one, or another client's.", doAgain},
	GrantOver:            {"The webmail session is over.", "Sign in to webmail once more."},
	BadLink:              {"The one-time link to the settings was wrong, old or used.", "Open the settings from webmail once more."},
	NeedsConfirm:         {"A change needs the factor once more.", doNothing},
	BadEnrolToken:        {"The enrolment token was wrong, used or expired.", "Hand out a new one: posternctl user enrol-token USER"},
}
