package notify

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	html "html/template"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	text "text/template"
	"time"

	"github.com/emersion/go-message/mail"

	"postern/internal/effect"
	"postern/internal/web/catalogue"
)

//go:embed template
var builtin embed.FS

// Templates write mails. A site's own stand in a directory, and are named
//
//	[DOMAIN/](TOPIC|mail)[.LANGUAGE].(txt|html)
//
// where the most particular one is taken: that of the domain before that of the site,
// that of the topic before mail, that of the language before the one without. The first
// line of a .txt may be "Subject: …".
type Templates struct {
	texts map[string]*text.Template
	htmls map[string]*html.Template
}

const maxTemplate = 64 << 10 // bytes

// ReadTemplates reads the built-in templates and, if dir is not empty, a site's own. The
// error names every file that is none.
func ReadTemplates(dir string) (*Templates, error) {
	t := &Templates{texts: make(map[string]*text.Template), htmls: make(map[string]*html.Template)}
	own, err := fs.Sub(builtin, "template")
	if err != nil {
		return nil, err
	}
	errs := []error{t.read(own)}
	if dir != "" {
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("mail.templates: %w", err)
		}
		errs = append(errs, t.read(os.DirFS(dir)))
	}
	return t, errors.Join(errs...)
}

func (t *Templates) read(files fs.FS) error {
	var errs []error
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		if err := t.add(files, path); err != nil {
			errs = append(errs, fmt.Errorf("mail.templates: %s: %w", path, err))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

func (t *Templates) add(files fs.FS, path string) error {
	if err := checkName(path); err != nil {
		return err
	}
	b, err := fs.ReadFile(files, path)
	switch {
	case err != nil:
		return err
	case len(b) > maxTemplate:
		return fmt.Errorf("is larger than %d bytes", maxTemplate)
	}
	name := strings.ToLower(path)
	if filepath.Ext(path) == ".txt" {
		if t.texts[name], err = text.New(name).Option("missingkey=error").Parse(string(b)); err == nil {
			err = t.texts[name].Execute(io.Discard, example())
		}
		return err
	}
	if t.htmls[name], err = html.New(name).Option("missingkey=error").Parse(string(b)); err == nil {
		err = t.htmls[name].Execute(io.Discard, example())
	}
	return err
}

// checkName refuses files that would never be taken: most are slips of the pen.
func checkName(path string) error {
	parts := strings.Split(path, "/")
	name := strings.Split(parts[len(parts)-1], ".")
	switch {
	case len(parts) > 2 || len(name) < 2 || len(name) > 3:
	case name[len(name)-1] != "txt" && name[len(name)-1] != "html":
	case len(name) == 3 && catalogue.Known(name[1]) != name[1]:
	case name[0] == "mail", gravity(effect.Topic(name[0])) >= 0:
		return nil
	}
	return errors.New("is no name of a template: they are [DOMAIN/](TOPIC|mail)[.LANGUAGE].(txt|html)")
}

// example has everything that a template may ask for.
func example() *Mail {
	return &Mail{Topic: "reset", Lang: "en", User: "alice@example.test", Domain: "example.test",
		Brand: Brand{Name: "Example", Accent: defaultAccent, Contact: "help@example.test"}, Subject: "Subject", Text: "Text",
		Facts: []Fact{{"Label", "Value"}}, Also: []Fact{{"Label", "Value"}}, Advice: []string{"Advice"}, Footer: "Footer"}
}

// names are the templates that would do for a mail, the most particular first.
func (m *Mail) names(extension string) []string {
	var names []string
	for _, dir := range []string{strings.ToLower(m.Domain) + "/", ""} {
		for _, what := range []string{m.Topic, "mail"} {
			names = append(names, dir+what+"."+m.Lang+extension, dir+what+extension)
		}
	}
	return names
}

// render returns the bodies, and sets the subject if the template does.
func (t *Templates) render(m *Mail) (plain, rich []byte, err error) {
	var b bytes.Buffer
	for _, name := range m.names(".txt") {
		if tmpl := t.texts[name]; tmpl != nil {
			err = tmpl.Execute(&b, m)
			break
		}
	}
	plain = bytes.Clone(b.Bytes())
	if first, rest, _ := bytes.Cut(plain, []byte("\n")); bytes.HasPrefix(first, []byte("Subject: ")) {
		m.Subject, plain = effect.Clean(strings.TrimSpace(string(first[len("Subject: "):]))), bytes.TrimLeft(rest, "\r\n")
	}
	b.Reset()
	for _, name := range m.names(".html") {
		if tmpl := t.htmls[name]; tmpl != nil {
			err = errors.Join(err, tmpl.Execute(&b, m))
			break
		}
	}
	return plain, b.Bytes(), err
}

// Envelope is a mail on its way.
type Envelope struct {
	From string
	Data []byte // the message, RFC 5322
}

// Write makes the message to one address. The id is the same for the same letters, so
// that a mailbox that gets a mail twice can tell.
func (t *Templates) Write(m *Mail, to string, letters []*Letter, now time.Time) (*Envelope, error) {
	plain, rich, err := t.render(m)
	if err != nil {
		return nil, err
	}
	var h mail.Header
	h.SetDate(now)
	h.SetMessageID(messageID(letters, m.Brand.From))
	h.SetAddressList("From", []*mail.Address{{Name: m.Brand.Name, Address: m.Brand.From}})
	h.SetAddressList("To", []*mail.Address{{Address: to}})
	h.SetSubject(m.Subject)
	h.SetText("Auto-Submitted", "auto-generated") // RFC 3834 section 5
	h.SetText("X-Auto-Response-Suppress", "All")  // the same for Exchange
	h.SetText("Content-Language", m.Lang)
	var b bytes.Buffer
	if err := writeParts(&b, h, plain, rich); err != nil {
		return nil, err
	}
	return &Envelope{From: m.Brand.From, Data: b.Bytes()}, nil
}

func writeParts(w io.Writer, h mail.Header, plain, rich []byte) error {
	body, err := mail.CreateInlineWriter(w, h) // multipart/alternative
	if err != nil {
		return err
	}
	for _, part := range []struct {
		kind string
		text []byte
	}{{"text/plain", plain}, {"text/html", rich}} {
		var ih mail.InlineHeader
		ih.SetContentType(part.kind, map[string]string{"charset": "utf-8"})
		ih.Set("Content-Transfer-Encoding", "quoted-printable")
		pw, err := body.CreatePart(ih)
		if err != nil {
			return err
		}
		if _, err := pw.Write(bytes.ReplaceAll(part.text, []byte("\n"), []byte("\r\n"))); err != nil {
			return err
		}
		if err := pw.Close(); err != nil {
			return err
		}
	}
	return body.Close()
}

func messageID(letters []*Letter, from string) string {
	ids := make([]string, 0, len(letters))
	for _, l := range letters {
		ids = append(ids, l.ID)
	}
	slices.Sort(ids)
	sum := sha256.Sum256([]byte(strings.Join(ids, "\n")))
	_, domain, _ := strings.Cut(from, "@")
	return "postern." + hex.EncodeToString(sum[:12]) + "@" + domain
}
