package main

import (
	"net/netip"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/web"
)

// start is what /v1/login and /v1/passkey begin with.
func (c *call) start() (login.Start, error) {
	addr, err := c.fields.addr("remote_ip")
	if err != nil {
		return login.Start{}, err
	}
	to, err := c.client.returnTo(c.fields["return_to"])
	if err != nil {
		return login.Start{}, bad("%v", err)
	}
	return login.Start{Client: c.client.name, Addr: addr, Agent: c.fields["user_agent"], ReturnTo: to}, nil
}

func (s *server) login(c *call) (answer, error) {
	st, err := c.start()
	if err != nil {
		return answer{}, err
	}
	// Dovecot takes no name with a blank in front or behind, as telephones add one.
	st.User, st.Password = strings.TrimSpace(c.fields["user"]), c.fields.secret("password")
	a := of(s.signIn.Begin(c.Context(), st))
	// Said by the shape alone. That a string is not one but begins as one of this account's
	// (factor.LooksLikeOwn) would tell that there is such an account.
	if a.Result == denied && factor.Classify(st.Password).Shape != factor.Main {
		a.text = web.AnswerAppPassword
	}
	return a, nil
}

func (s *server) passkey(c *call) (answer, error) {
	st, err := c.start()
	if err != nil {
		return answer{}, err
	}
	st.Domain = c.fields["domain"]
	return of(s.signIn.BeginPasskey(c.Context(), st)), nil
}

func (s *server) exchange(c *call) (answer, error) {
	return of(s.signIn.Exchange(c.Context(), c.client.name, c.fields["transaction"], c.fields["code"])), nil
}

func (s *server) renew(c *call) (answer, error) {
	return of(s.signIn.Renew(c.Context(), c.client.name, c.fields["grant"])), nil
}

func (s *server) logout(c *call) (answer, error) {
	a := of(s.signIn.End(c.Context(), c.client.name, c.fields["grant"]))
	if a.Result == granted {
		a = answer{Result: ended}
	}
	return a, nil
}

func (s *server) check(c *call) (answer, error) {
	var addr netip.Addr
	if _, given := c.fields["remote_ip"]; given {
		var err error
		if addr, err = c.fields.addr("remote_ip"); err != nil {
			return answer{}, err
		}
	}
	a := of(s.signIn.CheckMain(c.Context(), c.client.name, c.fields["grant"], c.fields.secret("password"), addr))
	if a.text == web.AnswerWrong {
		a.text = web.AnswerNotCurrent
	}
	return a, nil
}

func (s *server) settings(c *call) (answer, error) {
	to, err := c.client.returnTo(c.fields["return_to"])
	if err != nil {
		return answer{}, bad("%v", err)
	}
	address, r := s.signIn.SettingsLink(c.Context(), c.client.name, c.fields["grant"], to)
	if r.Outcome != account.Granted {
		return of(r), nil
	}
	return answer{Result: link, URL: address}, nil
}

// of translates what package login says.
func of(r login.Result) answer {
	switch {
	case r.Outcome == account.Granted && r.Step != "":
		return answer{Result: r.Step, Transaction: r.Transaction, URL: r.URL}
	case r.Outcome == account.Granted && r.Live != nil:
		return in(r)
	case r.Outcome == account.Granted:
		return answer{Result: granted}
	case r.Outcome == account.Denied:
		return answer{Result: denied, text: codeOf(r.Reason)}
	}
	return answer{Result: unavailable, text: web.AnswerUnavailable}
}

// in is the answer that opens mail; without a ticket the password goes on doing so.
func in(r login.Result) answer {
	a := answer{Result: granted, User: r.Live.User, Account: r.Live.Account, Grant: r.Live.Grant, Recommend: r.Recommend}
	if !r.Live.Ticket.Empty() {
		a.Ticket, a.Expires = string(r.Live.Ticket.Reveal()), r.Live.Expires.UTC().Format(time.RFC3339)
	}
	return a
}
