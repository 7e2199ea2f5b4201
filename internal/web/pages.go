package web

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options configures Pages.
type Options struct {
	// Base is the path below which the pages are mounted, with slashes at both ends:
	// "/2fa/".
	Base string
	// HTTPS says that browsers reach the pages by https only; then they are told to
	// stay with it (HSTS).
	HTTPS    bool
	Language string         // of the site, for browsers that want none of ours; empty: en
	Location *time.Location // zone of the times shown; nil: UTC
	Brand    Brand          // the site's
	Brands   map[string]Brand
	Plugins  map[string]PluginText // by the plug-in's name
}

// Pages renders view models. It is safe for concurrent use.
type Pages struct {
	options Options
	langs   *languages
	brands  map[string]*brand
	site    *brand
	assets  *assets
	views   map[string]map[string]*template.Template // by language, then by view
}

// New reads the embedded templates, catalogues and assets. Errors name every
// problem of the options.
func New(o Options) (*Pages, error) {
	if o.Location == nil {
		o.Location = time.UTC
	}
	p := &Pages{options: o, assets: newAssets(o.Base), brands: make(map[string]*brand, len(o.Brands))}
	var errs []error
	if !strings.HasPrefix(o.Base, "/") || !strings.HasSuffix(o.Base, "/") {
		errs = append(errs, fmt.Errorf("base path %q must begin and end with a slash", o.Base))
	}
	var err error
	if p.langs, err = newLanguages(o.Language); err != nil {
		errs = append(errs, err)
	}
	if p.site, err = p.addBrand(o.Brand); err != nil {
		errs = append(errs, fmt.Errorf("brand: %w", err))
	}
	for domain, b := range o.Brands {
		if p.brands[strings.ToLower(domain)], err = p.addBrand(b); err != nil {
			errs = append(errs, fmt.Errorf("brand of %s: %w", domain, err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, p.parse()
}

// Path is the path of a page on its host: "/2fa/" + PathSignIn.
func (p *Pages) Path(rest string) string { return p.options.Base + rest }

// frame is what the templates get.
type frame struct {
	Page     Page
	C        *Common
	B        *brand
	Lang     string
	View     string
	Title    string // message
	Self     string
	Script   bool   // the page has buttons that copy, download or print
	Passkeys bool   // the page needs the WebAuthn script
	Problem  string // message of what went wrong
	Field    string // where
	Refresh  string // of a page that asks again by itself
	Styles   []string
}

// Render answers with a page. An error means that nothing was written, or that the
// client is gone.
func (p *Pages) Render(w http.ResponseWriter, r *http.Request, status int, page Page) error {
	c := page.common()
	f := p.frame(r, page)
	var b bytes.Buffer
	if err := p.views[f.Lang][f.View].ExecuteTemplate(&b, "layout", f); err != nil {
		return fmt.Errorf("page %s: %w", f.View, err)
	}
	h := w.Header()
	p.headers(h, c.Origins)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", f.Lang)
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return err
}

func (p *Pages) frame(r *http.Request, page Page) *frame {
	c := page.common()
	f := &frame{Page: page, C: c, B: p.brandOf(c.Domain), Self: c.Self, Lang: p.langs.choose(r, c.Language)}
	f.View, f.Title = page.view()
	f.Script, f.Passkeys = viewScripts(f.View)
	if f.Self == "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		f.Self = r.URL.RequestURI()
	}
	if c.Problem != nil {
		f.Problem, f.Field = "problem_"+string(c.Problem.Code), pluginField(page, c.Problem.field())
	}
	f.Refresh = refresh(f)
	f.Styles = []string{p.assets.url("page.css"), f.B.css}
	if f.B.Stylesheet != "" {
		f.Styles = append(f.Styles, f.B.Stylesheet)
	}
	return f
}

// viewScripts says which of the two scripts a view has.
func viewScripts(view string) (buttons, passkeys bool) {
	switch view {
	case "enroltotp", "backupcodes", "appcreated", "adminshow", "admindone":
		return true, false
	case "signin", "confirm", "passkey", "enrolpasskey", "security":
		return false, true
	}
	return false, false
}

// headers sets what every page has. Referrer-Policy: no path or query ever leaves;
// no-referrer would be stricter, but makes browsers send "Origin: null" with forms
// (Fetch standard, section 3.2), and the Origin is what tells apart forms of other
// sites where a browser sends no Sec-Fetch-Site.
func (p *Pages) headers(h http.Header, origins []string) {
	csp := "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'; " +
		"form-action 'self'" + sources(origins) + "; frame-ancestors 'none'; base-uri 'none'"
	h.Set("Content-Security-Policy", csp)
	h.Set("Referrer-Policy", "strict-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), "+
		"camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
	if p.options.HTTPS {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// sources makes a CSP source list of origins; what is no origin is left out, so
// that it cannot become another directive.
func sources(origins []string) string {
	var b strings.Builder
	for _, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || strings.ContainsAny(u.Host, ";, '\"") {
			continue
		}
		b.WriteString(" " + u.Scheme + "://" + u.Host)
	}
	return b.String()
}

// field is the form field that a problem belongs to; empty: the whole page.
func (p *Problem) field() string {
	switch p.Code {
	case CodeEmpty, CodeShort, CodeLong, CodeNotDigits, CodeWrong, CodeUsed, CodeExpired,
		BackupForm, BackupWrong, BackupUsed, TooManyTries, PluginWrong, PluginForm:
		return FieldCode
	case PasswordEmpty, PasswordWrong:
		return FieldPassword
	case EnrolTokenWrong:
		return FieldEnrolToken
	case SavedMissing:
		return FieldSaved
	case NameEmpty, NameLong, NameForm, NameTaken:
		return FieldName
	case ServicesNone:
		return FieldService
	case NetworksWrong:
		return FieldNetworks
	case ExpiresWrong:
		return FieldExpires
	case ReasonEmpty, ReasonWrong:
		return FieldReason
	case CountWrong:
		return FieldCount
	case SecretWrong:
		return FieldSecret
	case ClassWrong:
		return FieldClass
	default:
		return ""
	}
}
