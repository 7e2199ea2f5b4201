package web_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"golang.org/x/net/html"

	"postern/internal/notify"
	"postern/internal/policy"
	"postern/internal/web"
)

// catalogue is a language's messages: by id, then by plural form, which is empty for
// messages without.
type catalogue map[string]map[string]string

func readCatalogue(t *testing.T, lang string) catalogue {
	t.Helper()
	c := catalogue{}
	for _, name := range []string{lang, "admin." + lang, "mail." + lang, "setup." + lang} {
		c.read(t, "catalogue/"+name+".toml")
	}
	return c
}

func (c catalogue) read(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]any
	if err := toml.Unmarshal(b, &raw); err != nil {
		t.Fatal(err)
	}
	for id, v := range raw {
		if c[id] != nil {
			t.Errorf("%s: %s is there twice", path, id)
		}
		c[id] = map[string]string{}
		switch v := v.(type) {
		case string:
			c[id][""] = v
		case map[string]any:
			for form, text := range v {
				c[id][form], _ = text.(string)
			}
		}
	}
}

// pluralForms are those that CLDR has for the numbers on our pages. French and
// Spanish have "many" for millions only.
var pluralForms = map[string][]string{
	"en": {"one", "other"}, "de": {"one", "other"}, "es": {"one", "other"}, "fr": {"one", "other"},
	"ru": {"few", "many", "one", "other"},
}

var placeholder = regexp.MustCompile(`\{\{\.(\w+)\}\}`)

func placeholders(text string) []string {
	var names []string
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestA10_LanguagesAreComplete(t *testing.T) {
	en := readCatalogue(t, "en")
	for _, lang := range web.Languages() {
		c := readCatalogue(t, lang.Tag)
		for id, forms := range en {
			compareMessage(t, lang.Tag, id, forms, c[id])
		}
		for id := range c {
			if en[id] == nil {
				t.Errorf("%s: %s is no message", lang.Tag, id)
			}
		}
	}
}

func compareMessage(t *testing.T, lang, id string, en, forms map[string]string) {
	t.Helper()
	want := []string{""}
	if _, plain := en[""]; !plain {
		want = pluralForms[lang]
	}
	for _, form := range want {
		text := forms[form]
		if strings.TrimSpace(text) == "" {
			t.Errorf("%s: %s %s is missing", lang, id, form)
			continue
		}
		model := en[form]
		if model == "" {
			model = en["other"]
		}
		got, wanted := placeholders(text), placeholders(model)
		// A form for one may say "the code" rather than "1 code".
		got, wanted = slices.DeleteFunc(got, isCount), slices.DeleteFunc(wanted, isCount)
		if id != "time_date" && id != "time_moment" && !slices.Equal(got, wanted) {
			t.Errorf("%s: %s %s has %v, in English %v", lang, id, form, got, wanted)
		}
	}
	if len(forms) != len(want) {
		t.Errorf("%s: %s has the forms %v, want %v", lang, id, forms, want)
	}
}

func isCount(name string) bool { return name == "N" }

// sameEverywhere are messages that may read as in English.
var sameEverywhere = regexp.MustCompile(`^(time_|month_|server_port$|server_host$|server_sieve$|server_service$|service_|passkeys_title$|name_label$|backupcodes_file$|` +
	`backup_title$|backup_label$|method_backup$|webmail$|title_error$|cancel$|enrol_totp$|method_totp$|left_backup$|enroltotp_label$|span_|totp_title$|account$|` +
	`appnew_days$|security_title$|admin_nav$|admin_domain$|admin_role_domain$|admin_origin_domain$|admin_value_false$|admin_shown_label_code$)`)

func TestNoTextIsLeftInEnglish(t *testing.T) {
	en := readCatalogue(t, "en")
	for _, lang := range web.Languages()[1:] {
		for id, forms := range readCatalogue(t, lang.Tag) {
			for form, text := range forms {
				if text == en[id][form] && !sameEverywhere.MatchString(id) {
					t.Errorf("%s: %s %s is still %q", lang.Tag, id, form, text)
				}
			}
		}
	}
}

// constants are the values of the package's constants by the name of their type.
func constants(t *testing.T) map[string][]string {
	t.Helper()
	values := map[string][]string{}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || spec.Type == nil || len(spec.Values) != 1 {
				return true
			}
			name, ok := spec.Type.(*ast.Ident)
			value, isLiteral := spec.Values[0].(*ast.BasicLit)
			if ok && isLiteral && value.Kind == token.STRING {
				s, _ := strconv.Unquote(value.Value)
				values[name.Name] = append(values[name.Name], s)
			}
			return true
		})
	}
	return values
}

