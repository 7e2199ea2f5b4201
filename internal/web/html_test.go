package web_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"postern/internal/web"
	"postern/internal/web/samples"
)

// document is a parsed page.
type document struct {
	t    *testing.T
	name string
	all  []*html.Node // elements in order
}

func (d *document) errorf(format string, args ...any) {
	d.t.Helper()
	d.t.Errorf(d.name+": "+format, args...)
}

func parse(t *testing.T, name, source string) *document {
	t.Helper()
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	d := &document{t: t, name: name}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			d.all = append(d.all, n)
		}
	}
	return d
}

func attr(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

func value(n *html.Node, key string) string { v, _ := attr(n, key); return v }

func has(n *html.Node, key string) bool { _, ok := attr(n, key); return ok }

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func (d *document) find(tag string) []*html.Node {
	var found []*html.Node
	for _, n := range d.all {
		if n.Data == tag {
			found = append(found, n)
		}
	}
	return found
}

func TestA10_EveryPageIsSoundHTML(t *testing.T) {
	p := newPages(t, web.Options{Brand: web.Brand{Support: "tel:+4930123456"}})
	langs := web.Languages()
	if testing.Short() {
		langs = langs[:1]
	}
	for _, lang := range langs {
		for _, s := range samples.All() {
			source := body(t, p, s, lang.Tag)
			name := s.Name + " " + lang.Tag
			sound(t, name, source)
			d := parse(t, name, source)
			d.references()
			d.labels()
			d.headings()
			d.strict()
			d.forms()
			d.title(s.Page)
			if got := value(d.find("html")[0], "lang"); got != lang.Tag {
				d.errorf("lang=%q", got)
			}
			if t.Failed() {
				t.Fatal("further pages not looked at")
			}
		}
	}
}

// sound fails if a parser has to mend the page: an element that is not closed, or
// stands where it may not.
func sound(t *testing.T, name, source string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := html.Render(&b, root); err != nil {
		t.Fatal(err)
	}
	want, got := tags(source), tags(b.String())
	for i := range want {
		if i >= len(got) || want[i] != got[i] {
			t.Fatalf("%s: element %d is %s, and a parser makes it %s (after %v)", name, i, want[i], got[min(i, len(got)-1)], want[max(0, i-5):i])
		}
	}
	for _, bad := range []string{"ZgotmplZ", "<no value>", "%!", "[secret]", "{{"} {
		if strings.Contains(source, bad) {
			t.Errorf("%s holds %q", name, bad)
		}
	}
}

// tags are the opening and closing tags in order. The content of noscript is text
// to a parser that knows scripts, so it is left alone.
func tags(source string) []string {
	var all []string
	z := html.NewTokenizer(strings.NewReader(source))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return all
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			all = append(all, string(name))
		case html.EndTagToken:
			name, _ := z.TagName()
			if n := string(name); n != "path" && n != "circle" && n != "rect" && n != "line" {
				all = append(all, "/"+n)
			}
		}
	}
}

// references: ids are unique, and whatever names one finds it.
func (d *document) references() {
	seen := map[string]bool{}
	for _, n := range d.all {
		if id, ok := attr(n, "id"); ok {
			if seen[id] || id == "" {
				d.errorf("id %q twice", id)
			}
			seen[id] = true
		}
	}
	for _, n := range d.all {
		for _, key := range []string{"for", "list", "aria-describedby", "aria-labelledby", "data-copy", "data-download"} {
			for id := range strings.FieldsSeq(value(n, key)) {
				if !seen[id] {
					d.errorf("%s names %q, which is not there", key, id)
				}
			}
		}
		if href := value(n, "href"); strings.HasPrefix(href, "#") && !seen[href[1:]] {
			d.errorf("a link leads to %s, which is not there", href)
		}
	}
}

// labels: whatever can be operated or looked at has a name.
func (d *document) labels() {
	labelled := map[string]bool{}
	for _, n := range d.find("label") {
		labelled[value(n, "for")] = text(n) != ""
	}
	for _, n := range d.all {
		switch n.Data {
		case "input", "select", "textarea":
			if value(n, "type") != "hidden" && !has(n, "hidden") && !labelled[value(n, "id")] {
				d.errorf("field %q has no label", value(n, "name"))
			}
			if has(n, "placeholder") || has(n, "maxlength") || value(n, "type") == "number" {
				d.errorf("field %q has a placeholder, a maximum or is a number", value(n, "name"))
			}
		case "button", "a", "summary", "legend", "th":
			if text(n) == "" && value(n, "aria-label") == "" {
				d.errorf("a %s has no name", n.Data)
			}
		case "img":
			if value(n, "alt") == "" {
				d.errorf("an image has no alt")
			}
		case "svg":
			if value(n, "aria-hidden") != "true" && (value(n, "role") != "img" || value(n, "aria-label") == "") {
				d.errorf("a drawing has no name")
			}
		case "nav", "progress":
			if value(n, "aria-label") == "" {
				d.errorf("a %s has no name", n.Data)
			}
		}
	}
}

// headings: one of the first level, and none skipped.
func (d *document) headings() {
	last, first := 0, 0
	for _, n := range d.all {
		if len(n.Data) != 2 || n.Data[0] != 'h' || n.Data[1] < '1' || n.Data[1] > '6' {
			continue
		}
		level := int(n.Data[1] - '0')
		if level == 1 {
			first++
		}
		if level > last+1 {
			d.errorf("heading %q of level %d follows one of level %d", text(n), level, last)
		}
		last = level
	}
	if first != 1 {
		d.errorf("%d headings of the first level", first)
	}
}

