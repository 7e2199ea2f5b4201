package postern_test

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// page is a document: its headings as anchors, its links and its code blocks.
type page struct {
	name    string // path from the root of the project
	anchors map[string]bool
	links   []string
	prose   string // without code blocks
	blocks  []block
}

// block is a fenced block of code.
type block struct {
	page     string
	line     int
	language string
	before   string // the last line of text before it
	text     string
}

// pages are all documents, by name.
func pages(t *testing.T) map[string]*page {
	t.Helper()
	all := make(map[string]*page)
	for _, name := range documents(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = parse(name, string(text))
	}
	return all
}

// parse reads a document line by line: what is fenced has no links and headings.
func parse(name, text string) *page {
	p := &page{name: name, anchors: map[string]bool{}}
	var open *block
	before, prose := "", strings.Builder{}
	for i, line := range strings.Split(text, "\n") {
		fenced, language := fenceOf(line)
		switch {
		case fenced && open == nil:
			open = &block{page: name, line: i + 1, language: language, before: before}
		case fenced:
			p.blocks, open = append(p.blocks, *open), nil
		case open != nil:
			open.text += line + "\n"
		default:
			prose.WriteString(line + "\n")
			if strings.TrimSpace(line) != "" {
				before = line
			}
		}
	}
	p.prose = prose.String()
	for _, m := range heading.FindAllStringSubmatch(p.prose, -1) {
		p.addAnchor(anchor(m[1]))
	}
	for _, m := range anyLink.FindAllStringSubmatch(p.prose, -1) {
		p.links = append(p.links, m[1])
	}
	return p
}

func fenceOf(line string) (fenced bool, language string) {
	language, fenced = strings.CutPrefix(strings.TrimSpace(line), "```")
	return fenced, language
}

var (
	heading  = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	anyLink  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	linkText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchor is what GitHub makes of a heading.
func anchor(title string) string {
	title = linkText.ReplaceAllString(title, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(title))
}

// addAnchor numbers headings that are repeated.
func (p *page) addAnchor(a string) {
	name := a
	for i := 1; p.anchors[name]; i++ {
		name = a + "-" + string(rune('0'+i))
	}
	p.anchors[name] = true
}

// TestAnchorsInDocuments: every link to a heading, of the same page or another,
// leads to one.
func TestAnchorsInDocuments(t *testing.T) {
	all := pages(t)
	checked := 0
	for _, p := range all {
		for _, l := range p.links {
			target, fragment, found := strings.Cut(l, "#")
			if !found || strings.Contains(l, "://") {
				continue
			}
			to := p
			if target != "" {
				to = all[path.Join(path.Dir(p.name), target)]
			}
			checked++
			if to == nil || !to.anchors[fragment] {
				t.Errorf("%s: no such heading: %s", p.name, l)
			}
		}
	}
	if checked < 5 {
		t.Errorf("%d links to headings were found", checked)
	}
}

// TestEveryPageCanBeReached: from docs/README.md links lead to every page of docs.
func TestEveryPageCanBeReached(t *testing.T) {
	all := pages(t)
	reached := map[string]bool{}
	next := []string{"docs/README.md"}
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		if reached[name] || all[name] == nil {
			continue
		}
		reached[name] = true
		for _, l := range all[name].links {
			target, _, _ := strings.Cut(l, "#")
			target = path.Join(path.Dir(name), target)
			if s, err := os.Stat(target); err == nil && s.IsDir() {
				target = path.Join(target, "README.md")
			}
			next = append(next, target)
		}
	}
	for name := range all {
		if strings.HasPrefix(name, "docs/") && !reached[name] {
			t.Errorf("no way leads from docs/README.md to %s", name)
		}
	}
}

