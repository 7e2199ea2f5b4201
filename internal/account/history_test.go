package account_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"postern/internal/account"
)

func everyday(topic string) bool { return topic == "sign_in" }

// What happens every day drives out nothing that matters, however often it does.
func TestHistoryKeepsWhatMatters(t *testing.T) {
	var s account.State
	at := time.Unix(1_800_000_000, 0)
	note := func(topic, agent string, after time.Duration) {
		s.Note(account.Happening{Topic: topic, Unix: at.Add(after).Unix(), Agent: agent, From: netip.MustParseAddr("192.0.2.7")}, everyday)
	}
	note("reset", "", 0)
	for i := range 100 {
		note("sign_in", fmt.Sprint(i), time.Duration(i)*time.Minute)
	}
	list := s.Happenings()
	if len(list) != 9 || list[0].Topic != "reset" || list[8].Agent != "99" || !list[0].At().Equal(at) {
		t.Errorf("%d: %+v", len(list), list)
	}
	for i := range 30 {
		note("app_created", "", time.Duration(100+i)*time.Minute)
	}
	if list = s.Happenings(); len(list) != 24 || list[23].Topic != "app_created" {
		t.Errorf("%d: %+v", len(list), list)
	}
	if n := len(s.History); n > 2000 {
		t.Errorf("%d bytes", n)
	}
}

// The same within the hour is one line that counts; later, or from elsewhere, another.
func TestHistoryCounts(t *testing.T) {
	var s account.State
	note := func(minute int, addr string) {
		s.Note(account.Happening{Topic: "sign_in", Unix: int64(minute) * 60, From: netip.MustParseAddr(addr)}, everyday)
	}
	note(1, "192.0.2.7")
	note(30, "192.0.2.7")
	note(80, "192.0.2.7")
	note(81, "192.0.2.8")
	note(150, "192.0.2.7")
	list := s.Happenings()
	if len(list) != 3 || list[0].Count != 3 || list[0].Unix != 80*60 || list[1].Count != 0 || list[2].Unix != 150*60 {
		t.Errorf("%+v", list)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	var s account.State
	long := strings.Repeat("ü", 300)
	for range 30 {
		s.Note(account.Happening{Topic: "x", Name: long, Agent: long, By: "a" + long}, everyday)
	}
	h := s.Happenings()[0]
	if len(h.Name) > 80 || !utf8.ValidString(h.Name) || !utf8.ValidString(h.By) || len(s.History) > 8000 {
		t.Errorf("%q %q, %d bytes", h.Name, h.By, len(s.History))
	}
	for _, broken := range [][]byte{nil, {0xff}, s.History[:len(s.History)-1]} {
		s.History = broken
		if s.Happenings() != nil {
			t.Errorf("%x", broken)
		}
	}
}

func TestKnowBrowser(t *testing.T) {
	var s account.State
	browser := func(i int) [4]byte { return [4]byte{1, 2, 3, byte(i)} }
	if !s.KnowBrowser(browser(0)) {
		t.Error("the first one of all is news")
	}
	if s.KnowBrowser(browser(1)) || !s.KnowBrowser(browser(1)) || !s.KnowBrowser(browser(0)) {
		t.Error("a second one")
	}
	for i := range 11 {
		s.KnowBrowser(browser(10 + i))
		s.KnowBrowser(browser(0)) // in use, so not forgotten
	}
	if !s.KnowBrowser(browser(0)) || s.KnowBrowser(browser(1)) || len(s.Browsers) != 48 {
		t.Errorf("%d bytes", len(s.Browsers))
	}
}
