package policy_test

import (
	"strings"
	"testing"

	"postern/internal/policy"
)

func site(texts map[string]string) *policy.Site {
	s := &policy.Site{Default: policy.ParseJSON("default", `{"app_password_max":9}`)}
	for name, text := range texts {
		l, err := policy.ParseLevel(name)
		if err != nil {
			panic(err)
		}
		s.Put(l, policy.ParseJSON(l.String(), text))
	}
	return s
}

// ATTACKS 39: spellings of one name lead to one policy.
func TestAttack39_OneDomainOnePolicy(t *testing.T) {
	s := site(map[string]string{"domain bücher.example.test": `{"twofactor":"mandatory"}`, "domain example.test": `{"twofactor":"mandatory"}`, "class big  Spenders": `{"recommend":false}`})
	for domain, want := range map[string]bool{
		"example.test": true, "EXAMPLE.test": true, "example.test.": true, "ｅxample.test": true,
		"bücher.example.test": true, "BÜCHER.example.test": true, "xn--bcher-kva.example.test": true, "bu\u0308cher.example.test": true,
		"sub.example.test": false, "test": false, "": false, "other.test": false, "examp1e.test": false,
	} {
		e, err := s.Layers(domain, "").Resolve()
		if err != nil || (e.TwoFactor == policy.Mandatory) != want {
			t.Errorf("%q: %s, %v", domain, e.TwoFactor, err)
		}
	}
	for class, want := range map[string]bool{"Big Spenders": true, " big  spenders ": true, "bigspenders": false, "": false} {
		e, err := s.Layers("", class).Resolve()
		if err != nil || e.Recommend == want {
			t.Errorf("%q: %v, %v", class, e.Recommend, err)
		}
	}
}

func TestLevels(t *testing.T) {
	for text, want := range map[string]string{
		"domain Example.TEST": "domain example.test", "class Students": "class students", "class a  b": "class a b", "Domain example.test": "domain example.test",
	} {
		if l, err := policy.ParseLevel(text); err != nil || l.String() != want {
			t.Errorf("%q: %q, %v", text, l, err)
		}
	}
	for _, text := range []string{"", "domain", "domain ", "class ", "default", "account x", "site", "domain a b", "domain a@b", "domain a,b", "domain a*", "domain " + strings.Repeat("a", 254),
		"class a\tb\x01", "class \xff", "class " + strings.Repeat("a", 254)} {
		if l, err := policy.ParseLevel(text); err == nil {
			t.Errorf("%.40q was read as %q", text, l)
		}
	}
}

func TestSite(t *testing.T) {
	s := site(map[string]string{"domain b.test": `{"grace":"1d"}`, "class x": `{}`, "domain a.test": `{"grace":"x"}`})
	var names []string
	for _, l := range s.Levels() {
		names = append(names, l.String())
	}
	if got := strings.Join(names, ", "); got != "domain a.test, domain b.test, class x" {
		t.Error(got)
	}
	if _, err := s.Layers("a.test", "").Resolve(); err == nil {
		t.Error("an unreadable domain")
	}
	if e, err := s.Layers("b.test", "x").Resolve(); err != nil || e.AppPasswordMax != 9 || e.Origin["grace"] != "domain b.test" {
		t.Errorf("%+v, %v", e, err)
	}
	if l, found := s.Layer(policy.Level{Kind: policy.LevelClass, Name: "y"}); found || l.Origin != "class y" {
		t.Errorf("%+v", l)
	}
}

// A contradiction between a domain and a class is found whatever accounts there are.
func TestSiteCheck(t *testing.T) {
	s := site(map[string]string{"domain a.test": `{"twofactor":"mandatory"}`, "class x": `{"methods":[]}`, "domain bad.test": `x`})
	problems := s.Check()
	if len(problems) != 1 || problems[0].Error() != "twofactor (mandatory, domain a.test) while methods (none, class x) allows none" {
		t.Error(problems)
	}
}

// What is no domain is no level: nobody would ever be found in it.
func TestA1_NamesOfLevels(t *testing.T) {
	for _, name := range []string{"", ".", "example..test", ".example.test", "alice@example.test", "a b", strings.Repeat("x", 254)} {
		if l, err := policy.NewLevel(policy.LevelDomain, name); err == nil {
			t.Errorf("%q is the domain %q", name, l.Name)
		}
	}
}
