package effect

import (
	"strings"
	"time"

	"postern/internal/account"
)

// Topic is what an account's owner is told about, by mail and in the history on the
// Security page. The names are also those of the texts and of mail templates.
type Topic string

// The closed set of topics.
const (
	TopicSignIn          Topic = "sign_in"         // history only
	TopicPasskeySignIn   Topic = "passkey_sign_in" // without a password; history only
	TopicNewSignIn       Topic = "new_sign_in"     // from a browser that was not seen before; mail only
	TopicWrongFactor     Topic = "wrong_factor"    // after a right password
	TopicTwoFactorOn     Topic = "two_factor_on"
	TopicTwoFactorOff    Topic = "two_factor_off"
	TopicMethodAdded     Topic = "method_added"
	TopicMethodRemoved   Topic = "method_removed"
	TopicMethodDisabled  Topic = "method_disabled" // by too many wrong tries
	TopicPasskeyCopied   Topic = "passkey_copied"  // ATTACKS 29
	TopicPasswordless    Topic = "passwordless"    // a passkey may sign in alone from now on
	TopicBackupUsed      Topic = "backup_used"
	TopicBackupNew       Topic = "backup_new"
	TopicDeviceTrusted   Topic = "device_trusted"
	TopicDeviceRemoved   Topic = "device_removed" // history only
	TopicSessionsEnded   Topic = "sessions_ended" // history only
	TopicAppCreated      Topic = "app_created"
	TopicAppRevoked      Topic = "app_revoked"
	TopicAppRevokedTried Topic = "app_revoked_tried" // somebody still uses it
	TopicAppExpired      Topic = "app_expired"
	TopicAppUnused       Topic = "app_unused" // expired, because nobody used it
	TopicAppRenewed      Topic = "app_renewed"
	TopicAllRevoked      Topic = "all_revoked"
	TopicCodeShown       Topic = "code_shown" // to an administrator
	TopicReset           Topic = "reset"
	TopicEnrolToken      Topic = "enrol_token"
	TopicBypass          Topic = "bypass"
	TopicBypassEnded     Topic = "bypass_ended"
	TopicPasswordChanged Topic = "password_changed" // the main password
)

// Topics lists them.
var Topics = []Topic{
	TopicSignIn, TopicPasskeySignIn, TopicNewSignIn, TopicWrongFactor, TopicTwoFactorOn, TopicTwoFactorOff, TopicMethodAdded,
	TopicMethodRemoved, TopicMethodDisabled, TopicPasskeyCopied, TopicPasswordless, TopicBackupUsed, TopicBackupNew,
	TopicAppExpired, TopicAppUnused, TopicAppRenewed,
	TopicDeviceTrusted, TopicDeviceRemoved, TopicSessionsEnded, TopicAppCreated, TopicAppRevoked, TopicAppRevokedTried,
	TopicAllRevoked, TopicCodeShown, TopicReset, TopicEnrolToken, TopicBypass, TopicBypassEnded, TopicPasswordChanged,
}

// changed are the topics of changes that were made.
var changed = map[Action]Topic{
	TwoFactorOn: TopicTwoFactorOn, TwoFactorOff: TopicTwoFactorOff,
	TOTPAdded: TopicMethodAdded, PasskeyAdded: TopicMethodAdded, PluginAdded: TopicMethodAdded,
	TOTPRemoved: TopicMethodRemoved, PasskeyRemoved: TopicMethodRemoved, PluginRemoved: TopicMethodRemoved,
	BackupCodesMade: TopicBackupNew, BackupCodeUsed: TopicBackupUsed,
	AppPasswordCreated: TopicAppCreated, AppPasswordRevoked: TopicAppRevoked, AppPasswordRenewed: TopicAppRenewed,
	DeviceTrusted: TopicDeviceTrusted, DeviceRemoved: TopicDeviceRemoved, PasswordlessSet: TopicPasswordless,
	RevokedAll: TopicAllRevoked, LoggedOutAll: TopicSessionsEnded, TOTPCodeShown: TopicCodeShown,
	Reset: TopicReset, EnrolTokenMade: TopicEnrolToken, BypassGranted: TopicBypass, BypassEnded: TopicBypassEnded,
	RevokedSince: TopicAllRevoked, Erased: TopicTwoFactorOff, // what an administrator did after an incident, or for good
	PasswordChanged: TopicPasswordChanged, NewSignIn: TopicNewSignIn,
}

// TopicOf is what an event is to the account's owner; "": nothing.
func TopicOf(e *Event) Topic {
	switch {
	case e.Account == "":
		return ""
	case e.Action == FactorDisabled:
		return TopicMethodDisabled
	case e.Reason == "cloned_key" && (e.Action == SecondFactor || e.Action == Login):
		return TopicPasskeyCopied
	case e.Action == SecondFactor && e.Reason == "wrong_code" && e.Proven:
		return TopicWrongFactor
	case e.Action == Login && e.Reason == "app_password_revoked":
		return TopicAppRevokedTried
	case e.Outcome != "done", e.Action == PasswordlessSet && e.Detail != "on":
		return ""
	case e.Action == AppPasswordStopped:
		return topicOfStopped(e)
	}
	return changed[e.Action]
}

// The reasons of AppPasswordStopped.
const (
	ReasonExpired = "expired"
	ReasonUnused  = "unused"
)

// oldNews is how late it is still worth to tell that an app password has stopped: those
// from long before the first sweep are none.
const oldNews = 7 * 24 * time.Hour

func topicOfStopped(e *Event) Topic {
	switch {
	case e.Time.Sub(e.At) > oldNews:
		return ""
	case e.Reason == ReasonUnused:
		return TopicAppUnused
	}
	return TopicAppExpired
}

// ByItself reports whether a topic is of what nobody did.
func (t Topic) ByItself() bool { return t == TopicAppExpired || t == TopicAppUnused }

// Ordinary reports whether a topic is of every day: the history keeps few of them.
func Ordinary(topic string) bool {
	switch Topic(topic) {
	case TopicSignIn, TopicPasskeySignIn, TopicWrongFactor, TopicAppRevokedTried, TopicSessionsEnded:
		return true
	}
	return false
}

// Happening is an event as a line of the history; false: it is none.
func (e *Event) Happening() (account.Happening, bool) {
	topic := TopicOf(e)
	if topic == "" || topic == TopicNewSignIn {
		return account.Happening{}, false
	}
	h := account.Happening{Topic: string(topic), Unix: e.Time.Unix(), Name: Clean(e.Name), From: e.Client, Agent: ProgramName(Clean(e.Agent))}
	if topic.ByItself() {
		h.Unix = e.At.Unix()
		return h, true
	}
	if !e.ByOwner {
		h.By = Clean(strings.TrimSpace(e.Actor))
	}
	return h, true
}
