package main

import (
	"fmt"
	"strings"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/policy"
)

// limitOf is the limit's name in an event's detail.
func limitOf(detail string) string {
	_, name, _ := strings.Cut(detail, "limit ")
	return name
}

// deciding are the policies that decide at the mail doors.
var deciding = []string{"twofactor", "grace", "app_passwords", "app_password_services", "methods", "known_device_days"}

// tell is what holds, in JSON and in words; rows has the credentials in words.
func (h *holding) tell() (object, []string) {
	o := summary(&h.summary)
	lines := []string{"Now, at " + string(h.service) + fromText(h) + ":",
		"  account: " + statusText(&h.summary) + ", two-factor login " + twoFactorText(&h.summary)}
	policies := object{}
	if h.summary.PolicyErr != nil {
		lines = append(lines, "  policy: "+printable(h.summary.PolicyErr.Error()))
	} else {
		for _, key := range deciding {
			value, origin := h.summary.Policy.Get(key), h.summary.Policy.Origin[key]
			policies[key] = object{"value": value, "origin": origin}
			lines = append(lines, fmt.Sprintf("  policy %s: %s (%s)", key, printable(policy.Text(value)), printable(origin)))
		}
	}
	if b := h.bypass; b != nil {
		o["bypass_until"] = stamp(b.Until)
		lines = append(lines, "  a bypass is open until "+when(b.Until, "")+" for "+joined(b.Services, "mail and webmail"))
	}
	if k := h.summary.Known; k != nil {
		o["known_devices"], _ = knownDevices(k)
		lines = append(lines, "  main passwords from known devices are let in until "+when(k.Until, "")+": "+k.Places())
	}
	if o.addTime("observed_until", h.observed); !h.observed.IsZero() {
		lines = append(lines, "  the domain is being observed until "+when(h.observed, "")+": main passwords are let in")
	}
	if h.off {
		lines = append(lines, "  POSTERN IS SWITCHED OFF: main passwords are let in")
	}
	o["policy"], o["service"], o["switched_off"], o["would"] = policies, h.service, h.off, h.objects()
	if h.from.IsValid() {
		o["address"] = h.from
	}
	return o, append(lines, "  (no password was checked; limits on guessing are the daemons' own)", "")
}

func fromText(h *holding) string {
	if !h.from.IsValid() {
		return " from an unknown address"
	}
	return " from " + h.from.String()
}

func (h *holding) objects() []object {
	list := []object{}
	for i := range h.would {
		w := &h.would[i]
		text, do := meaning(w.decision.Reason, "")
		o := object{"credential": w.what, "outcome": w.decision.Outcome.String(), "reason": w.decision.Reason, "meaning": text, "to_do": do}
		for key, v := range map[string]string{"name": w.name, "id": w.id, "scope": w.scope} {
			if v != "" {
				o[key] = printable(v)
			}
		}
		o.addUse(w.used)
		list = append(list, o)
	}
	return list
}

// rows are the credentials in words.
func (h *holding) rows() (header string, rows [][]string) {
	for i := range h.would {
		w := &h.would[i]
		last := used(w.used)
		if w.what == "main password" {
			last = ""
		}
		rows = append(rows, []string{w.what, printable(w.name), w.id, gets(&w.decision), w.scope, last})
	}
	return "A RIGHT,NAME,ID,WOULD GET,SCOPE,LAST USED", rows
}

// gets is a decision in a word or two.
func gets(d *login.Decision) string {
	text := map[account.Outcome]string{account.Granted: "let in", account.Denied: "refused", account.Unavailable: "unavailable"}[d.Outcome]
	switch d.Reason {
	case "":
		return text
	case login.FirstFactor, login.EnrolmentNeeded:
		return string(d.Reason)
	case login.Elsewhere:
		return "left to the site's own passdb"
	}
	return text + ": " + string(d.Reason)
}
