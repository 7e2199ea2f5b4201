package main

import (
	"context"
	"io"
	"net/http"
	"time"

	"postern/internal/account"
	"postern/internal/authpolicy"
	"postern/internal/login"
)

// authPolicy answers Dovecot's auth policy. An error of any kind means "go on" to
// Dovecot (src/auth/auth-policy.c): the passdb is the gate, this the net behind it.
func (s *server) authPolicy(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, authpolicy.MaxBody))
	if err != nil {
		http.Error(w, "the request is too long, or broke off", http.StatusRequestEntityTooLarge)
		return
	}
	q, err := authpolicy.Parse(body)
	command := r.URL.Query().Get("command")
	if err != nil || command != "allow" && command != "report" {
		http.Error(w, "not a request of Dovecot's auth policy: command must be allow or report, the body a flat JSON object", http.StatusBadRequest)
		return
	}
	var a authpolicy.Answer
	if command == "allow" {
		a = s.allow(r.Context(), &q)
	} else {
		s.gate.Report(r.Context(), login.Report{Ask: ask(&q), Success: q.Success, Internal: q.FailType == "internal", Refused: q.PolicyReject})
	}
	s.times.policy.WithLabelValues(command).Observe(time.Since(began).Seconds())
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(authpolicy.Append(make([]byte, 0, 128), a))
}

var jsonType = []string{"application/json"}

// allow answers one question. While the keys are not known to fit, nothing that
// they would prove can be believed, and the passdb refuses for now anyway.
func (s *server) allow(ctx context.Context, q *authpolicy.Query) authpolicy.Answer {
	if !s.KeysFit() {
		return authpolicy.Answer{}
	}
	p := s.gate.Allow(ctx, ask(q))
	return authpolicy.Answer{Refuse: p.Refuse, Text: p.Text, Delay: p.Wait}
}

func ask(q *authpolicy.Query) login.Ask {
	return login.Ask{
		Login: q.Login, PwHash: q.PwHash, Service: account.ParseService(q.Protocol),
		Client: address(q.Remote), Peer: address(q.RealRemote), Session: q.SessionID,
		Mech: q.Mech, Master: q.Master, CredID: q.CredID, Agent: q.DeviceID,
	}
}
