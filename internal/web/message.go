package web

// Message is a page that only says something, and what to do next. It links back to
// the webmail.
type Message struct {
	Common
	Code MessageCode
	// Retry is a path that shows the wanted page again; empty: no such button.
	Retry string
	// Setup is the path of where two-step login is set up; empty: no such button.
	Setup string
}

func (m *Message) view() (string, string) { return "message", "message_title_" + string(m.Code) }

// MessageCode is the closed set of messages.
type MessageCode string

// The messages, with the status that fits each.
const (
	MessageExpired     MessageCode = "expired"      // 410: signing in took too long
	MessageElsewhere   MessageCode = "elsewhere"    // 403: begun in another browser (a shared or phished link)
	MessageUsed        MessageCode = "used"         // 410: this link was used already
	MessageUnavailable MessageCode = "unavailable"  // 503
	MessageBusy        MessageCode = "busy"         // 429
	MessageNotFound    MessageCode = "not_found"    // 404
	MessageMethod      MessageCode = "method"       // 405
	MessageForbidden   MessageCode = "forbidden"    // 403: a form of another site, or not allowed
	MessageTooLarge    MessageCode = "too_large"    // 413
	MessageDenied      MessageCode = "denied"       // 403: this account cannot sign in
	MessageSignedOut   MessageCode = "signed_out"   // 200
	MessageCookies     MessageCode = "cookies"      // 400: the browser keeps no cookies
	MessageNoAdmin     MessageCode = "no_admin"     // 403: who is no administrator
	MessageAdminFactor MessageCode = "admin_factor" // 403: an administrator without a second factor
	MessageAdminRight  MessageCode = "admin_right"  // 403: beyond an administrator's rights, or there is no such mailbox
)
