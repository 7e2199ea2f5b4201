package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/app"
	"postern/internal/desk"
	"postern/internal/policy"
)

// The API for hosting panels. It has the form of the hook API: POST, one flat JSON object
// of strings, a key. What a panel may do, package desk decides by its admin.Authority,
// about the account as just read.
//
// None of it opens a mailbox (FEATURES E6): there is no call that signs anybody in, and
// none that gives a panel a credential of an account with two-factor login. A bypass, for
// keys whose administrator allowed it, needs the account's main password besides.

// panelCall is one request of a panel.
type panelCall struct {
	*http.Request
	panel  *app.Panel
	fields fields
}

func (c *panelCall) who(s *server) desk.Actor {
	who := desk.Administrator(&c.panel.Authority)
	who.Addr, who.Agent = s.panelAddr(c.Request), "api"
	return who
}

// user is the account that the call is about.
func (c *panelCall) user() string { return c.fields["user"] }

// reply is what a call answers; "result" is added.
type reply200 map[string]any

// panelMethod is one of the API's.
type panelMethod struct {
	required, optional []string
	answer             func(*server, *panelCall) (reply200, error)
}

const pathAdmin = "/v1/admin/"

// panelMethods are all there are, by the path behind pathAdmin.
var panelMethods = map[string]panelMethod{
	"accounts":            {[]string{"domain"}, []string{"text", "two_factor", "main_since", "offset", "limit"}, (*server).adminAccounts},
	"account":             {[]string{"user"}, nil, (*server).adminAccount},
	"reset":               {[]string{"user"}, nil, (*server).adminReset},
	"enrol-token":         {[]string{"user"}, nil, (*server).adminEnrolToken},
	"revoke":              {[]string{"user", "kind", "id"}, nil, (*server).adminRevoke},
	"revoke-all":          {[]string{"user"}, nil, (*server).adminRevokeAll},
	"revoke-since":        {[]string{"user", "since"}, nil, (*server).adminRevokeSince},
	"end-sessions":        {[]string{"user"}, nil, (*server).adminEndSessions},
	"policy/show":         {[]string{"level"}, []string{"name"}, (*server).adminPolicyShow},
	"policy/set":          {[]string{"level", "name", "key", "value"}, nil, (*server).adminPolicySet},
	"policy/unset":        {[]string{"level", "name"}, []string{"key"}, (*server).adminPolicyUnset},
	"class":               {[]string{"user", "class"}, nil, (*server).adminClass},
	"totp/add":            {[]string{"user"}, []string{"name", "secret"}, (*server).adminTOTPAdd},
	"totp/code":           {[]string{"user", "reason"}, []string{"id"}, (*server).adminTOTPCode},
	"bypass":              {[]string{"user", "for", "reason"}, nil, (*server).adminBypass},
	"app-password/create": {[]string{"user", "name"}, []string{"services"}, (*server).adminAppPassword},
}

// panelAPI answers a method.
func (s *server) panelAPI(name string) http.HandlerFunc {
	m := panelMethods[name]
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		a, err := s.panelCall(w, r, &m)
		if p := s.panelProblem(err); p != nil {
			s.refuse(w, r, p)
			return
		}
		if err != nil {
			s.log.Error("a call of the administrators' API could not be answered", "path", r.URL.Path, "error", err)
			reply(w, http.StatusServiceUnavailable, answer{Result: unavailable, Message: "it could not be done now; look before you try again"})
			return
		}
		a["result"] = "done"
		s.times.WithLabelValues(r.URL.Path).Observe(time.Since(began).Seconds())
		replyJSON(w, http.StatusOK, a)
	}
}

func (s *server) panelCall(w http.ResponseWriter, r *http.Request, m *panelMethod) (reply200, error) {
	c := panelCall{Request: r, panel: s.panel(r)}
	if c.panel == nil {
		return nil, errNoKey
	}
	if r.Method != http.MethodPost {
		return nil, &problem{http.StatusMethodNotAllowed, "send a POST"}
	}
	body, err := readJSON(w, r)
	if err != nil {
		return nil, err
	}
	defer clear(body)
	if c.fields, err = parseFields(body, &method{required: m.required, optional: m.optional}); err != nil {
		return nil, err
	}
	if !s.KeysFit() {
		return nil, account.ErrUnavailable
	}
	return m.answer(s, &c)
}

