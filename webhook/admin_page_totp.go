package main

import (
	"net/http"
	"strconv"
	"strings"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/web"
)

// adminTOTPGet shows the form for an authenticator that is handed out.
func (t *turn) adminTOTPGet() {
	c := t.acting()
	if c == nil {
		return
	}
	a, _, ok := t.shown(c, t.r.URL.Query().Get(web.FieldTarget))
	if !ok {
		return
	}
	if err := c.may.May(t.r.Context(), admin.Provision, a); err != nil {
		t.refuse(c, err)
		return
	}
	t.askTOTP(c, a, http.StatusOK, nil)
}

func (t *turn) askTOTP(c *console, a *account.Account, status int, p *web.Problem) {
	t.token = formToken{}
	page := &web.AdminTOTP{Admin: t.adminOf(c, "", a, p), Name: a.Name, Label: t.field(web.FieldName), Algorithm: firstOf(t.field(web.FieldAlgorithm), string(factor.SHA1))}
	for _, a := range []factor.Algorithm{factor.SHA1, factor.SHA256, factor.SHA512} {
		page.Algorithms = append(page.Algorithms, string(a))
	}
	page.Digits, _ = strconv.Atoi(firstOf(t.field(web.FieldDigits), "6"))
	page.Period, _ = strconv.Atoi(firstOf(t.field(web.FieldPeriod), "30"))
	page.Self = t.path(web.PathAdminTOTP, web.FieldTarget, a.Name)
	t.show(status, page)
}

// adminTOTPPost adds an authenticator. A key that was made here is shown, once; one that
// was typed is not.
func (t *turn) adminTOTPPost() {
	c := t.acting()
	if c == nil {
		return
	}
	a, _, ok := t.shown(c, t.field(web.FieldTarget))
	if !ok {
		return
	}
	n := desk.NewTOTP{Name: strings.TrimSpace(t.field(web.FieldName))}
	n.Options.Digits, _ = strconv.Atoi(t.field(web.FieldDigits)) // what is no number is out of range
	n.Options.Period, _ = strconv.Atoi(t.field(web.FieldPeriod))
	n.Options.Algorithm = factor.Algorithm(t.field(web.FieldAlgorithm))
	typed := account.SecretString(t.field(web.FieldSecret))
	if !typed.Empty() {
		var err error
		if n.Options.Secret, err = factor.ParseTOTPSecret(string(typed.Reveal())); err != nil {
			t.askTOTP(c, a, http.StatusUnprocessableEntity, &web.Problem{Code: web.SecretWrong})
			return
		}
	}
	added, err := t.s.desk.AddTOTP(t.r.Context(), c.actor(t), a.Name, n)
	switch {
	case err != nil:
		status, p := t.adminProblem(err)
		if named := nameProblem(n.Name); n.Name != "" && named != nil {
			p = named
		}
		t.askTOTP(c, a, status, p)
	case !typed.Empty():
		t.adminDone(a.Name, web.Notice{Code: web.DoneAdminTOTP, Name: added.Name})
	default:
		t.showOnce(&asking{console: c, account: a}, &web.AdminShow{What: web.ShownKey, Value: account.SecretString(added.TOTP.SecretText()),
			URI: account.SecretString(added.TOTP.URI(a.Domain, a.Name))})
	}
}