var linking = map[string]bool{"href": true, "src": true, "srcset": true, "action": true, "formaction": true}

// strict: nothing that the content security policy would stop.
func (d *document) strict() {
	for _, n := range d.all {
		if n.Data == "style" || n.Data == "base" || n.Data == "iframe" || n.Data == "script" && !strings.HasPrefix(value(n, "src"), "/2fa/assets/") {
			d.errorf("a %s", n.Data)
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") || linking[a.Key] && strings.HasPrefix(a.Val, "javascript:") {
				d.errorf("%s has %s=%q", n.Data, a.Key, a.Val)
			}
		}
		if n.Data == "time" && value(n, "datetime") == "" {
			d.errorf("a time without datetime")
		}
	}
}

// forms post to paths that there are, with both tokens, but for the language.
func (d *document) forms() {
	paths := []string{
		web.PathSignIn, web.PathSignInMethod, web.PathPasskey, web.PathEnrol, web.PathEnrolToken, web.PathEnrolTOTP, web.PathEnrolPasskey, web.PathEnrolPlugin,
		web.PathEnrolSaved, web.PathEnrolLater, web.PathEnrolDone, web.PathConfirm, web.PathConfirmMethod, web.PathRename, web.PathRemove,
		web.PathPasswordless, web.PathBackupCodes, web.PathSessionsEnd, web.PathDevicesEnd, web.PathAppPassword, web.PathAppRenew, web.PathProfile, web.PathAppsEnd, web.PathDisable,
		web.PathLanguage, web.PathSeen, web.PathLogout, web.PathStart, web.PathStartPasskey,
		web.PathAdminSignIn, web.PathAdminPasskey, web.PathAdminLeave, web.PathAdminChange, web.PathAdminTOTP, web.PathAdminPolicy, web.PathAdminBulk,
	}
	questions := []string{web.PathAdmin, web.PathAdminBulk} // change nothing, and are asked by GET
	for _, n := range d.find("form") {
		path, ok := strings.CutPrefix(value(n, "action"), "/2fa/")
		if value(n, "method") == "get" && slices.Contains(questions, path) {
			continue
		}
		if !ok || !slices.Contains(paths, path) || value(n, "method") != "post" {
			d.errorf("a form sends %q to %q", value(n, "method"), value(n, "action"))
		}
		count := map[string]int{}
		for f := range n.Descendants() {
			if f.Type == html.ElementNode && has(f, "name") && (f.Data == "input" || f.Data == "select") && value(f, "type") != "checkbox" {
				count[value(f, "name")]++
			}
		}
		for name, times := range count {
			if times > 1 {
				d.errorf("the form for %s has %d fields %q", path, times, name)
			}
		}
		if path != web.PathLanguage && (count[web.FieldToken] != 1 || count[web.FieldCSRF] != 1) && !strings.Contains(d.name, "nobody") && tokens(d) {
			d.errorf("the form for %s lacks a token", path)
		}
	}
}

// tokens reports whether the sample has any: its first form does or not.
func tokens(d *document) bool {
	for _, n := range d.find("input") {
		if value(n, "name") == web.FieldToken {
			return true
		}
	}
	return false
}

func (d *document) title(page web.Page) {
	title := text(d.find("title")[0])
	parts := strings.Split(title, " – ")
	if len(parts) != 2 || parts[1] != web.DefaultName {
		d.errorf("title %q", title)
	}
	h1 := text(d.find("h1")[0])
	wrong := false
	if summary := d.alert(); summary != nil {
		wrong = true
		if value(summary, "tabindex") != "-1" || !has(summary, "autofocus") {
			d.errorf("the summary does not take the focus")
		}
	}
	word := map[string]string{"en": "Error:", "de": "Fehler:", "es": "Error:", "fr": "Erreur :", "ru": "Ошибка:"}[value(d.find("html")[0], "lang")]
	if strings.HasPrefix(title, word) != wrong || !strings.HasSuffix(parts[0], h1) {
		d.errorf("title %q, heading %q, error %v", title, h1, wrong)
	}
}

func (d *document) alert() *html.Node {
	for _, n := range d.all {
		if value(n, "role") == "alert" {
			return n
		}
	}
	return nil
}

func TestEveryCodeHasASample(t *testing.T) {
	all := constants(t)
	for prefix, kind := range map[string]string{
		"event-": "EventCode", "done-": "NoticeCode", "message-": "MessageCode", "remove-": "Kind",
	} {
		for _, code := range all[kind] {
			if _, ok := samples.Find(prefix + code); !ok {
				t.Errorf("no sample shows %s%s", prefix, code)
			}
		}
	}
	for _, code := range all["Question"] {
		if _, ok := samples.Find("ask-" + code + "-7"); !ok {
			t.Errorf("no sample asks %s", code)
		}
	}
	shown := map[web.ProblemCode]bool{}
	for _, s := range samples.All() {
		if p := problemOf(s.Page); p != nil {
			shown[p.Code] = true
		}
	}
	for _, code := range all["ProblemCode"] {
		if !shown[web.ProblemCode(code)] {
			t.Errorf("no sample has the problem %s", code)
		}
	}
}

func problemOf(p web.Page) *web.Problem {
	return reflect.ValueOf(p).Elem().FieldByName("Common").Interface().(web.Common).Problem
}
