package main

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/login"
	"postern/internal/web"
)

// terms are the lives of app passwords that can be chosen, in days; 0: for ever.
var terms = []int{0, 30, 90, 365}

// suggestions are names of things that need an app password; brands and words that are
// the same in all languages.
var suggestions = []string{"iPhone", "iPad", "Android", "Thunderbird", "Outlook", "Apple Mail"}

// appForm is the form for a new app password, as it was filled in.
type appForm struct {
	name, networks string
	services       []account.Service
	expires        int
}

func (t *turn) appGet() {
	if o := t.changing(); o != nil {
		t.appPage(o, appForm{services: services(o)}, http.StatusOK, nil)
	}
}

// services are those that the account's policy lets app passwords open, as far as
// mail is concerned.
func services(o *login.Owner) []account.Service {
	return slices.DeleteFunc(slices.Clone(account.MailServices), func(s account.Service) bool { return !o.Policy.AllowsService(string(s)) })
}

func (t *turn) appPage(o *login.Owner, f appForm, status int, p *web.Problem) {
	t.token = formToken{}
	all := slices.DeleteFunc(slices.Clone(account.Scopes), func(s account.Service) bool { return !o.Policy.AllowsService(string(s)) })
	page := &web.AppNew{Common: t.ownerCommon(o, p), Name: f.name, Suggest: suggestions, Services: all, Chosen: f.services,
		Networks: f.networks, Expires: f.expires, Terms: terms}
	page.Self = t.path(web.PathAppPassword)
	t.show(status, page)
}

// appPost makes an app password, and shows it in its answer: the only time that
// anybody sees it.
func (t *turn) appPost() {
	o := t.changing()
	if o == nil {
		return
	}
	f, n, p := t.appForm()
	if p != nil {
		t.appPage(o, f, http.StatusUnprocessableEntity, p)
		return
	}
	made, err := t.s.desk.CreateAppPassword(t.r.Context(), o.Actor(), o.Account.Name, n)
	if err != nil {
		t.appPage(o, f, statusOf(err), t.changeProblem(err))
		return
	}
	page := &web.AppCreated{Common: t.ownerCommon(o, nil), Name: made.Name, Login: o.Account.Name,
		Password: made.Password, Services: made.Services, Expires: made.Expires}
	page.Self = t.path(web.PathSecurity)
	if err := t.addServers(page, made.ID, o.Account); err != nil {
		t.s.log.Error("a new app password is shown without server settings", "error", err) // it would be lost otherwise
	}
	t.show(http.StatusOK, page)
}

// appForm reads the form; the problem is the first thing that is wrong with it.
func (t *turn) appForm() (appForm, desk.NewAppPassword, *web.Problem) {
	f := appForm{name: t.field(web.FieldName), networks: t.field(web.FieldNetworks)}
	for _, s := range t.r.PostForm[web.FieldService] {
		f.services = append(f.services, account.Service(s))
	}
	n := desk.NewAppPassword{Name: f.name, Services: f.services}
	if p := nameProblem(f.name); p != nil {
		return f, n, p
	}
	if len(f.services) == 0 || slices.ContainsFunc(f.services, func(s account.Service) bool { return !slices.Contains(account.Scopes, s) }) {
		return f, n, &web.Problem{Code: web.ServicesNone}
	}
	var err error
	if f.expires, err = strconv.Atoi(t.field(web.FieldExpires)); err != nil || !slices.Contains(terms, f.expires) {
		return f, n, &web.Problem{Code: web.ExpiresWrong}
	}
	if f.expires > 0 {
		n.Expires = t.s.now().Add(time.Duration(f.expires) * 24 * time.Hour)
	}
	wrong := ""
	if n.Networks, wrong = parseNetworks(f.networks); wrong != "" {
		return f, n, &web.Problem{Code: web.NetworksWrong, Value: wrong}
	}
	return f, n, nil
}

// parseNetworks reads addresses and prefixes, separated by blanks, commas or lines;
// wrong is the first that is neither.
func parseNetworks(text string) (list []netip.Prefix, wrong string) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,;\t\r\n", r) }) {
		if a, err := netip.ParseAddr(word); err == nil {
			list = append(list, netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return nil, word
		}
		list = append(list, p)
	}
	return list, ""
}

// appsEndPost revokes all app passwords, one after the other.
func (t *turn) appsEndPost() {
	t.carry(func(o *login.Owner) (web.Notice, error) {
		view := desk.OverviewOf(o.Account, t.s.now())
		live := liveApps(view.AppPasswords, t.s.now())
		if len(live) == 0 {
			return web.Notice{}, desk.ErrNothing
		}
		for _, a := range live {
			if _, err := t.s.desk.RevokeAppPassword(t.r.Context(), o.Actor(), o.Account.Name, a.ID); err != nil {
				return web.Notice{}, err
			}
		}
		return web.Notice{Code: web.DoneAppsRevoked}, nil
	})
}

// appRenewPost lets an app password work again that has stopped.
func (t *turn) appRenewPost() {
	t.carry(func(o *login.Owner) (web.Notice, error) {
		renewed, err := t.s.desk.RenewAppPassword(t.r.Context(), o.Actor(), o.Account.Name, t.field(web.FieldID))
		return web.Notice{Code: web.DoneAppRenewed, Name: renewed.Name}, err
	})
}
