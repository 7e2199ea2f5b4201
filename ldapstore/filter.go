package ldapstore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// template is a user filter cut at its placeholders: text, hole, text, hole, …
type template struct {
	text  []string
	holes []byte // 'u', 'n' or 'd' after each text but the last
}

// parseTemplate cuts a filter at %u, %n and %d; %% stands for a percent sign.
func parseTemplate(filter string) (template, error) {
	var t template
	var text strings.Builder
	for i := 0; i < len(filter); i++ {
		if filter[i] != '%' {
			text.WriteByte(filter[i])
			continue
		}
		i++
		if i == len(filter) {
			return t, errors.New("ends with a lone %")
		}
		switch filter[i] {
		case '%':
			text.WriteByte('%')
		case 'u', 'n', 'd':
			t.text, t.holes = append(t.text, text.String()), append(t.holes, filter[i])
			text.Reset()
		default:
			return t, fmt.Errorf("does not know %%%c; there are %%u, %%n, %%d and %%%%", filter[i])
		}
	}
	if len(t.holes) == 0 {
		return t, fmt.Errorf("%q holds none of %%u, %%n and %%d: it would find the same entry for every name", filter)
	}
	t.text = append(t.text, text.String())
	return t, nil
}

// expand fills in a name, escaped (RFC 4515 section 3): whatever was typed stays
// one value inside the filter.
func (t *template) expand(name string) string {
	local, domain := splitName(name)
	var b strings.Builder
	for i, hole := range t.holes {
		b.WriteString(t.text[i])
		switch hole {
		case 'u':
			b.WriteString(ldap.EscapeFilter(name))
		case 'n':
			b.WriteString(ldap.EscapeFilter(local))
		case 'd':
			b.WriteString(ldap.EscapeFilter(domain))
		}
	}
	b.WriteString(t.text[len(t.text)-1])
	return b.String()
}

// splitName cuts a name at its last @, as the domain cannot contain one.
func splitName(name string) (local, domain string) {
	if i := strings.LastIndexByte(name, '@'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}
