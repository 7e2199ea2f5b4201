package web

import (
	"fmt"
	"net/http"
	"strings"
)

// PluginText is what a plug-in factor is called, and a sentence about it, by language.
type PluginText struct{ Label, Hint map[string]string }

// Prompt is what a plug-in factor asks, in plain text. It has a field, options, or
// nothing to answer with but a button to go on.
type Prompt struct {
	Title string
	Text  string // what to do: "Confirm the message on your phone"
	// Kind is that of FieldCode: text, code, tel or secret; empty: no field.
	Kind    string
	Label   string // of the field; empty: a general one
	Hint    string
	Digits  int // of a code; 0: not known
	Options []PromptOption
	// Wait is the path that asks for the answer, which the page loads by itself after
	// Seconds; empty: it does not.
	Wait    string
	Seconds int
	Again   bool // a button asks for another message
	Over    bool // the question is too old: nothing but that button
}

// PromptOption is one of several answers: a button with FieldCode.
type PromptOption struct{ ID, Label string }

// EnrolPlugin asks what a plug-in needs to know of a new factor.
type EnrolPlugin struct {
	Common
	Duty
	Method Method
	Prompt Prompt
	Name   string // FieldName, kept or suggested
	More   bool   // the account has a factor already
	Cancel string
	Apps   bool
}

func (*EnrolPlugin) view() (string, string) { return "enrolplugin", "enrolplugin_title" }

// PluginAdds are the plug-ins that the policy allows another factor of.
func (s *Security) PluginAdds() []Choice {
	var list []Choice
	for _, m := range s.MayAdd {
		if m.Plugin() {
			list = append(list, Choice{Method: m})
		}
	}
	return list
}

// prompt is the plug-in's on the page; nil: there is none.
func prompt(p Page) *Prompt {
	switch p := p.(type) {
	case *SignIn:
		if p.Method.Plugin() {
			return &p.Prompt
		}
	case *Confirm:
		if p.Method.Plugin() {
			return &p.Prompt
		}
	case *EnrolPlugin:
		return &p.Prompt
	}
	return nil
}

// refresh is the content of the meta element by which a page that waits asks for the
// answer; empty: it waits for its reader.
func refresh(f *frame) string {
	q := prompt(f.Page)
	if q == nil || q.Wait == "" || f.C.Problem != nil && f.C.Problem.Code != Pending {
		return ""
	}
	return fmt.Sprintf("%d; url=%s", max(1, q.Seconds), q.Wait)
}

// pluginField corrects the field of a problem: the page of a plug-in may have none.
func pluginField(p Page, field string) string {
	if q := prompt(p); q != nil && field == FieldCode && (q.Kind == "" || q.Over) {
		return ""
	}
	return field
}

// plugin is the text of a plug-in in the page's language, else English.
func (w *words) plugin(m Method, of func(PluginText) map[string]string) string {
	texts := of(w.plugins[strings.TrimPrefix(string(m), "plugin:")])
	if s := texts[w.lang]; s != "" {
		return s
	}
	return texts["en"]
}

// pluginLabel is what a plug-in is called.
func (w *words) pluginLabel(m Method) string {
	if s := w.plugin(m, func(t PluginText) map[string]string { return t.Label }); s != "" {
		return s
	}
	return strings.TrimPrefix(string(m), "plugin:")
}

// enrolLabel and enrolHint describe a method where one is chosen to be added.
func (w *words) enrolLabel(m Method) (any, error) {
	if m.Plugin() {
		return w.pluginLabel(m), nil
	}
	return w.text("enrol_" + string(m))
}

func (w *words) enrolHint(m Method) (any, error) {
	if m.Plugin() {
		return w.plugin(m, func(t PluginText) map[string]string { return t.Hint }), nil
	}
	return w.text("enrol_" + string(m) + "_text")
}

// Label is what users call a method, in the language of the request.
func (p *Pages) Label(r *http.Request, m Method) string {
	w := &words{lang: p.langs.choose(r, ""), plugins: p.options.Plugins}
	return w.pluginLabel(m)
}

// Language is the one that pages answer the request in.
func (p *Pages) Language(r *http.Request) string { return p.langs.choose(r, "") }
