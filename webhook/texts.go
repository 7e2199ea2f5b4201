package main

import (
	"net/http"

	"postern/internal/login"
	"postern/internal/web"
)

// texts are what webmail shows with a denial. Before the password is known to be
// right, all denials read the same but those by address or by the mere shape of what
// was typed: nobody learns whether the name exists, or whether two-step login is on.
// Afterwards, they help. What is not listed reads as web.AnswerWrong.
var texts = map[login.Reason]web.AnswerCode{
	login.Throttled:     web.AnswerThrottled,
	login.DirectoryDown: web.AnswerUnavailable,

	// At the exchange: the password was right.
	login.BadTransaction:  web.AnswerUnfinished,
	login.TransactionOver: web.AnswerUnfinished,
	login.BadCode:         web.AnswerUnfinished,
	login.AccountChanged:  web.AnswerChanged,
	login.SpentCode:       web.AnswerCodeUsed,
	login.FactorDisabled:  web.AnswerDisabled,
	login.FactorForbidden: web.AnswerForbidden,
	login.FactorMissing:   web.AnswerForbidden,
	login.ClonedKey:       web.AnswerCopied,

	// With a grant.
	login.BadGrant:     web.AnswerOver,
	login.GrantOver:    web.AnswerOver,
	login.SessionEnded: web.AnswerOver,
}

// codeOf is the text of a reason.
func codeOf(r login.Reason) web.AnswerCode {
	if code, ok := texts[r]; ok {
		return code
	}
	return web.AnswerWrong
}

// say is a text in the language that the request asks for: that of webmail's user.
func (s *server) say(r *http.Request, code web.AnswerCode) string {
	text, err := s.pages.Answer(r, code)
	if err != nil {
		s.log.Error("a text is missing", "code", code, "error", err)
		return string(code)
	}
	return text
}
