package web

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// Brand is how a site or a domain looks. Colours are #rrggbb.
type Brand struct {
	Name       string `toml:"name" doc:"Product name, on every page and in titles. Empty: Postern."`
	Logo       string `toml:"logo" doc:"Path of a logo on the pages' own host (\"/logo.svg\"), 32 pixels high. Empty: the name with a built-in mark."`
	LogoDark   string `toml:"logo_dark" doc:"The same for dark backgrounds. Empty: logo."`
	Accent     string `toml:"accent" doc:"Colour (#rrggbb) of buttons and links on white."`
	AccentDark string `toml:"accent_dark" doc:"The same on dark pages."`
	Support    string `toml:"support" doc:"Where users get help: https:, mailto: or tel:. Empty: no link."`
	Contact    string `toml:"contact" doc:"Text of that link. Empty: its address."`
	Stylesheet string `toml:"stylesheet" doc:"Path of a further style sheet on the pages' own host, loaded last."`
}

// The colours of a brand that sets none, and the surfaces that accents stand on
// (the same as in asset/page.css, which a test holds).
const (
	DefaultName       = "Postern"
	DefaultAccent     = "#0f6768"
	DefaultAccentDark = "#63cdc4"
	surfaceLight      = "#ffffff"
	surfaceDark       = "#182029"
	inkLight          = "#ffffff" // on accents, whichever has more contrast
	inkDark           = "#0d1419"
)

// textContrast is WCAG 2.2's minimum for text (1.4.3, AA), which is more than that
// for controls and focus outlines (1.4.11, 3:1): links and buttons share a colour.
const textContrast = 4.5

// CheckContrast reports accents that are no colours, or that people with weak eyes
// could not read as text of links on white (accent) and on dark pages (dark). Empty
// means the default.
func CheckContrast(accent, dark string) error {
	return errors.Join(
		checkAccent("accent", accent, surfaceLight, "white"),
		checkAccent("accent_dark", dark, surfaceDark, "the dark page "+surfaceDark))
}

func checkAccent(key, value, surface, name string) error {
	if value == "" {
		return nil
	}
	c, err := parseColour(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	s, _ := parseColour(surface) //nolint:errcheck // a constant
	if ratio := contrast(c, s); ratio < textContrast {
		return fmt.Errorf("%s: %s has a contrast of %.1f:1 to %s, and needs %.1f:1 to be readable (WCAG 2.2, 1.4.3)",
			key, value, ratio, name, textContrast)
	}
	return nil
}

// Validate names every value that cannot be.
func (b Brand) Validate() error {
	errs := []error{CheckContrast(b.Accent, b.AccentDark)}
	for _, p := range []struct{ key, value string }{{"logo", b.Logo}, {"logo_dark", b.LogoDark}, {"stylesheet", b.Stylesheet}} {
		if p.value != "" && !localPath(p.value) {
			errs = append(errs, fmt.Errorf("%s: %q is not a path on the pages' own host, like /logo.svg", p.key, p.value))
		}
	}
	if b.Support != "" && !supportURL(b.Support) {
		errs = append(errs, fmt.Errorf("support: %q is no address that begins with https:, mailto: or tel: and goes on", b.Support))
	}
	if (b.Accent == "") != (b.AccentDark == "") {
		errs = append(errs, errors.New("accent and accent_dark: set both or none"))
	}
	return errors.Join(errs...)
}

// localPath reports whether s is a path on this host to browsers, which take "//"
// and "/\\" for the beginning of a host.
func localPath(s string) bool {
	_, err := url.Parse(s)
	return err == nil && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") && !strings.Contains(s, `\`)
}

func supportURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" && u.Host != "" || (u.Scheme == "mailto" || u.Scheme == "tel") && u.Opaque != "")
}

// brand is a Brand made ready.
type brand struct {
	Brand
	css string // address of its colours
}

func (p *Pages) addBrand(b Brand) (*brand, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	if b.Name == "" {
		b.Name = DefaultName
	}
	if b.LogoDark == "" {
		b.LogoDark = b.Logo
	}
	if b.Contact == "" {
		_, b.Contact, _ = strings.Cut(b.Support, ":")
		b.Contact = strings.TrimPrefix(b.Contact, "//")
	}
	if b.Accent == "" {
		b.Accent, b.AccentDark = DefaultAccent, DefaultAccentDark
	}
	return &brand{Brand: b, css: p.assets.add("brand.css", b.colours())}, nil
}

// Name is what the product is called for a domain's accounts.
func (p *Pages) Name(domain string) string { return p.brandOf(domain).Name }

func (p *Pages) brandOf(domain string) *brand {
	if b, ok := p.brands[strings.ToLower(domain)]; ok {
		return b
	}
	return p.site
}

// colours is the style sheet with what is derived from the accents.
func (b Brand) colours() []byte {
	return []byte(":root{" + accents(b.Accent, surfaceLight, inkDark) + "}\n" +
		"@media (prefers-color-scheme:dark){:root{" + accents(b.AccentDark, surfaceDark, inkLight) + "}}\n")
}

// accents are the custom properties of one scheme. Hovering moves the accent away
// from what is written on it, towards ink.
func accents(accent, surface, ink string) string {
	a, _ := parseColour(accent)  //nolint:errcheck // checked by Validate
	s, _ := parseColour(surface) //nolint:errcheck // a constant
	i, _ := parseColour(ink)     //nolint:errcheck // a constant
	on := onAccent(a)
	return fmt.Sprintf("--accent:%s;--on-accent:%s;--accent-strong:%s;--accent-soft:%s;--accent-line:%s",
		a, on, mix(a, i, 0.14), mix(s, a, 0.10), mix(s, a, 0.34))
}

// onAccent is black or white, whichever is read better on the colour.
func onAccent(a colour) colour {
	light, _ := parseColour(inkLight) //nolint:errcheck // a constant
	dark, _ := parseColour(inkDark)   //nolint:errcheck // a constant
	if contrast(a, light) >= contrast(a, dark) {
		return light
	}
	return dark
}

type colour [3]uint8

func (c colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2]) }

func parseColour(s string) (colour, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
	if err != nil || len(s) != 7 || s[0] != '#' {
		return colour{}, fmt.Errorf("%q is not a colour like #0f6768", s)
	}
	return colour{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil
}

// mix is a with the given share of b.
func mix(a, b colour, share float64) colour {
	var c colour
	for i := range c {
		c[i] = uint8(math.Round(float64(a[i])*(1-share) + float64(b[i])*share))
	}
	return c
}

// luminance is WCAG 2.2's relative luminance.
func luminance(c colour) float64 {
	var l float64
	for i, weight := range [3]float64{0.2126, 0.7152, 0.0722} {
		v := float64(c[i]) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		l += weight * v
	}
	return l
}

// contrast is WCAG 2.2's contrast ratio, from 1 to 21.
func contrast(a, b colour) float64 {
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}
