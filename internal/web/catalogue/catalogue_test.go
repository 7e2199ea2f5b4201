package catalogue_test

import (
	"testing"

	"postern/internal/web/catalogue"
)

func TestMatch(t *testing.T) {
	for wanted, want := range map[string]string{
		"de": "de", "de-AT": "de", "de_CH": "de", "fr;q=0.5, en;q=0.9": "en", "ja, ru;q=0.3": "ru", "ja": "", "": "", "\r\nx: y": "", "no such": "",
	} {
		if got := catalogue.Match(wanted); got != want {
			t.Errorf("%q: %q, want %q", wanted, got, want)
		}
	}
}
