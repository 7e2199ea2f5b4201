package web

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"

	"postern/internal/account"
)

//go:embed template/*.html
var templateFiles embed.FS

//go:embed icon/*.svg
var iconFiles embed.FS

// parse makes a template set of each view in each language: the functions of a set
// are bound to its language. layout.html and the parts belong to all.
func (p *Pages) parse() error {
	p.views = make(map[string]map[string]*template.Template, len(p.langs.texts))
	names, err := fs.Glob(templateFiles, "template/*.html")
	if err != nil {
		return err
	}
	for _, lang := range Languages() {
		shared, err := template.New("").Funcs(p.functions(lang.Tag)).
			ParseFS(templateFiles, "template/layout.html", "template/parts.html", "template/adminparts.html")
		if err != nil {
			return fmt.Errorf("templates: %w", err)
		}
		p.views[lang.Tag] = make(map[string]*template.Template, len(names))
		for _, name := range names {
			view := strings.TrimSuffix(strings.TrimPrefix(name, "template/"), ".html")
			if view == "layout" || view == "parts" || view == "adminparts" {
				continue
			}
			if p.views[lang.Tag][view], err = template.Must(shared.Clone()).ParseFS(templateFiles, name); err != nil {
				return fmt.Errorf("templates: %w", err)
			}
		}
	}
	return nil
}

func (p *Pages) functions(lang string) template.FuncMap {
	w := &words{texts: p.langs.texts[lang], zone: p.options.Location, lang: lang, plugins: p.options.Plugins}
	return template.FuncMap{
		"t": w.text, "date": w.date, "moment": w.moment, "clock": w.clock, "span": w.span,
		"addr": address, "name": personal, "icon": icon, "path": p.Path, "asset": p.assets.url,
		"languages": Languages, "dict": dict, "join": strings.Join,
		"reveal": reveal, "groups": groups, "otpauth": otpauth, "qr": qrOf, "json": toJSON, "support": support,
		"askPath": askPath, "askIcon": askIcon, "askTone": askTone,
		"messageIcon": messageIcon, "messageTone": messageTone, "eventTone": eventTone,
		"actionIcon": actionIcon, "actionTone": actionTone, "shownIcon": shownIcon, "stateTone": stateTone, "kindIcon": kindIcon,
		"level": levelOf, "hours": hoursOf, "isWide": isWide,
		"label": w.label, "choice": func(m Method) Choice { return Choice{Method: m} }, "enrolLabel": w.enrolLabel, "enrolHint": w.enrolHint,
		"methodIcon": methodIcon, "digits": digits, "webmail": w.webmail,
	}
}

// words turns message ids into texts of one language.
type words struct {
	texts   *i18n.Localizer
	zone    zone
	lang    string
	plugins map[string]PluginText
}

// text returns the message with its arguments, given as name and value in turn. The
// argument N chooses the plural. An argument that is HTML already (a time, an
// address) is put in as it is, everything around it escaped.
func (w *words) text(id string, pairs ...any) (any, error) {
	args, err := dict(pairs...)
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", id, err)
	}
	var elements []string
	for name, v := range args {
		if element, ok := v.(template.HTML); ok {
			// A mark that no text has: NUL is not allowed in HTML at all.
			mark := fmt.Sprintf("\x00%d\x00", len(elements)/2)
			elements = append(elements, mark, string(element))
			args[name] = mark
		}
	}
	config := &i18n.LocalizeConfig{MessageID: id, TemplateData: args}
	if n, ok := args["N"]; ok {
		config.PluralCount = n
	}
	s, err := w.texts.Localize(config)
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", id, err)
	}
	if len(elements) == 0 {
		return s, nil
	}
	s = strings.NewReplacer(elements...).Replace(escape(s))
	return template.HTML(s), nil //nolint:gosec // everything but the elements is escaped
}

// escape is template.HTMLEscapeString, which would turn NUL into U+FFFD.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace(s)
}

// label is what a method is called.
func (w *words) label(c Choice) (any, error) {
	if c.Label != "" {
		return c.Label, nil
	}
	if c.Method.Plugin() {
		return w.pluginLabel(c.Method), nil
	}
	return w.text("method_" + string(c.Method))
}

// webmail is what the webmail is called.
func (w *words) webmail(f *frame) (any, error) {
	if f.C.Webmail.Administration {
		return w.text("admin_nav")
	}
	if f.C.Webmail.Name != "" {
		return f.C.Webmail.Name, nil
	}
	return w.text("webmail")
}

// digits is how long the codes are that a page asks for.
func digits(f *frame) int {
	n := 0
	if q := prompt(f.Page); q != nil && q.Digits > 0 {
		return q.Digits
	}
	switch p := f.Page.(type) {
	case *SignIn:
		n = p.Digits
	case *Confirm:
		n = p.Digits
	case *EnrolTOTP:
		n = p.Digits
	}
	if n == 0 {
		return 6
	}
	return n
}

func methodIcon(m Method) string {
	switch m {
	case TOTP:
		return "smartphone"
	case Passkey:
		return "fingerprint-pattern"
	case Backup:
		return "list-checks"
	case Password:
		return "lock-keyhole"
	default:
		return "plug"
	}
}

// address is an address or login name: written from left to right in any language,
// and, if it must, broken where people would: before the @ and behind dots.
func address(s string) template.HTML {
	s = escape(s)
	if strings.Contains(s, "@") {
		s = strings.NewReplacer("@", "<wbr>@", ".", ".<wbr>").Replace(s)
	}
	return template.HTML(`<bdi class="address" dir="ltr">` + s + `</bdi>`) //nolint:gosec // escaped
}

// personal is a name that somebody gave to a thing.
func personal(s string) template.HTML {
	return template.HTML(`<bdi class="name">` + escape(s) + `</bdi>`) //nolint:gosec // escaped
}

// icon is one of the embedded icons, inline so that it takes the text's colour, and
// silent: the text beside it says it all.
func icon(name string) (template.HTML, error) {
	b, err := iconFiles.ReadFile("icon/" + name + ".svg")
	if err != nil {
		return "", fmt.Errorf("icon %s: %w", name, err)
	}
	_, inner, _ := strings.Cut(string(b), ">")
	return template.HTML(`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">` + //nolint:gosec // embedded
		strings.Join(strings.Fields(inner), " ")), nil
}

// dict makes a map of names and values in turn, for templates with several arguments.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("an argument without value")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("argument %d has no name", i/2)
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

func reveal(s account.Secret) string { return string(s.Reveal()) }

// groups cuts a key into groups of four, as people type it.
func groups(s account.Secret) []string {
	key := strings.ReplaceAll(string(s.Reveal()), " ", "")
	var parts []string
	for len(key) > 4 {
		parts = append(parts, key[:4])
		key = key[4:]
	}
	return append(parts, key)
}

// otpauth lets a link of our own making through html/template, which knows the
// scheme not to be one of the web's.
func otpauth(s account.Secret) (template.URL, error) {
	u := string(s.Reveal())
	if !strings.HasPrefix(u, "otpauth://totp/") {
		return "", errors.New("not an otpauth: link")
	}
	return template.URL(u), nil //nolint:gosec // checked
}

// support is the address of a brand's help, checked by Brand.Validate; tel: is
// another scheme html/template does not know.
func support(b *brand) template.URL { return template.URL(b.Support) } //nolint:gosec // checked

func qrOf(s account.Secret, label any) (template.HTML, error) {
	return qrSVG(string(s.Reveal()), fmt.Sprint(label))
}

func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}
