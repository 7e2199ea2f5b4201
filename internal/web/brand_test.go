package web

import (
	"html/template"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestContrastOfKnownColours(t *testing.T) {
	tests := []struct {
		a, b string
		want float64
	}{{"#000000", "#ffffff", 21}, {"#ffffff", "#ffffff", 1}, {"#767676", "#ffffff", 4.54}, {"#777777", "#ffffff", 4.48}, {"#ff0000", "#0000ff", 2.15}}
	for _, tt := range tests {
		a, _ := parseColour(tt.a)
		b, _ := parseColour(tt.b)
		if got := contrast(a, b); got < tt.want-0.005 || got > tt.want+0.005 {
			t.Errorf("contrast of %s and %s is %.3f, want %.2f", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestA9_CheckContrast(t *testing.T) {
	tests := []struct{ light, dark, wrong string }{
		{"", "", ""},
		{DefaultAccent, DefaultAccentDark, ""},
		{"#767676", "", ""},
		{"#777777", "", "accent: #777777 has a contrast of 4.5:1 to white"},
		{"#ffcc00", "#ffcc00", "accent: #ffcc00"},
		{"#003366", "#003366", "accent_dark: #003366"},
		{"red", "", `"red" is not a colour`},
		{"#12345", "", "not a colour"},
		{"#1234567", "", "not a colour"},
		{"#12345g", "", "not a colour"},
		{"#0f6768;}*{", "", "not a colour"},
		{"+123456", "", "not a colour"},
		{"#+12345", "", "not a colour"},
	}
	for _, tt := range tests {
		err := CheckContrast(tt.light, tt.dark)
		if tt.wrong == "" && err != nil || tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) {
			t.Errorf("%s %s: %v, want %q", tt.light, tt.dark, err, tt.wrong)
		}
	}
}

func TestA9_BrandNamesEveryProblem(t *testing.T) {
	b := Brand{Logo: "https://cdn.test/logo.svg", LogoDark: "//cdn.test/logo.svg", Stylesheet: "own.css", Support: "javascript:alert(1)", Accent: "#fff"}
	err := b.Validate()
	if err == nil {
		t.Fatal("it is taken")
	}
	for _, key := range []string{"logo:", "logo_dark:", "stylesheet:", "support:", "accent:", "set both or none"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%v says nothing about %s", err, key)
		}
	}
	for _, logo := range []string{"///cdn.test/x", `/\cdn.test/x`, "logo.svg", "https://cdn.test/"} {
		if err := (Brand{Logo: logo}).Validate(); err == nil {
			t.Errorf("the logo %s is taken", logo)
		}
	}
	for _, support := range []string{"https://help.test/", "mailto:help@example.test", "tel:+49301234"} {
		if err := (Brand{Support: support}).Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestA9_PagesFollowTheDomain(t *testing.T) {
	fjord := Brand{Name: "Fjord <Mail>", Logo: "/fjord.svg", LogoDark: "/fjord-dark.svg", Accent: "#5b3fd1", AccentDark: "#b7a6ff", Stylesheet: "/fjord.css", Support: "tel:+4712345678"}
	p, err := New(Options{Base: "/2fa/", Brands: map[string]Brand{"Fjord.example": fjord}})
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string][]string{
		"fjord.EXAMPLE": {"Fjord &lt;Mail&gt;</title>", `<img src="/fjord.svg" alt="Fjord &lt;Mail&gt;"`, `srcset="/fjord-dark.svg"`, `<link rel="stylesheet" href="/fjord.css">`, `href="tel:`},
		"example.test":  {"Postern</title>"},
	} {
		page := &Message{Common: Common{Domain: domain}, Code: MessageExpired}
		w := httptest.NewRecorder()
		if err := p.Render(w, httptest.NewRequest("GET", "/2fa/", nil), 200, page); err != nil {
			t.Fatal(err)
		}
		for _, s := range want {
			if !strings.Contains(w.Body.String(), s) {
				t.Errorf("%s: no %s in %s", domain, s, w.Body)
			}
		}
		sheet := regexp.MustCompile(`href="(/2fa/assets/brand-[^"]+)"`).FindStringSubmatch(w.Body.String())
		css := httptest.NewRecorder()
		p.Handler().ServeHTTP(css, httptest.NewRequest("GET", sheet[1], nil))
		if colour := map[bool]string{true: "--accent:#5b3fd1", false: "--accent:" + DefaultAccent}[domain != "example.test"]; !strings.Contains(css.Body.String(), colour) {
			t.Errorf("%s: %s, want %s", domain, css.Body, colour)
		}
	}
}

// What surrounds an element in a message is escaped, the element is not.
func TestElementsInMessages(t *testing.T) {
	l, err := newLanguages("")
	if err != nil {
		t.Fatal(err)
	}
	w := words{texts: l.texts["en"]}
	got, err := w.text("problem_too_many_tries", "Wait", "<script>&", "Value", address("a@b.test"))
	want := template.HTML("Too many wrong codes. Wait &lt;script&gt;&amp;, then try again")
	if err != nil || got != want {
		t.Errorf("%q %v, want %q", got, err, want)
	}
	got, err = w.text("done_renamed", "Name", personal("<b>"))
	if want = `It is called <bdi class="name">&lt;b&gt;</bdi> now.`; err != nil || got != want {
		t.Errorf("%q %v, want %q", got, err, want)
	}
	if _, err = w.text("no_such_message"); err == nil {
		t.Error("a missing message is no error")
	}
}

// schemes are the custom properties of page.css and of a brand, light and dark.
func schemes(t *testing.T, b Brand) (light, dark map[string]colour) {
	t.Helper()
	source, err := os.ReadFile("asset/page.css")
	if err != nil {
		t.Fatal(err)
	}
	css := string(source) + string(b.colours())
	light, dark = map[string]colour{}, map[string]colour{}
	property := regexp.MustCompile(`--([a-z-]+):\s*(#[0-9a-f]{6})`)
	for _, block := range regexp.MustCompile(`(prefers-color-scheme:\s*dark\)\s*\{\s*)?:root\s*\{([^}]*)\}`).FindAllStringSubmatch(css, -1) {
		into := light
		if block[1] != "" {
			into = dark
		}
		for _, m := range property.FindAllStringSubmatch(block[2], -1) {
			into[m[1]], err = parseColour(m[2])
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return light, dark
}

func TestA10_Contrasts(t *testing.T) {
	// Whatever is text has 4.5:1 to what it stands on, controls and their marks 3:1
	// (WCAG 2.2, 1.4.3 and 1.4.11).
	pairs := []struct {
		on, under string
		least     float64
	}{
		{"text", "page", 4.5}, {"text", "surface", 4.5}, {"text", "sunken", 4.5}, {"text", "accent-soft", 4.5},
		{"muted", "page", 4.5}, {"muted", "surface", 4.5}, {"muted", "sunken", 4.5}, {"muted", "accent-soft", 4.5},
		{"accent", "surface", 4.5}, {"accent", "accent-soft", 3}, {"accent-strong", "accent-soft", 4.5}, {"accent", "page", 3},
		{"on-accent", "accent", 4.5}, {"on-accent", "accent-strong", 4.5},
		{"good", "good-soft", 4.5}, {"warn", "warn-soft", 4.5}, {"bad", "bad-soft", 4.5}, {"bad", "surface", 4.5},
		{"on-bad", "bad", 4.5}, {"on-bad", "bad-strong", 4.5},
		{"control", "surface", 3}, {"control", "page", 3}, {"surface", "control", 3}, {"surface", "accent", 3},
		{"warn", "surface", 3}, {"good", "surface", 3},
	}
	for _, b := range []Brand{{Accent: DefaultAccent, AccentDark: DefaultAccentDark}, {Accent: "#5b3fd1", AccentDark: "#b7a6ff"}} {
		light, dark := schemes(t, b)
		for name, scheme := range map[string]map[string]colour{"light": light, "dark": dark} {
			for _, p := range pairs {
				on, ok := scheme[p.on]
				under, ok2 := scheme[p.under]
				if !ok || !ok2 {
					t.Fatalf("%s: no --%s or --%s", name, p.on, p.under)
				}
				if got := contrast(on, under); got < p.least {
					t.Errorf("%s %s: --%s on --%s has %.2f:1, needs %.1f:1", b.Accent, name, p.on, p.under, got, p.least)
				}
			}
		}
		if light["surface"].String() != surfaceLight || dark["surface"].String() != surfaceDark {
			t.Errorf("page.css has the surfaces %s and %s, CheckContrast %s and %s", light["surface"], dark["surface"], surfaceLight, surfaceDark)
		}
	}
}

// Whatever accent CheckContrast takes, what is derived from it can be read.
func TestA9_EveryAllowedAccentCanBeRead(t *testing.T) {
	checked := 0
	steps := []uint8{0, 32, 64, 96, 128, 160, 192, 224, 255}
	for _, r := range steps {
		for _, g := range steps {
			for _, b := range steps {
				c := colour{r, g, b}
				for surface, ink := range map[string]string{surfaceLight: inkDark, surfaceDark: inkLight} {
					if checkAccent("", c.String(), surface, "") != nil {
						continue
					}
					checked++
					scheme := map[string]colour{}
					for _, m := range regexp.MustCompile(`--([a-z-]+):(#[0-9a-f]{6})`).FindAllStringSubmatch(accents(c.String(), surface, ink), -1) {
						scheme[m[1]], _ = parseColour(m[2])
					}
					for _, p := range [][2]string{{"on-accent", "accent"}, {"on-accent", "accent-strong"}, {"accent-strong", "accent-soft"}} {
						if got := contrast(scheme[p[0]], scheme[p[1]]); got < textContrast {
							t.Errorf("%s on %s: --%s on --%s has %.2f:1", c, surface, p[0], p[1], got)
						}
					}
				}
			}
		}
	}
	if checked < 200 {
		t.Errorf("only %d colours checked", checked)
	}
}
