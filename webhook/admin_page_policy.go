package main

import (
	"errors"
	"net/http"
	"strings"

	"postern/internal/admin"
	"postern/internal/desk"
	"postern/internal/policy"
	"postern/internal/web"
)

// level is the level of policy that the request is about: an account's by its name; the
// domain that the administrator has where none is named.
func (t *turn) level(c *console) (policy.Level, error) {
	value := t.field
	if t.r.Method != http.MethodPost {
		value = t.r.URL.Query().Get
	}
	kind, name := policy.Kind(value(web.FieldLevel)), value(web.FieldLevelName)
	switch {
	case kind == policy.LevelAccount:
		return policy.Level{Kind: kind, Name: name}, nil
	case kind == "" && len(c.may.Domains) > 0:
		return policy.NewLevel(policy.LevelDomain, c.may.Domains[0])
	case kind == "":
		kind = policy.LevelDefault
	}
	return policy.NewLevel(kind, name)
}

func (t *turn) adminPolicyGet() {
	c := t.looking()
	if c == nil {
		return
	}
	l, err := t.level(c)
	if err != nil {
		t.say(http.StatusNotFound, web.MessageNotFound)
		return
	}
	t.policy(c, l, http.StatusOK, nil, nil)
}

// policy shows a level; typed are values that were not taken, by key.
func (t *turn) policy(c *console, l policy.Level, status int, typed map[string]string, p *web.Problem) {
	shown, err := t.s.policies().Look(t.r.Context(), c.actor(t), l)
	if err != nil && shown.Level.Kind == "" {
		t.refuse(c, err)
		return
	}
	t.token = formToken{}
	page := &web.AdminPolicy{Admin: t.adminOf(c, domainOf(&shown), nil, p), Level: web.PolicyWord(shown.Level.Kind), Of: shown.Level.Name, Others: t.levels(c, &shown),
		Fields: ownFields(&shown, typed), MayWrite: t.mayWrite(c, &shown), Was: shown.Own.JSON()}
	if broken := errors.Join(shown.Own.Err, err); broken != nil {
		page.Broken, page.MayWrite = broken.Error(), false
	}
	for _, clash := range shown.Problems {
		page.Clashes = append(page.Clashes, clash.Error())
	}
	page.Notice, page.Self = t.notice(), t.path(web.PathAdminPolicy, web.FieldLevel, string(page.Level), web.FieldLevelName, page.Of)
	t.show(status, page)
}

func domainOf(shown *desk.ShownPolicy) string {
	if shown.Level.Kind == policy.LevelDomain {
		return shown.Level.Name
	}
	return policy.DomainName(shown.Domain)
}

// levels are those to look at: the default, the domains that the administrator has, and
// the classes.
func (t *turn) levels(c *console, shown *desk.ShownPolicy) []web.AdminLevel {
	all := []web.AdminLevel{{Level: web.PolicyWord(policy.LevelDefault)}}
	domains := c.may.Domains
	if c.may.All {
		domains = t.domains(domainOf(shown), &listing{domains: map[string]bool{policy.DomainName(c.Account.Domain): true}})
	}
	for _, d := range domains {
		all = append(all, web.AdminLevel{Level: web.PolicyWord(policy.LevelDomain), Of: d})
	}
	for _, name := range t.classes() {
		all = append(all, web.AdminLevel{Level: web.PolicyWord(policy.LevelClass), Of: name})
	}
	if shown.Level.Kind == policy.LevelAccount {
		all = append(all, web.AdminLevel{Level: web.PolicyWord(policy.LevelAccount), Of: shown.Level.Name})
	}
	return all
}

// ownFields are all settings of a level: its own value, and what holds without.
func ownFields(shown *desk.ShownPolicy, typed map[string]string) []web.AdminField {
	var list []web.AdminField
	for _, f := range policy.Fields() {
		row := web.Field(f.Key, f.Choices())
		row.Own, row.Inherited = fieldText(shown.Own.Get(f.Key)), fieldText(shown.Below.Get(f.Key))
		row.Origin = web.OriginOf(shown.Below.Origin[f.Key])
		if text, ok := typed[f.Key]; ok {
			row.Own = text
			var s policy.Settings
			row.Wrong = text != "" && (s.Set(f.Key, text) != nil || s.Validate() != nil)
		}
		list = append(list, row)
	}
	return list
}

// adminPolicyPost sets what the form says otherwise than the page did: what somebody
// else changed meanwhile stays.
func (t *turn) adminPolicyPost() {
	c := t.acting()
	if c == nil {
		return
	}
	l, err := t.level(c)
	if err != nil {
		t.say(http.StatusNotFound, web.MessageNotFound)
		return
	}
	typed, changes := t.assignments()
	_, err = t.s.policies().Set(t.r.Context(), c.actor(t), l, changes...)
	switch {
	case errors.Is(err, desk.ErrInvalid):
		t.policy(c, l, http.StatusUnprocessableEntity, typed, &web.Problem{Code: web.PolicyWrong, Value: reasonText(err)})
	case err != nil:
		if status, p := t.adminProblem(err); status == http.StatusForbidden || status == http.StatusNotFound {
			t.refuse(c, err)
		} else {
			t.policy(c, l, status, typed, p)
		}
	default:
		t.notify(web.Notice{Code: web.DoneAdminPolicy})
		t.redirect(t.path(web.PathAdminPolicy, web.FieldLevel, string(l.Kind), web.FieldLevelName, l.Name))
	}
}

// assignments are what the form changes, and all that was typed, by key.
func (t *turn) assignments() (map[string]string, []desk.Assignment) {
	was := policy.ParseJSON("", t.field(web.FieldWas))
	typed := make(map[string]string)
	var list []desk.Assignment
	for _, f := range policy.Fields() {
		if !t.r.PostForm.Has(f.Key) {
			continue
		}
		text := strings.TrimSpace(t.field(f.Key))
		typed[f.Key] = text
		if text != fieldText(was.Get(f.Key)) {
			list = append(list, desk.Assignment{Key: f.Key, Value: text, Unset: text == ""})
		}
	}
	return typed, list
}

// reasonText is what a check says, without the sentinel before it.
func reasonText(err error) string {
	return strings.TrimPrefix(err.Error(), desk.ErrInvalid.Error()+": ")
}

// mayWrite reports whether the page has a form; the desk decides about what it sends.
func (t *turn) mayWrite(c *console, shown *desk.ShownPolicy) bool {
	switch shown.Level.Kind {
	case policy.LevelDefault: // stands in the configuration file
		return false
	case policy.LevelAccount:
		a, err := t.s.desk.Store.Find(t.r.Context(), shown.Level.Name)
		return err == nil && c.may.May(t.r.Context(), admin.SetPolicy, a) == nil
	}
	return c.may.MayLevel(admin.SetPolicy, shown.Level) == nil
}