// panel is whose key the request has, if it comes from where that one calls from; nil if
// nobody's. All keys are compared, each in constant time.
func (s *server) panel(r *http.Request) *app.Panel {
	sum := sha256.Sum256([]byte(presentedKey(r)))
	var found *app.Panel
	for i := range s.panels {
		key := sha256.Sum256(s.panels[i].Key.Reveal())
		if subtle.ConstantTimeCompare(key[:], sum[:]) == 1 {
			found = &s.panels[i]
		}
	}
	if found == nil || len(found.Networks) == 0 {
		return found
	}
	from := s.panelAddr(r)
	for _, n := range found.Networks {
		if n.Contains(from) {
			return found
		}
	}
	s.log.Warn("refused a panel that calls from elsewhere", "client", found.Name, "address", from)
	return nil
}

// panelAddr is where a panel calls from: itself, or through a trusted proxy.
func (s *server) panelAddr(r *http.Request) (from netipAddr) {
	if r.Header.Get("X-Forwarded-For") == "" {
		return peerAddr(r)
	}
	return s.browserAddr(r)
}

// panelStatuses maps what desk says to HTTP, in this order. The rest is unavailable.
var panelStatuses = []struct {
	err    error
	status int
}{
	{admin.ErrForbidden, http.StatusForbidden},
	{desk.ErrForbidden, http.StatusForbidden},
	{desk.ErrInvalid, http.StatusUnprocessableEntity},
	{desk.ErrNothing, http.StatusConflict},
	{desk.ErrMaximum, http.StatusConflict},
	{account.ErrDamaged, http.StatusConflict},
	{account.ErrNoRecord, http.StatusNotFound},
	{account.ErrUnknown, http.StatusNotFound},
	{account.ErrAmbiguous, http.StatusNotFound},
}

// panelProblem is what the author of the caller is told; nil: nothing was wrong, or
// nobody knows. An account elsewhere is one that there is not, for this key.
func (s *server) panelProblem(err error) *problem {
	var p *problem
	switch {
	case err == nil, errors.Is(err, account.ErrUnavailable):
		return nil
	case errors.As(err, &p):
		return p
	case errors.Is(err, admin.ErrElsewhere), errors.Is(err, account.ErrUnknown), errors.Is(err, account.ErrAmbiguous):
		return &problem{http.StatusNotFound, "there is no such account or domain among those of this key"}
	}
	for _, row := range panelStatuses {
		if errors.Is(err, row.err) {
			return &problem{row.status, err.Error()}
		}
	}
	return nil
}

func (s *server) adminAccounts(c *panelCall) (reply200, error) {
	q := desk.Query{Domain: c.fields["domain"], Text: c.fields["text"], TwoFactor: c.fields["two_factor"]}
	if words := desk.TwoFactorWords(); q.TwoFactor != "" && !slices.Contains(words, q.TwoFactor) {
		return nil, bad("two_factor: none of %s", strings.Join(words, ", "))
	}
	for name, n := range map[string]*int{"offset": &q.Offset, "limit": &q.Limit} {
		if c.fields[name] == "" {
			continue
		}
		var err error
		if *n, err = strconv.Atoi(c.fields[name]); err != nil || *n < 0 {
			return nil, bad("%s: not a number", name)
		}
	}
	if text := c.fields["main_since"]; text != "" {
		var err error
		if q.MainSince, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, bad("main_since: not a time like 2027-01-31T12:00:00Z")
		}
	}
	page, err := s.desk.List(c.Context(), c.who(s), s.Store, q)
	if err != nil {
		return nil, err
	}
	list := make([]reply200, 0, len(page.Accounts))
	for i := range page.Accounts {
		list = append(list, summaryReply(&page.Accounts[i]))
	}
	return reply200{"accounts": list, "found": page.Found, "total": page.Counts.Accounts,
		"two_factor": page.Counts.TwoFactor, "main_password_users": page.Counts.Main}, nil
}

func (s *server) adminAccount(c *panelCall) (reply200, error) {
	o, err := s.desk.Look(c.Context(), c.who(s), c.user())
	if err != nil {
		return nil, err
	}
	return reply200{"account": overviewReply(&o, s.now())}, nil
}

func (s *server) adminReset(c *panelCall) (reply200, error) {
	changed, err := s.desk.Reset(c.Context(), c.who(s), c.user())
	return changedReply(&changed), err
}

func (s *server) adminRevokeAll(c *panelCall) (reply200, error) {
	changed, err := s.desk.RevokeAll(c.Context(), c.who(s), c.user())
	return changedReply(&changed), err
}

