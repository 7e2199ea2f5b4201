package web

import (
	"slices"

	"postern/internal/account"
)

// What the templates ask of the view models.

// Adds reports whether the policy allows another one of the method.
func (s *Security) Adds(m string) bool { return slices.Contains(s.MayAdd, Method(m)) }

// PasskeysOn are the passkeys on security keys, or on devices.
func (s *Security) PasskeysOn(keys bool) []PasskeyRow {
	var rows []PasskeyRow
	for _, r := range s.Passkeys {
		if r.Key == keys {
			rows = append(rows, r)
		}
	}
	return rows
}

// Many reports that revoking them all is worth a button.
func (l AppList) Many() bool { return l.live() > 1 }

// Has reports whether the service is ticked.
func (a *AppNew) Has(s account.Service) bool { return slices.Contains(a.Chosen, s) }

// asks is how each question looks and where it is posted.
var asks = map[Question]struct{ path, icon, tone string }{
	AskDisable:     {PathDisable, "shield-off", "danger"},
	AskBackupCodes: {PathBackupCodes, "rotate-ccw-key", ""},
	AskSessionsEnd: {PathSessionsEnd, "log-out", "danger"},
	AskDevicesEnd:  {PathDevicesEnd, "laptop", "danger"},
	AskAppsEnd:     {PathAppsEnd, "key-round", "danger"},
}

func askPath(q Question) string { return asks[q].path }
func askIcon(q Question) string { return asks[q].icon }
func askTone(q Question) string { return asks[q].tone }

// messages is how each message looks.
var messages = map[MessageCode]struct{ icon, tone string }{
	MessageExpired:     {"hourglass", "warn"},
	MessageElsewhere:   {"monitor-smartphone", "warn"},
	MessageUsed:        {"ticket", "warn"},
	MessageUnavailable: {"unplug", "warn"},
	MessageBusy:        {"hourglass", "warn"},
	MessageNotFound:    {"search-x", ""},
	MessageMethod:      {"search-x", ""},
	MessageForbidden:   {"ban", "danger"},
	MessageTooLarge:    {"ban", "warn"},
	MessageDenied:      {"ban", "danger"},
	MessageSignedOut:   {"log-out", "good"},
	MessageCookies:     {"info", "warn"},
	MessageNoAdmin:     {"ban", "danger"},
	MessageAdminFactor: {"shield-plus", "warn"},
	MessageAdminRight:  {"ban", "danger"},
}

func messageIcon(m MessageCode) string { return messages[m].icon }
func messageTone(m MessageCode) string { return messages[m].tone }

// eventTone marks the lines of the history that deserve a second look.
func eventTone(e EventCode) string {
	switch e {
	case EventWrongFactor, EventMethodDisabled, EventPasskeyCopied, EventAppRevokedTried, EventTwoFactorOff, EventReset,
		EventCodeShown, EventBypass, EventEnrolToken:
		return "warn"
	case EventTwoFactorOn, EventMethodAdded, EventBackupNew, EventAppCreated:
		return "good"
	default:
		return ""
	}
}