// families are the messages whose ids are put together, and the type of constants
// that completes them.
var families = map[string]string{
	"problem_": "ProblemCode", "done_": "NoticeCode", "event_": "EventCode", "message_title_": "MessageCode", "message_text_": "MessageCode",
	"remove_title_": "Kind", "remove_text_": "Kind", "remove_button_": "Kind", "ask_title_": "Question", "ask_text_": "Question",
	"ask_button_": "Question", "method_": "Method", "answer_": "AnswerCode",
	"admin_state_": "AdminState", "admin_about_": "AdminState", "admin_role_": "AdminRole", "admin_title_": "AdminAction", "admin_text_": "AdminAction",
	"admin_button_": "AdminAction", "admin_shown_": "AdminShown", "admin_shown_text_": "AdminShown", "admin_shown_label_": "AdminShown",
}

// tables are the prefixes of messages that belong to lists of other packages.
var tables = []string{"service_", "server_", "enrol_", "admin_field_", "admin_hint_", "admin_value_", "admin_origin_"}

var (
	inTemplates = regexp.MustCompile(`\bt "(\w+)"`)
	printed     = regexp.MustCompile(`printf "(\w+)%s(\w*)"`)
	inGo        = regexp.MustCompile(`"(\w+)"`)
)

// used are the ids that templates and code ask for.
func used(t *testing.T, en catalogue) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	for _, source := range templateSources(t) {
		for _, m := range inTemplates.FindAllStringSubmatch(source, -1) {
			ids[m[1]] = true
		}
		for _, m := range printed.FindAllStringSubmatch(source, -1) {
			if families[m[1]] == "" && !slices.Contains(tables, m[1]) {
				t.Errorf("messages %s… belong to no type", m[1])
			}
		}
	}
	all := constants(t)
	for prefix, kind := range families {
		for _, value := range all[kind] {
			ids[prefix+value] = true
		}
	}
	for _, service := range []string{"imap", "pop3", "smtp", "sieve", "dav"} {
		ids["service_"+service], ids["server_"+service] = true, true
	}
	for _, id := range []string{"enrol_totp", "enrol_totp_text", "enrol_passkey", "enrol_passkey_text"} {
		ids[id] = true
	}
	for _, f := range policy.Fields() {
		ids["admin_field_"+f.Key], ids["admin_hint_"+f.Key] = true, true
		for _, choice := range f.Choices() {
			ids["admin_value_"+choice] = true
		}
	}
	for _, kind := range []policy.Kind{"builtin", policy.LevelDefault, policy.LevelDomain, policy.LevelClass, policy.LevelAccount} {
		ids["admin_origin_"+string(kind)] = true
	}
	for i := range 12 {
		ids["month_"+strconv.Itoa(i+1)] = true
	}
	for _, topic := range notify.Topics() {
		ids["mail_subject_"+string(topic)], ids["mail_text_"+string(topic)] = true, true
	}
	files, _ := filepath.Glob("*.go")
	mails, _ := filepath.Glob("../notify/*.go")
	for _, name := range append(files, mails...) {
		if !strings.HasSuffix(name, "_test.go") {
			source, _ := os.ReadFile(name)
			for _, m := range inGo.FindAllStringSubmatch(string(source), -1) {
				if en[m[1]] != nil {
					ids[m[1]] = true
				}
			}
		}
	}
	return ids
}

func TestMessagesAreThereAndUsed(t *testing.T) {
	en := readCatalogue(t, "en")
	ids := used(t, en)
	for id := range ids {
		if en[id] == nil {
			t.Errorf("there is no message %s", id)
		}
	}
	for id := range en {
		if !ids[id] {
			t.Errorf("nobody uses %s", id)
		}
	}
}

func templateSources(t *testing.T) map[string]string {
	t.Helper()
	names, _ := filepath.Glob("template/*.html")
	sources := map[string]string{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sources[name] = string(b)
	}
	return sources
}

var (
	actions = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	letters = regexp.MustCompile(`\p{L}{2,}`)
	// Attributes and tags that stand in definitions of their own or in <noscript>,
	// which the tokenizer takes for text.
	attributes = regexp.MustCompile(`</?noscript>|\b(?:class|aria-(?:invalid|describedby)|data-(?:cancelled|known|failed|missing|waiting))="[-a-z ]*"`)
)

// Names of protocols, which no language translates.
var literals = map[string]bool{"STARTTLS": true, "SSL/TLS": true}

func TestNoTextOutsideTheCatalogues(t *testing.T) {
	for name, source := range templateSources(t) {
		z := html.NewTokenizer(strings.NewReader(attributes.ReplaceAllString(actions.ReplaceAllString(source, ""), "")))
		for z.Next() != html.ErrorToken {
			tok := z.Token()
			if text := strings.TrimSpace(tok.Data); tok.Type == html.TextToken && letters.MatchString(text) && !literals[strings.ReplaceAll(text, "STARTTLSSSL/TLS", "STARTTLS")] {
				t.Errorf("%s: %q", name, text)
			}
			for _, a := range tok.Attr {
				if slices.Contains([]string{"alt", "title", "aria-label", "placeholder", "data-done", "data-title"}, a.Key) && letters.MatchString(a.Val) {
					t.Errorf("%s: %s=%q", name, a.Key, a.Val)
				}
			}
		}
	}
}