// commandReference are the commands of posternctl with their flags, from the page
// that is made of the program; the flags of all under the empty name.
func commandReference(t *testing.T) map[string]map[string]bool {
	t.Helper()
	text, err := os.ReadFile("docs/reference/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	title := regexp.MustCompile(`^## posternctl (.*)$`)
	flag := regexp.MustCompile("^- `(?:-(\\w), )?--([\\w-]+)")
	commands, now := map[string]map[string]bool{"": {"help": true, "h": true}}, ""
	for _, line := range strings.Split(string(text), "\n") {
		if m := title.FindStringSubmatch(line); m != nil {
			now = m[1]
			commands[now] = map[string]bool{}
		}
		if m := flag.FindStringSubmatch(line); m != nil {
			commands[now][m[2]] = true
			if m[1] != "" {
				commands[now][m[1]] = true
			}
		}
	}
	if len(commands) < 30 || len(commands[""]) < 6 {
		t.Fatalf("commands.md is read wrongly: %d commands", len(commands))
	}
	return commands
}

// TestCommandsInDocuments: every command line of posternctl in a document, and every
// one named in its text, is a command that exists, with flags that it has.
func TestCommandsInDocuments(t *testing.T) {
	commands := commandReference(t)
	inline := regexp.MustCompile("`(posternctl [^`]+)`")
	checked := 0
	for _, p := range pages(t) {
		if p.name == "docs/reference/commands.md" {
			continue
		}
		var lines []string
		for _, b := range p.blocks {
			if b.language == "" || b.language == "sh" {
				lines = append(lines, invocations(b.text)...)
			}
		}
		for _, m := range inline.FindAllStringSubmatch(p.prose, -1) {
			lines = append(lines, m[1])
		}
		for _, line := range lines {
			checked++
			if problem := commandProblem(commands, line); problem != "" {
				t.Errorf("%s: %s: %s", p.name, line, problem)
			}
		}
	}
	if checked < 60 {
		t.Errorf("%d command lines were found", checked)
	}
}

var (
	invocation = regexp.MustCompile(`(?:^|[|;&] *)(?:\$ )?(?:sudo )?(posternctl(?: [^|;&>]*)?)`)
	quoted     = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	comment    = regexp.MustCompile(`\s#\s.*$`)
)

// invocations are the calls of posternctl in a shell script.
func invocations(script string) []string {
	var all []string
	for _, line := range strings.Split(strings.ReplaceAll(script, "\\\n", " "), "\n") {
		line = comment.ReplaceAllString(quoted.ReplaceAllString(line, "TEXT"), "")
		for _, m := range invocation.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
			if !strings.HasPrefix(m[1], "posternctl:") {
				all = append(all, m[1])
			}
		}
	}
	return all
}

// commandProblem says what is wrong with a command line, if anything is.
func commandProblem(commands map[string]map[string]bool, line string) string {
	words := strings.Fields(quoted.ReplaceAllString(line, "TEXT"))[1:]
	var names, flags []string
	for i := 0; i < len(words); i++ {
		if name := strings.TrimLeft(words[i], "-"); name != words[i] {
			name, _, hasValue := strings.Cut(name, "=")
			flags = append(flags, name)
			if name == "config" && !hasValue {
				i++
			}
			continue
		}
		names = append(names, words[i])
	}
	command, known := commandOf(commands, names)
	if !known {
		return "no such command"
	}
	for _, f := range flags {
		if f != "" && !commands[""][f] && !commands[command][f] {
			return "no flag --" + f
		}
	}
	return ""
}

// commandOf is the command that the first words name: one or two of them. In text a
// group may stand alone, as may posternctl itself, and "show|set" means both.
func commandOf(commands map[string]map[string]bool, words []string) (string, bool) {
	if len(words) == 0 || words[0] == "…" {
		return "", true
	}
	if commands[words[0]] != nil {
		return words[0], true
	}
	if len(words) == 1 {
		return "", slices.ContainsFunc(slices.Collect(maps.Keys(commands)), func(name string) bool {
			return strings.HasPrefix(name, words[0]+" ")
		})
	}
	name := ""
	for _, second := range strings.Split(words[1], "|") {
		name = words[0] + " " + second
		if commands[name] == nil {
			return "", false
		}
	}
	return name, true
}

// configuration is what a block looks like that an administrator copies into a file.
var configuration = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^\[+[A-Za-z][\w.-]*\]+$`),
	regexp.MustCompile(`(?m)^(passdb|userdb|service|server|upstream|location|plugin|protocol)\b[^{]*\{$`),
	regexp.MustCompile(`(?m)^!include `),
	regexp.MustCompile(`(?m)^dn: `),
	regexp.MustCompile(`(?m)^\w+ = \S`),
	regexp.MustCompile(`(?m)^\$config\[`),
}

// TestConfigurationHasLanguage: what looks like configuration names its language, and
// each language has a test that loads its blocks (docs_snippets_test.go; nginx's are
// loaded by contrib/nginx).
func TestConfigurationHasLanguage(t *testing.T) {
	loaded := []string{"toml", "nginx", "ldif", "dovecot", "php", "ini", "sogo"}
	existing := testNames(t)
	if !existing["TestGuideNginx"] {
		t.Error("nobody loads nginx's")
	}
	for _, p := range pages(t) {
		if strings.HasPrefix(p.name, "docs/reference/") {
			continue // made from the source
		}
		for _, b := range p.blocks {
			switch {
			case slices.Contains(loaded, b.language), b.language == "sh":
			case b.language != "":
				t.Errorf("%s:%d: nothing loads %q", b.page, b.line, b.language)
			case slices.ContainsFunc(configuration, func(r *regexp.Regexp) bool { return r.MatchString(b.text) }):
				t.Errorf("%s:%d: configuration without a language:\n%s", b.page, b.line, b.text)
			}
		}
	}
}

// blocksIn are the blocks of a language in all documents, in their order.
func blocksIn(t *testing.T, language string) []block {
	t.Helper()
	var found []block
	all := pages(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, b := range all[name].blocks {
			if b.language == language {
				found = append(found, b)
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("no blocks of %s", language)
	}
	return found
}

// scratch writes a file of a test.
func scratch(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