// adminRevokeSince ends what was made or used since a time, after credentials have leaked.
func (s *server) adminRevokeSince(c *panelCall) (reply200, error) {
	since, err := time.Parse(time.RFC3339, c.fields["since"])
	if err != nil {
		return nil, bad("since: not a time like 2027-01-31T12:00:00Z")
	}
	done, err := s.desk.RevokeSince(c.Context(), c.who(s), c.user(), since)
	if err != nil {
		return nil, err
	}
	a := changedReply(&done.Changed)
	a["factors_left"], a["must_enrol"] = done.Factors, done.MustEnrol
	a.addTime("since", since)
	return a, nil
}

func (s *server) adminEndSessions(c *panelCall) (reply200, error) {
	changed, err := s.desk.EndAllSessions(c.Context(), c.who(s), c.user())
	return changedReply(&changed), err
}

func (s *server) adminEnrolToken(c *panelCall) (reply200, error) {
	token, err := s.desk.NewEnrolToken(c.Context(), c.who(s), c.user())
	a := reply200{}
	a.addToken(token)
	return a, err
}

// adminRevoke ends one credential, by its kind and id as account shows them.
func (s *server) adminRevoke(c *panelCall) (reply200, error) {
	ctx, who, id := c.Context(), c.who(s), c.fields["id"]
	var err error
	switch c.fields["kind"] {
	case account.KindApp.Word():
		_, err = s.desk.RevokeAppPassword(ctx, who, c.user(), id)
	case account.KindSession.Word():
		_, err = s.desk.EndSession(ctx, who, c.user(), id)
	case account.KindDevice.Word():
		_, err = s.desk.RemoveDevice(ctx, who, c.user(), id)
	case account.KindTOTP.Word(), account.KindPasskey.Word(), account.KindPlugin.Word():
		return s.adminRemoveFactor(ctx, c)
	default:
		return nil, bad("kind: none of app, session, device, totp, passkey, plugin")
	}
	return reply200{}, err
}

func (s *server) adminRemoveFactor(ctx context.Context, c *panelCall) (reply200, error) {
	kinds := []account.Kind{account.KindTOTP, account.KindPasskey, account.KindPlugin}
	i := slices.IndexFunc(kinds, func(k account.Kind) bool { return k.Word() == c.fields["kind"] })
	gone, err := s.desk.RemoveFactor(ctx, c.who(s), c.user(), desk.Ref{Kind: kinds[i], ID: c.fields["id"]})
	a := reply200{}
	a.addToken(gone.Token)
	return a, err
}

func (s *server) adminClass(c *panelCall) (reply200, error) {
	changed, err := s.policies().SetClass(c.Context(), c.who(s), c.user(), c.fields["class"])
	return reply200{"user": changed.User, "class": changed.Now}, err
}

// policies changes what levels set.
func (s *server) policies() desk.Policies { return desk.Policies{Desk: s.desk, Store: s.Store} }

func (c *panelCall) level() (policy.Level, error) {
	kind := policy.Kind(c.fields["level"])
	if kind == policy.LevelAccount {
		return policy.Level{Kind: kind, Name: c.fields["name"]}, nil
	}
	l, err := policy.NewLevel(kind, c.fields["name"])
	if err != nil {
		return l, bad("level, name: %s", err)
	}
	return l, nil
}

func (s *server) adminPolicyShow(c *panelCall) (reply200, error) {
	l, err := c.level()
	if err != nil {
		return nil, err
	}
	shown, err := s.policies().Look(c.Context(), c.who(s), l)
	if err != nil {
		return nil, err
	}
	return policyReply(&shown), nil
}

func (s *server) adminPolicySet(c *panelCall) (reply200, error) {
	return s.assign(c, desk.Assignment{Key: c.fields["key"], Value: c.fields["value"]})
}

func (s *server) adminPolicyUnset(c *panelCall) (reply200, error) {
	if c.fields["key"] != "" {
		return s.assign(c, desk.Assignment{Key: c.fields["key"], Unset: true})
	}
	l, err := c.level()
	if err != nil {
		return nil, err
	}
	changed, err := s.policies().UnsetAll(c.Context(), c.who(s), l)
	if err != nil {
		return nil, err
	}
	return policyReply(&changed.ShownPolicy), nil
}

func (s *server) assign(c *panelCall, a desk.Assignment) (reply200, error) {
	l, err := c.level()
	if err != nil {
		return nil, err
	}
	changed, err := s.policies().Set(c.Context(), c.who(s), l, a)
	if err != nil {
		return nil, err
	}
	return policyReply(&changed.ShownPolicy), nil
}
