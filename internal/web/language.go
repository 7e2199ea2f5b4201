package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/text/language"

	"postern/internal/web/catalogue"
)

// Language is one the pages speak.
type Language = catalogue.Language

// Languages lists the languages of the pages, by their own names, in their order.
func Languages() []Language { return catalogue.Languages() }

type languages struct {
	matcher language.Matcher
	site    string // the default
	texts   catalogue.Texts
}

// newLanguages loads the catalogues; site is the tag of the default.
func newLanguages(site string) (*languages, error) {
	texts, err := catalogue.Load()
	if err != nil {
		return nil, err
	}
	l := &languages{site: "en", texts: texts}
	var tags []language.Tag
	for _, lang := range Languages() {
		tags = append(tags, language.Make(lang.Tag))
	}
	l.matcher = language.NewMatcher(tags)
	if site != "" {
		l.site = l.known(site)
		if l.site == "" {
			return nil, fmt.Errorf("language %q: the pages speak %s", site, catalogue.Names())
		}
	}
	return l, nil
}

// known returns the tag if there is a catalogue for it, regions aside ("de-AT"),
// else "".
func (l *languages) known(tag string) string { return catalogue.Known(tag) }

// choose: what the person chose on an earlier page, else what is known of the
// account, else what the browser asks for, else the site's.
func (l *languages) choose(r *http.Request, account string) string {
	if chosen, ok := languageCookie.Get(r); ok && l.known(chosen) != "" {
		return l.known(chosen)
	}
	if l.known(account) != "" {
		return l.known(account)
	}
	wanted, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil || len(wanted) == 0 {
		return l.site
	}
	if _, i, confidence := l.matcher.Match(wanted...); confidence != language.No {
		return Languages()[i].Tag
	}
	return l.site
}

// languageCookie keeps the choice of a language.
var languageCookie = Cookie{Name: "postern_lang", Life: 365 * 24 * time.Hour, SameSite: http.SameSiteLaxMode}

// setLanguage answers the footer's form: remembers the choice and goes back.
func (p *Pages) setLanguage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	if tag := p.langs.known(r.PostFormValue(FieldLanguage)); tag != "" {
		if err := languageCookie.Set(w, tag); err != nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
	}
	http.Redirect(w, r, p.local(r.PostFormValue(FieldNext)), http.StatusSeeOther) //nolint:gosec // local lets only our own paths through
}

// local returns next if it is a path of these pages, else the path of Security:
// everything else would be an open redirect.
func (p *Pages) local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(u.Path, p.options.Base) ||
		strings.ContainsAny(next, "\\\r\n\t") || strings.Contains(u.Path, "/../") {
		return p.Path(PathSecurity)
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String()
}
