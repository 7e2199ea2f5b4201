// Package catalogue holds every text that users see, in five languages: those of the
// hosted pages and of the mails. The texts are in the files of this directory, one of
// each subject and language.
package catalogue

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed *.toml
var files embed.FS

// Language is one that there are texts in.
type Language struct{ Tag, Name string } // "de", "Deutsch"

// languages are in the order of their own names. The first is the one that texts are
// written in.
var languages = [...]Language{
	{"en", "English"}, {"de", "Deutsch"}, {"es", "Español"}, {"fr", "Français"}, {"ru", "Русский"},
}

// Languages lists the languages that there are texts in.
func Languages() []Language { return slices.Clone(languages[:]) }

// Names lists their tags, for messages.
func Names() string {
	tags := make([]string, 0, len(languages))
	for _, l := range languages {
		tags = append(tags, l.Tag)
	}
	return strings.Join(tags, ", ")
}

// Known returns the tag if there are texts in it, regions aside ("de-AT"), else "".
func Known(tag string) string {
	base, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(tag, "_", "-")), "-")
	if slices.ContainsFunc(languages[:], func(l Language) bool { return l.Tag == base }) {
		return base
	}
	return ""
}

// Match is the first of the wanted tags, by preference, that there are texts in:
// RFC 9110 section 12.5.4's form, which RFC 2798 section 2.7 gives preferredLanguage,
// too. "" if there is none.
func Match(wanted string) string {
	tags, _, err := language.ParseAcceptLanguage(wanted)
	if err != nil {
		return ""
	}
	for _, t := range tags {
		if tag := Known(t.String()); tag != "" {
			return tag
		}
	}
	return ""
}

// Texts are the texts of all languages.
type Texts map[string]*i18n.Localizer

// Load reads them.
func Load() (Texts, error) {
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	names, err := fs.Glob(files, "*.toml")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, err := bundle.LoadMessageFileFS(files, name); err != nil {
			return nil, fmt.Errorf("catalogue %s: %w", name, err)
		}
	}
	texts := make(Texts, len(languages))
	for _, l := range languages {
		texts[l.Tag] = i18n.NewLocalizer(bundle, l.Tag)
	}
	return texts, nil
}

// Text is a message with its arguments, of which N chooses the plural.
func (t Texts) Text(lang, id string, args map[string]any) (string, error) {
	config := &i18n.LocalizeConfig{MessageID: id, TemplateData: args}
	if n, ok := args["N"]; ok {
		config.PluralCount = n
	}
	s, err := t[lang].Localize(config)
	if err != nil {
		return "", fmt.Errorf("message %s: %w", id, err)
	}
	return s, nil
}

// Time writes a time, in its own zone, by a message: time_date, time_moment or
// time_clock.
func (t Texts) Time(lang, layout string, at time.Time) (string, error) {
	month, err := t.Text(lang, fmt.Sprintf("month_%d", at.Month()), nil)
	if err != nil {
		return "", err
	}
	return t.Text(lang, layout, map[string]any{"Day": at.Day(), "Month": month, "Year": at.Year(),
		"Time": at.Format("15:04"), "Seconds": at.Format("15:04:05"), "Zone": at.Format("MST")})
}
