package doctor

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"postern/internal/account"
)

// ReadHost reads the Host from what `posternctl doctor --json` printed there.
func ReadHost(text []byte) (Host, error) {
	var said struct {
		Host *Host `json:"host"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return Host{}, fmt.Errorf("not what posternctl doctor --json prints: %w", err)
	}
	if said.Host == nil || said.Host.Name == "" {
		return Host{}, fmt.Errorf("no \"host\" in it: not what posternctl doctor --json prints")
	}
	return *said.Host, nil
}

// compareHosts tells what must be the same on two hosts and is not.
func (e *examination) compareHosts(own, other Host) {
	subject := fmt.Sprintf("%s (%s)", other.Name, other.Time.UTC().Format("2006-01-02 15:04 MST"))
	e.compareVersions(own, other, subject)
	e.compareKeys(own, other, subject)
	if own.Keys[account.RoleDoor] == "" || first(own.Keys[account.RoleDoor]) != first(other.Keys[account.RoleDoor]) || len(own.Facts) == 0 || len(other.Facts) == 0 {
		for _, id := range []string{"hosts-site", "hosts-secrets", "hosts-settings", "hosts-dovecot"} {
			e.unchecked(id, subject, "can be compared only where both hosts have the same door key, and doctor could read it")
		}
		return
	}
	e.compareFacts("hosts-site", "site", own, other, subject)
	e.compareFacts("hosts-secrets", "secret ", own, other, subject)
	e.compareFacts("hosts-settings", settingFact, own, other, subject)
	e.compareFacts("hosts-dovecot", "dovecot ", own, other, subject)
}

func first(ids string) string {
	id, _, _ := strings.Cut(ids, " ")
	return id
}

func (e *examination) compareVersions(own, other Host, subject string) {
	var differ []string
	if own.Version != other.Version {
		differ = append(differ, fmt.Sprintf("Postern %s here, %s there", own.Version, other.Version))
	}
	if own.Dovecot != "" && other.Dovecot != "" && own.Dovecot != other.Dovecot {
		differ = append(differ, fmt.Sprintf("Dovecot %s here, %s there", own.Dovecot, other.Dovecot))
	}
	if len(differ) > 0 {
		e.warn("hosts-versions", subject, strings.Join(differ, "; "))
		return
	}
	e.ok("hosts-versions", subject, "has the same versions")
}

// compareKeys: not every host has every key, but those that both have are the same. In
// the middle of a rotation one has more.
func (e *examination) compareKeys(own, other Host, subject string) {
	same := 0
	for _, role := range roles {
		a, b := own.Keys[role], other.Keys[role]
		switch {
		case a == "" || b == "":
		case a == b:
			same++
		case slices.Contains(strings.Fields(a), first(b)) || slices.Contains(strings.Fields(b), first(a)):
			e.warn("hosts-keys", subject, fmt.Sprintf("%s.key: %s here, %s there: a rotation of keys is not finished", role, a, b))
		default:
			e.wrong("hosts-keys", subject, fmt.Sprintf("%s.key: %s here, %s there: what one host seals, the other cannot read", role, a, b))
		}
	}
	if same > 0 {
		e.ok("hosts-keys", subject, fmt.Sprintf("%d keys are the same", same))
	}
}

// compareFacts names what differs.
func (e *examination) compareFacts(id, prefix string, own, other Host, subject string) {
	var differ []string
	same := 0
	keys := slices.AppendSeq(slices.Collect(maps.Keys(own.Facts)), maps.Keys(other.Facts))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		name, is := strings.CutPrefix(key, prefix)
		switch {
		case !is:
		case own.Facts[key] == other.Facts[key]:
			same++
		case own.told(key) && other.told(key):
			differ = append(differ, name)
		case own.Version == other.Version && prefix == settingFact && own.unset(key) && other.unset(key):
			differ = append(differ, name) // one has it, the other leaves it to the default
		}
	}
	switch {
	case len(differ) > 0 && id == "hosts-site":
		e.wrong(id, subject, "sees another directory, or one that is not replicated: the keys that are registered there differ")
	case len(differ) > 0:
		e.wrong(id, subject, "differs: "+strings.Join(differ, ", "))
	case same == 0:
		e.unchecked(id, subject, "there is nothing that both hosts could read")
	default:
		e.ok(id, subject, fmt.Sprintf("is the same: %d compared", same))
	}
}

func (h *Host) told(key string) bool { return h.Facts[key] != "" }

// unset reports whether a setting that the host does not tell is one that it has not set:
// those of the pages it tells only if it has a webhook.
func (h *Host) unset(key string) bool {
	return !isPageSetting(strings.TrimPrefix(key, settingFact)) || h.told(settingFact+"webhook.public_url")
}
