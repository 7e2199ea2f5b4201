package app

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// AndroidApp is an app that may use the relying parties' passkeys.
type AndroidApp struct {
	Package     string
	Fingerprint string // SHA-256 of the signing certificate: 32 bytes as AB:CD:…
}

// Origin is what Android puts in an origin's place: the same fingerprint in base64url.
func (a AndroidApp) Origin() string {
	sum, _ := hex.DecodeString(strings.ReplaceAll(a.Fingerprint, ":", "")) // of the right form
	return "android:apk-key-hash:" + base64.RawURLEncoding.EncodeToString(sum)
}

// AndroidApps are the configured ones.
func (p *Passkeys) AndroidApps() []AndroidApp {
	var all []AndroidApp
	for _, text := range p.Android {
		if a, err := parseAndroidApp(text); err == nil { // Load reported it
			all = append(all, a)
		}
	}
	return all
}

func (p *Passkeys) androidOrigins() []string {
	var all []string
	for _, a := range p.AndroidApps() {
		all = append(all, a.Origin())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

var (
	packageForm     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$`)
	fingerprintForm = regexp.MustCompile(`^([0-9A-F]{2}:){31}[0-9A-F]{2}$`)
	appleForm       = regexp.MustCompile(`^[A-Z0-9]{10}\.[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$`)
)

func parseAndroidApp(text string) (AndroidApp, error) {
	name, sum, _ := strings.Cut(text, " ")
	a := AndroidApp{name, strings.ToUpper(strings.TrimSpace(sum))}
	if !packageForm.MatchString(a.Package) || !fingerprintForm.MatchString(a.Fingerprint) {
		return a, fmt.Errorf("%q is not a package and a SHA-256 fingerprint like org.example.mail 14:6D:E9:… (32 pairs of digits)", text)
	}
	return a, nil
}

func (p *Passkeys) appProblems(ps *problemList) {
	for _, text := range p.Android {
		_, err := parseAndroidApp(text)
		ps.join("passkeys.android_apps", err)
	}
	for _, text := range p.Apple {
		if !appleForm.MatchString(text) {
			ps.add("passkeys.apple_apps: %q is not like ABCDE12345.org.example.mail", text)
		}
	}
}
