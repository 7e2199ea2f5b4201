package plugin

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode"

	"postern/internal/factor"
	sdk "postern/plugin"
)

var fieldKinds = map[sdk.FieldKind]string{sdk.Text: "text", sdk.Code: "code", sdk.Tel: "tel", sdk.Secret: "secret"}

// promptOf is what the page shows of a plug-in's prompt: texts cut and without anything
// but characters, and one way to answer.
func promptOf(p *sdk.Prompt) ([]byte, error) {
	out := factor.PluginPrompt{Title: text(p.Title, sdk.MaxTitle), Text: text(p.Text, sdk.MaxText), Again: p.Again}
	switch {
	case p.Field != nil:
		kind, ok := fieldKinds[p.Field.Kind]
		if !ok || p.Field.Digits != 0 && (p.Field.Kind != sdk.Code || p.Field.Digits < 4 || p.Field.Digits > 10) {
			return nil, errors.New("a field that there is not")
		}
		out.Field = &factor.PluginField{Kind: kind, Label: text(p.Field.Label, sdk.MaxLabel),
			Hint: text(p.Field.Hint, sdk.MaxHint), Digits: p.Field.Digits}
	case len(p.Options) > sdk.MaxOptions:
		return nil, errors.New("too many options")
	case len(p.Options) > 0:
		for _, o := range p.Options {
			if o.ID == "" || len([]rune(o.ID)) > sdk.MaxID || text(o.ID, sdk.MaxID) != o.ID || text(o.Label, sdk.MaxLabel) == "" {
				return nil, errors.New("an option without id or label")
			}
			out.Options = append(out.Options, factor.PluginOption{ID: o.ID, Label: text(o.Label, sdk.MaxLabel)})
		}
	case p.Wait > 0:
		out.Wait = int(min(max(p.Wait, 2*time.Second), 30*time.Second) / time.Second)
	}
	return json.Marshal(out)
}

// text is at most limit characters, without controls and without what turns the
// direction of the text around it.
func text(s string, limit int) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case r == unicode.ReplacementChar:
			return '?'
		case unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r) && r != '\u200d' && r != '\u200c':
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))), " ")
	if runes := []rune(s); len(runes) > limit {
		s = string(runes[:limit-1]) + "…"
	}
	return s
}
