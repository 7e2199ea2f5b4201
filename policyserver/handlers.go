package main

import (
	"context"
	"crypto/subtle"
	"io"
	"net/http"
	"net/netip"
	"time"

	"postern/internal/account"
	"postern/internal/daemon"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/verify"
)

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /verify", s.authorised(http.HandlerFunc(s.verify)))
	mux.Handle("POST /{$}", s.authorised(http.HandlerFunc(s.authPolicy)))
	mux.HandleFunc("GET /livez", daemon.HandleLive)
	mux.HandleFunc("GET /readyz", s.HandleReady)
	mux.Handle("GET /metrics", s.Metrics.Handler())
	return mux
}

// authorised lets through who may ask: on the unix socket by the uid of the peer,
// over TCP by the API key.
func (s *server) authorised(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := daemon.PeerOf(r.Context())
		switch {
		case p.Local && p.Err == nil && s.uids[p.UID]:
		case p.Local:
			s.log.Warn("refused a process on the socket; if it is Dovecot's, add it to policyserver.socket_users", "uid", p.UID, "error", p.Err)
			http.Error(w, "this user may not ask here: see policyserver.socket_users", http.StatusUnauthorized)
			return
		case !s.validKey(r.Header.Get("X-API-Key")):
			s.log.Warn("refused a caller without the right X-API-Key", "address", r.RemoteAddr)
			http.Error(w, "X-API-Key is missing or not right: see policyserver.api_key_file", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *server) validKey(key string) bool {
	want := s.apiKey.Reveal()
	return len(want) > 0 && subtle.ConstantTimeCompare([]byte(key), want) == 1
}

// verify is the one handler behind every door.
func (s *server) verify(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, verify.MaxBody))
	if err != nil {
		http.Error(w, "the question is too long, or broke off", http.StatusRequestEntityTooLarge)
		return
	}
	var q verify.Question
	err = verify.ParseForm(body, &q)
	clear(body)
	if err != nil {
		http.Error(w, "the question is not the form that docs/protocols.md describes", http.StatusBadRequest)
		return
	}
	a := s.answer(r.Context(), &q)
	s.times.verify.WithLabelValues(a.Verdict.String()).Observe(time.Since(began).Seconds())
	s.reply(w, a)
}

// status maps verdicts to HTTP, for doors that look no further.
var status = map[verify.Verdict]int{
	verify.Granted:     http.StatusOK,
	verify.Denied:      http.StatusForbidden,
	verify.Next:        http.StatusForbidden,
	verify.Unavailable: http.StatusServiceUnavailable,
}

func (s *server) reply(w http.ResponseWriter, a verify.Answer) {
	line, err := verify.AppendAnswer(make([]byte, 0, 256), a)
	if err != nil {
		s.log.Error("the answer cannot be given to Dovecot", "error", err)
		a = verify.Answer{}
		line = []byte(verify.Unavailable.String() + "\n")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status[a.Verdict])
	_, _ = w.Write(line)
}

// answer translates the question for package login and its decision back.
func (s *server) answer(ctx context.Context, q *verify.Question) verify.Answer {
	if !s.KeysFit() {
		return verify.Answer{Verdict: verify.Unavailable}
	}
	a := attempt(q)
	if q.Lookup {
		return s.lookupAnswer(s.gate.Lookup(ctx, a))
	}
	d := s.gate.Mail(ctx, a)
	switch {
	case d.Outcome == account.Granted:
		return verify.Answer{Verdict: verify.Granted, Fields: s.fields(&d)}
	case d.Outcome == account.Denied && d.Reason == login.Elsewhere:
		return verify.Answer{Verdict: verify.Next}
	case d.Outcome == account.Denied:
		return verify.Answer{Verdict: verify.Denied}
	}
	return verify.Answer{Verdict: verify.Unavailable}
}

func (s *server) lookupAnswer(d login.Decision) verify.Answer {
	switch {
	case d.Outcome == account.Granted:
		return verify.Answer{Verdict: verify.Granted, Fields: s.fields(&d)}
	case d.Outcome == account.Denied && d.Reason == login.Elsewhere:
		return verify.Answer{Verdict: verify.Next}
	case d.Outcome == account.Denied:
		return verify.Answer{Verdict: verify.Denied, Unknown: d.Reason == login.UnknownUser || d.Reason == login.BadName}
	}
	return verify.Answer{Verdict: verify.Unavailable}
}

// fields are what Dovecot is told about an account that was let in. Keys are
// fixed here and in the configuration's closed list; values are checked again by
// verify.AppendAnswer.
func (s *server) fields(d *login.Decision) []verify.Field {
	list := make([]verify.Field, 0, 4)
	if s.cfg.Login.ReturnUser {
		list = append(list, verify.Field{Key: "user", Value: d.Account.Name})
	}
	for _, key := range s.fieldNames {
		if value := d.Account.Fields[key]; value != "" {
			list = append(list, verify.Field{Key: key, Value: value})
		}
	}
	if d.CredID != "" {
		// By user_cred Dovecot 2.4 ends the sessions of one credential.
		list = append(list, verify.Field{Key: "cred_id", Value: d.CredID},
			verify.Field{Key: "userdb_user_cred", Value: effect.UserCred(d.Account.ID, d.Credential)})
	}
	return list
}

func attempt(q *verify.Question) login.Attempt {
	a := login.Attempt{
		User: q.User, Password: account.NewSecret(q.Password), Service: account.ParseService(q.Service),
		Client: address(q.RemoteIP), Peer: address(q.RealIP), Agent: q.Agent, Session: q.Session,
		Mech: q.Mech, Master: q.Master, Door: q.Door,
	}
	clear(q.Password)
	return a
}

// address reads an address; what is none becomes the zero Addr, which no network
// contains.
func address(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}
