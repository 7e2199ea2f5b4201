package web

import "net/http"

// AnswerCode is the closed set of what webmail tells its users with an answer of the
// hook API. The texts stand in the catalogues with all others.
type AnswerCode string

// The answers. Those before the password is known to be right tell strangers nothing.
const (
	AnswerWrong       AnswerCode = "wrong"        // user name or password, or the account may not
	AnswerThrottled   AnswerCode = "throttled"    // too many tries
	AnswerAppPassword AnswerCode = "app_password" // what was typed looks like one
	AnswerUnavailable AnswerCode = "unavailable"  // could not be checked
	AnswerUnfinished  AnswerCode = "unfinished"   // took too long, or was not finished
	AnswerChanged     AnswerCode = "changed"      // the account, meanwhile
	AnswerCodeUsed    AnswerCode = "code_used"    // by another sign-in
	AnswerDisabled    AnswerCode = "disabled"     // the method, after too many wrong tries
	AnswerForbidden   AnswerCode = "forbidden"    // the method, by now
	AnswerCopied      AnswerCode = "copied"       // a security key
	AnswerOver        AnswerCode = "over"         // the session
	AnswerNotCurrent  AnswerCode = "not_current"  // this is not the current password
)

// Answer is the text of an answer, in the language that the request asks for.
func (p *Pages) Answer(r *http.Request, code AnswerCode) (string, error) {
	w := &words{texts: p.langs.texts[p.langs.choose(r, "")]}
	text, err := w.text("answer_" + string(code))
	s, _ := text.(string)
	return s, err
}
