package app

import (
	"fmt"
	"time"
	_ "time/tzdata" // hosts without the system's own know time zones, too
)

// Pages configures how the hosted pages look and speak. Colours and addresses are
// checked by package web when the webhook starts.
type Pages struct {
	Language   string           `toml:"language" doc:"For browsers that want none of the pages' languages: en, de, es, fr, ru. Empty: en."`
	TimeZone   string           `toml:"time_zone" doc:"Of the times on the pages, such as Europe/Berlin. Empty: UTC."`
	Name       string           `toml:"name" doc:"Product name, on every page and in titles. Empty: Postern."`
	Logo       string           `toml:"logo" doc:"Path of a logo on the pages' own host (\"/logo.svg\"), 32 pixels high. Empty: the name with a built-in mark."`
	LogoDark   string           `toml:"logo_dark" doc:"The same for dark backgrounds. Empty: logo."`
	Accent     string           `toml:"accent" doc:"Colour (#rrggbb) of buttons and links on white; contrast is checked."`
	AccentDark string           `toml:"accent_dark" doc:"The same on dark pages."`
	Support    string           `toml:"support" doc:"Where users get help: https:, mailto: or tel:. Empty: no link."`
	Contact    string           `toml:"contact" doc:"Text of that link. Empty: its address."`
	Stylesheet string           `toml:"stylesheet" doc:"Path of a further style sheet on the pages' own host, loaded last."`
	Domains    map[string]Brand `toml:"domains" doc:"How the pages look for accounts of a domain: the settings from name to stylesheet."`
}

// Brand is how the pages look: web.Brand, which other programs need not contain.
type Brand struct {
	Name       string `toml:"name"`
	Logo       string `toml:"logo"`
	LogoDark   string `toml:"logo_dark"`
	Accent     string `toml:"accent"`
	AccentDark string `toml:"accent_dark"`
	Support    string `toml:"support"`
	Contact    string `toml:"contact"`
	Stylesheet string `toml:"stylesheet"`
}

// Brand is the site's.
func (p *Pages) Brand() Brand {
	return Brand{p.Name, p.Logo, p.LogoDark, p.Accent, p.AccentDark, p.Support, p.Contact, p.Stylesheet}
}

// Location is the zone of the times on the pages.
func (p *Pages) Location() (*time.Location, error) {
	zone, err := time.LoadLocation(p.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("pages.time_zone: %q is not a zone like Europe/Berlin", p.TimeZone)
	}
	return zone, nil
}

func (p *Pages) problems(ps *problemList) {
	_, err := p.Location()
	ps.join("", err)
}
