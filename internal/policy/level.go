package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Kind is one of the four kinds of levels.
type Kind string

// The levels, from the farthest to the nearest.
const (
	LevelDefault Kind = "default" // the configuration file
	LevelDomain  Kind = "domain"
	LevelClass   Kind = "class"
	LevelAccount Kind = "account"
)

// Level is a level that may have a policy. Name is empty for the default.
type Level struct {
	Kind Kind
	Name string // in the form of DomainName or ClassName, or an account's login name
}

// String is the level's Origin.
func (l Level) String() string {
	if l.Kind == LevelDomain || l.Kind == LevelClass {
		return string(l.Kind) + " " + l.Name
	}
	return string(l.Kind)
}

const maxLevelName = 253 // of a domain, RFC 1035 section 2.3.4; bytes

// NewLevel makes a level of the site of what somebody typed.
func NewLevel(kind Kind, name string) (Level, error) {
	l := Level{Kind: kind}
	switch kind {
	case LevelDefault:
		return l, nil
	case LevelDomain:
		l.Name = DomainName(name)
		if l.Name == "" || len(l.Name) > maxLevelName || strings.ContainsAny(l.Name, "@ ,*/\\\"") || !ascii(l.Name) ||
			slices.Contains(strings.Split(l.Name, "."), "") {
			return l, fmt.Errorf("%.80q is not a domain", name)
		}
	case LevelClass:
		l.Name = ClassName(name)
		if l.Name == "" || len(l.Name) > maxLevelName || !utf8.ValidString(name) ||
			strings.ContainsFunc(l.Name, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			return l, fmt.Errorf("%.80q is not the name of a class", name)
		}
	default:
		return l, fmt.Errorf("%.20q is none of default, domain, class", kind)
	}
	return l, nil
}

// ParseLevel reads the String of a domain's or class's level.
func ParseLevel(text string) (Level, error) {
	kind, name, _ := strings.Cut(text, " ")
	l, err := NewLevel(Kind(strings.ToLower(kind)), name)
	if err == nil && l.Kind == LevelDefault {
		err = fmt.Errorf("the default is in the configuration file")
	}
	return l, err
}

// DomainName is a domain in the one form by which policies are found: other cases
// and spellings of its labels (RFC 5891) must not lead to another, laxer policy.
func DomainName(s string) string {
	s = strings.TrimSuffix(strings.TrimSpace(s), ".")
	if !ascii(s) {
		if a, err := idna.Lookup.ToASCII(s); err == nil {
			s = a
		}
	}
	return strings.ToLower(s)
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// ClassName is a class in the one form by which policies are found, equal for all
// that the directory takes for equal (RFC 4517 section 4.2.11).
func ClassName(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// Site is what is set once for many accounts. The zero value sets nothing.
type Site struct {
	Default Layer
	Domains map[string]Layer // by DomainName
	Classes map[string]Layer // by ClassName
	Stray   []string         // names of entries that are no level's, for diagnosis
}

// Layers are those of an account without its own, from the farthest to the nearest.
// An empty domain or class has none.
func (s *Site) Layers(domain, class string) Layers {
	list := make(Layers, 1, 4)
	list[0] = s.Default
	if l, ok := s.Domains[DomainName(domain)]; ok {
		list = append(list, l)
	}
	if l, ok := s.Classes[ClassName(class)]; ok {
		list = append(list, l)
	}
	return list
}

// Layer is a level's own; found says whether it is stored.
func (s *Site) Layer(l Level) (layer Layer, found bool) {
	switch l.Kind {
	case LevelDefault:
		return s.Default, true
	case LevelDomain:
		layer, found = s.Domains[l.Name]
	case LevelClass:
		layer, found = s.Classes[l.Name]
	case LevelAccount:
	}
	if !found {
		layer.Origin = l.String()
	}
	return layer, found
}

// Put makes the layer that of a domain or class.
func (s *Site) Put(l Level, layer Layer) {
	list := &s.Domains
	if l.Kind == LevelClass {
		list = &s.Classes
	}
	if *list == nil {
		*list = make(map[string]Layer)
	}
	(*list)[l.Name] = layer
}

// Levels lists the domains and then the classes that have a policy, by name.
func (s *Site) Levels() []Level {
	var list []Level
	for name := range s.Domains {
		list = append(list, Level{LevelDomain, name})
	}
	for name := range s.Classes {
		list = append(list, Level{LevelClass, name})
	}
	slices.SortFunc(list, func(a, b Level) int {
		return cmp.Or(-cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// Check names every contradiction that a combination of a domain and a class leads
// to, each once. Levels that cannot be read are passed over.
func (s *Site) Check() []error {
	domains := append(slices.Sorted(maps.Keys(s.Domains)), "")
	classes := append(slices.Sorted(maps.Keys(s.Classes)), "")
	var errs []error
	seen := make(map[string]bool)
	for _, d := range domains {
		for _, c := range classes {
			e, err := s.Layers(d, c).Resolve()
			if err != nil {
				continue
			}
			for _, p := range e.Check() {
				if !seen[p.Error()] {
					seen[p.Error()] = true
					errs = append(errs, p)
				}
			}
		}
	}
	return errs
}
