package notify

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"postern/internal/effect"
	"postern/internal/web/catalogue"
)

// Mail is what a template gets. Every text is in the owner's language, and safe: one
// line, without control characters.
type Mail struct {
	Topic   string // of the gravest letter
	Lang    string // "de"
	User    string // the account's name
	Domain  string
	Brand   Brand
	Subject string // states the fact
	Text    string // what it means, in a sentence or two
	Facts   []Fact // when, from where, by whom
	Also    []Fact // what else happened at the time: when, and what
	Advice  []string
	Footer  string // why this mail came
}

// Fact is a label and what it says.
type Fact struct{ Label, Value string }

// Brand is how the mails of a domain look, and whom they name.
type Brand struct {
	Name    string // of the site, in the header and as the sender
	Accent  string // #rrggbb, readable on white
	Contact string // address or text: to whom one writes; empty: the administrator
	From    string // sender's address; %d is the account's domain
	// Language is for owners of whom the directory does not say one.
	Language string
}

// Composer turns letters into mails.
type Composer struct {
	Texts    catalogue.Texts
	Location *time.Location
	Site     Brand
	Domains  map[string]Brand // by domain, lower case
}

const (
	defaultName   = "Postern"
	defaultAccent = "#0f6768" // as package web's
)

var colour = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// brand is that of an account's domain, with what the site says where that is silent.
func (c *Composer) brand(domain string) Brand {
	b := c.Domains[strings.ToLower(domain)]
	or := func(p *string, more ...string) {
		for _, s := range more {
			if *p == "" {
				*p = s
			}
		}
	}
	or(&b.Name, c.Site.Name, defaultName)
	or(&b.Contact, c.Site.Contact)
	or(&b.From, c.Site.From)
	or(&b.Language, c.Site.Language, "en")
	or(&b.Accent, c.Site.Accent)
	if !colour.MatchString(b.Accent) {
		b.Accent = defaultAccent
	}
	b.From = strings.ReplaceAll(b.From, "%d", domain)
	b.Name = effect.Clean(b.Name)
	return b
}

// speech are the texts of one mail's language.
type speech struct {
	c    *Composer
	lang string
	errs []error
}

func (s *speech) text(id string, args map[string]any) string {
	text, err := s.c.Texts.Text(s.lang, id, args)
	s.errs = append(s.errs, err)
	return strings.ReplaceAll(text, "\u00ad", "") // soft hyphens are for narrow pages
}

func (s *speech) moment(t time.Time) string {
	text, err := s.c.Texts.Time(s.lang, "time_moment", t.In(s.c.Location))
	s.errs = append(s.errs, err)
	return text
}

// language is the first that there are texts in of what the directory says and what the
// domain does.
func (c *Composer) language(wanted string, b Brand) string {
	for _, tag := range []string{catalogue.Match(wanted), catalogue.Known(b.Language)} {
		if tag != "" {
			return tag
		}
	}
	return "en"
}

// Compose makes one mail of letters to one owner, who wants a language; last says that
// there will be no more today. An error is a text that is missing.
func (c *Composer) Compose(letters []*Letter, wanted string, last bool) (*Mail, error) {
	list := slices.Clone(letters)
	slices.SortStableFunc(list, func(a, b *Letter) int {
		if g := gravity(a.Topic) - gravity(b.Topic); g != 0 {
			return g
		}
		return a.Time.Compare(b.Time)
	})
	first := list[0]
	m := &Mail{Topic: string(first.Topic), User: effect.Clean(first.User), Domain: first.Domain, Brand: c.brand(first.Domain)}
	m.Lang = c.language(wanted, m.Brand)
	s := &speech{c: c, lang: m.Lang}
	m.Subject, m.Text = s.statement(first), s.text("mail_text_"+string(first.Topic), nil)
	m.Facts = s.facts(first)
	for _, l := range list[1:] {
		m.Also = append(m.Also, Fact{s.moment(l.when()), s.line(l)})
	}
	if slices.ContainsFunc(list, func(l *Letter) bool { return l.Topic == effect.TopicBackupUsed && l.Left <= few }) {
		m.Advice = append(m.Advice, s.text("mail_few_codes", nil))
	}
	m.Advice = append(m.Advice, s.advice(first, m.Brand, last)...)
	m.Footer = s.text("mail_footer", map[string]any{"Account": m.User, "Name": m.Brand.Name})
	return m, errors.Join(s.errs...)
}

func arguments(l *Letter) map[string]any {
	args := map[string]any{"Name": harmless(l.Name)}
	if l.Topic == effect.TopicBackupUsed {
		args["N"] = l.Left
	}
	return args
}

// statement states the fact: the subject.
func (s *speech) statement(l *Letter) string {
	return s.text("mail_subject_"+string(l.Topic), arguments(l))
}

// line is a statement with the name of the thing.
func (s *speech) line(l *Letter) string {
	if l.Name == "" {
		return s.statement(l)
	}
	return s.statement(l) + ": " + s.thing(l)
}

// thing is what a letter is about: "iPhone", or with what kind it is.
func (s *speech) thing(l *Letter) string {
	name := s.text("mail_quoted", map[string]any{"Name": harmless(l.Name)})
	switch kind := l.kind(); kind {
	case "totp", "passkey":
		return s.text("method_"+kind, nil) + ", " + name
	case "device":
		return program(effect.ProgramName(l.Name))
	}
	return name
}

// when it happened.
func (l *Letter) when() time.Time {
	if !l.At.IsZero() {
		return l.At
	}
	return l.Time
}

func (s *speech) facts(l *Letter) []Fact {
	var facts []Fact
	add := func(id, value string) {
		if value != "" {
			facts = append(facts, Fact{s.text(id, nil), value})
		}
	}
	add("account", effect.Clean(l.User))
	if l.Name != "" {
		add("mail_thing", s.thing(l))
	}
	add("mail_when", s.moment(l.when()))
	if !l.Until.IsZero() {
		add("mail_until", s.moment(l.Until))
	}
	add("mail_address", l.Address)
	add("mail_client", program(l.Client))
	add("mail_by", effect.Clean(l.By))
	if len(l.Kept) > 0 {
		add("mail_kept", s.names(l.Kept))
	}
	return facts
}

// maxNames bounds a list of names.
const maxNames = 10

func (s *speech) names(list []string) string {
	var quoted []string
	for _, name := range list[:min(len(list), maxNames)] {
		quoted = append(quoted, s.text("mail_quoted", map[string]any{"Name": harmless(name)}))
	}
	if len(list) > maxNames {
		quoted = append(quoted, "…")
	}
	return strings.Join(quoted, ", ")
}

// few is how many backup codes are so few that the mail says to make new ones.
const few = 3

func (s *speech) advice(l *Letter, b Brand, last bool) []string {
	var advice []string
	if l.Topic.ByItself() { // nobody did it: there is nobody to tell about
		advice = append(advice, s.text("mail_app_again", nil))
		if last {
			advice = append(advice, s.text("mail_last", nil))
		}
		return advice
	}
	ok := "mail_ok"
	if l.By != "" {
		ok = "mail_ok_by"
	}
	advice = append(advice, s.text(ok, nil))
	if b.Contact == "" {
		advice = append(advice, s.text("mail_not_administrator", nil))
	} else {
		advice = append(advice, s.text("mail_not", map[string]any{"Contact": effect.Clean(b.Contact)}))
	}
	if last {
		advice = append(advice, s.text("mail_last", nil))
	}
	return advice
}
