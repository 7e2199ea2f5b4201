package main

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/policy"
)

type netipAddr = netip.Addr

// replyJSON answers with an object that nobody keeps.
func replyJSON(w http.ResponseWriter, status int, a reply200) {
	body, err := json.Marshal(a)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

func (a reply200) addTime(key string, t time.Time) {
	if !t.IsZero() {
		a[key] = t.UTC().Format(time.RFC3339)
	}
}

func (a reply200) addUse(u account.Use) {
	a.addTime("last_used", u.At)
	if u.Service != "" && !u.At.IsZero() {
		a["service"] = u.Service
	}
	if u.From.IsValid() {
		a["address"] = u.From
	}
}

// addToken adds an enrolment token, which is shown this once.
func (a reply200) addToken(t desk.EnrolToken) {
	if token := t.Token.Reveal(); len(token) > 0 {
		a["token"] = string(token)
		a.addTime("token_expires", t.Until)
	}
}

func changedReply(c *desk.Changed) reply200 {
	a := reply200{"user": c.User, "app_passwords_left": c.AppPasswords}
	ended := reply200{}
	for k, n := range c.Ended {
		ended[k.Word()] = n
	}
	a["ended"] = ended
	a.addToken(c.Token)
	return a
}

func summaryReply(s *desk.Summary) reply200 {
	a := reply200{"user": s.Name, "domain": s.Domain, "status": s.Status, "two_factor": s.TwoFactor,
		"authenticators": s.Authenticators, "passkeys": s.Passkeys, "plugin_factors": s.PluginFactors, "backup_codes": s.BackupCodes,
		"app_passwords": s.AppPasswords, "sessions": s.Sessions, "trusted_devices": s.Devices}
	if s.Class != "" {
		a["class"] = s.Class
	}
	a.addTime("last_used", s.LastUse.At)
	if n := len(s.MainUses); n > 0 {
		a.addTime("main_password_used", s.MainUses[n-1].At)
	}
	return a
}

func overviewReply(o *desk.Overview, now time.Time) reply200 {
	a := summaryReply(&o.Summary)
	list := []reply200{}
	add := func(kind account.Kind, id, name string, created time.Time, u account.Use) reply200 {
		c := reply200{"kind": kind.Word(), "id": id, "name": name}
		c.addTime("created", created)
		c.addUse(u)
		list = append(list, c)
		return c
	}
	for _, f := range o.Factors {
		add(f.Kind, f.ID, f.Name, f.Created, f.Used)
	}
	for i := range o.AppPasswords {
		p := &o.AppPasswords[i]
		c := add(account.KindApp, p.ID, p.Name, p.Created, p.Used)
		c["state"], c["services"] = p.State(now), p.Services
	}
	for _, d := range o.Devices {
		add(account.KindDevice, d.ID, d.Name, d.Created, d.Used)
	}
	for _, s := range o.Sessions {
		add(account.KindSession, s.ID, s.Client, s.Created, s.Used)
	}
	a["credentials"], a["unreadable"] = list, o.Unreadable != nil || o.Damage != nil
	a.addTime("enrol_token_expires", o.EnrolUntil)
	return a
}

func policyReply(p *desk.ShownPolicy) reply200 {
	own, effective, origin := reply200{}, reply200{}, reply200{}
	for _, f := range policy.Fields() {
		if v := p.Own.Get(f.Key); policy.Text(v) != policy.Text(nil) {
			own[f.Key] = policy.Text(v)
		}
		origin[f.Key] = p.Effective.Origin[f.Key]
		effective[f.Key] = policy.Text(p.Effective.Get(f.Key))
	}
	return reply200{"level": p.Level.Kind, "name": p.Level.Name, "own": own, "effective": effective, "origin": origin}
}

// adminTOTPAdd provisions an authenticator; the answer has its secret if it was made here.
func (s *server) adminTOTPAdd(c *panelCall) (reply200, error) {
	n := desk.NewTOTP{Name: c.fields["name"]}
	if text := c.fields["secret"]; text != "" {
		var err error
		if n.Options.Secret, err = factor.ParseTOTPSecret(text); err != nil {
			return nil, bad("secret: %s", err)
		}
	}
	added, err := s.desk.AddTOTP(c.Context(), c.who(s), c.user(), n)
	if err != nil {
		return nil, err
	}
	a := reply200{"user": added.User, "id": added.ID, "name": added.Name, "first": added.First}
	if n.Options.Secret == nil {
		a["secret"] = added.TOTP.SecretText()
	}
	return a, nil
}

// adminTOTPCode shows the current code, for a reason that the audit log keeps.
func (s *server) adminTOTPCode(c *panelCall) (reply200, error) {
	shown, err := s.desk.Code(c.Context(), c.who(s), c.user(), desk.WantedCode{ID: c.fields["id"], Reason: c.fields["reason"]})
	if err != nil {
		return nil, err
	}
	a := reply200{"user": shown.User, "id": shown.ID, "code": string(shown.Code.Reveal())}
	a.addTime("expires", shown.Expires)
	return a, nil
}

// adminAppPassword creates an app password, for a panel that may, and an account without
// two-factor login (FEATURES E6).
func (s *server) adminAppPassword(c *panelCall) (reply200, error) {
	if !c.panel.AppPasswords {
		return nil, errNoAppPasswords
	}
	n := desk.NewAppPassword{Name: c.fields["name"]}
	for _, service := range strings.FieldsFunc(c.fields["services"], func(r rune) bool { return r == ',' || r == ' ' }) {
		n.Services = append(n.Services, account.ParseService(service))
	}
	made, err := s.desk.CreateAppPassword(c.Context(), c.who(s), c.user(), n)
	if err != nil {
		return nil, err
	}
	return reply200{"user": made.User, "id": made.ID, "name": made.Name, "password": string(made.Password.Reveal())}, nil
}

var errNoAppPasswords = &problem{http.StatusForbidden, admin.ErrForbidden.Error() + ": this key has no app_passwords = true in admin.clients"}

// adminBypass lets an account in by its main password for a while, for a panel that may.
func (s *server) adminBypass(c *panelCall) (reply200, error) {
	if !c.panel.Bypass {
		return nil, errNoBypass
	}
	life, err := time.ParseDuration(c.fields["for"])
	if err != nil {
		return nil, bad("for: not a time such as 30m or 4h")
	}
	b, err := s.desk.Bypass(c.Context(), c.who(s), c.user(), desk.NewBypass{For: life, Reason: c.fields["reason"]})
	if err != nil {
		return nil, err
	}
	a := reply200{"user": b.User}
	a.addTime("from", b.From)
	a.addTime("until", b.Until)
	return a, nil
}

var errNoBypass = &problem{http.StatusForbidden, admin.ErrForbidden.Error() + ": this key has no bypass = true in admin.clients"}
