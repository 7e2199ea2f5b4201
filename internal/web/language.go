package web

import (
	"embed"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed catalogue/*.toml
var catalogues embed.FS

// Language is one the pages speak.
type Language struct{ Tag, Name string } // "de", "Deutsch"

// Languages are the ones the pages speak, by their own names, in their order. The
// first is the one that texts are written in.
var languageTable = [...]Language{
	{"en", "English"}, {"de", "Deutsch"}, {"es", "Español"}, {"fr", "Français"}, {"ru", "Русский"},
}

// Languages lists the languages of the pages.
func Languages() []Language { return slices.Clone(languageTable[:]) }

type languages struct {
	matcher language.Matcher
	site    string // the default
	texts   map[string]*i18n.Localizer
}

// newLanguages loads the catalogues; site is the tag of the default.
func newLanguages(site string) (*languages, error) {
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	l := &languages{site: "en", texts: make(map[string]*i18n.Localizer, len(languageTable))}
	tags := make([]language.Tag, 0, len(languageTable))
	for _, lang := range languageTable {
		for _, name := range []string{lang.Tag, "admin." + lang.Tag} {
			if _, err := bundle.LoadMessageFileFS(catalogues, "catalogue/"+name+".toml"); err != nil {
				return nil, fmt.Errorf("catalogue %s: %w", name, err)
			}
		}
		tags = append(tags, language.Make(lang.Tag))
		l.texts[lang.Tag] = i18n.NewLocalizer(bundle, lang.Tag)
	}
	l.matcher = language.NewMatcher(tags)
	if site != "" {
		l.site = l.known(site)
		if l.site == "" {
			return nil, fmt.Errorf("language %q: the pages speak %s", site, languageNames())
		}
	}
	return l, nil
}

func languageNames() string {
	tags := make([]string, 0, len(languageTable))
	for _, l := range languageTable {
		tags = append(tags, l.Tag)
	}
	return strings.Join(tags, ", ")
}

// known returns the tag if there is a catalogue for it, regions aside ("de-AT"),
// else "".
func (l *languages) known(tag string) string {
	base, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(tag, "_", "-")), "-")
	if _, ok := l.texts[base]; ok {
		return base
	}
	return ""
}

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
		return languageTable[i].Tag
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
