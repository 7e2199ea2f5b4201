package e2e

import (
	"bufio"
	"encoding/json"
	"os"

	"postern/internal/effect"
	"postern/internal/login"
)

// mark is a place in a site's audit log.
type mark int64

// now is the end of the audit log.
func (w *world) now() mark {
	w.t.Helper()
	info, err := os.Stat(w.Audit)
	if os.IsNotExist(err) {
		return 0
	}
	must(w.t, err)
	return mark(info.Size())
}

// since are the events about a user after a mark, all events for no user. An event
// is written before its answer is, so what a client has seen is in the log.
func (w *world) since(m mark, user string) []effect.Event {
	w.t.Helper()
	f, err := os.Open(w.Audit)
	if os.IsNotExist(err) {
		return nil
	}
	must(w.t, err)
	defer func() { _ = f.Close() }()
	_, err = f.Seek(int64(m), 0)
	must(w.t, err)
	var events []effect.Event
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil { // the end, or a line that somebody else's event is just being written to
			break
		}
		if len(events) == 0 && line[0] != '{' { // the mark was set while that line was being written
			continue
		}
		var e effect.Event
		if err := json.Unmarshal(line, &e); err != nil {
			w.t.Errorf("audit line %q: %v", line, err)
		}
		if user == "" || e.User == user {
			events = append(events, e)
		}
	}
	return events
}

// last is the last decision about a user after a mark, of one action.
func (w *world) last(m mark, user string, action effect.Action) effect.Event {
	w.t.Helper()
	events := w.since(m, user)
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Action == action {
			return events[i]
		}
	}
	w.t.Errorf("no %s event about %s in the audit log", action, user)
	return effect.Event{}
}

// session is the login of a session id, which the test made up, after a mark.
func (w *world) session(m mark, id string) effect.Event {
	w.t.Helper()
	for _, e := range w.since(m, "") {
		if e.Session == id {
			return e
		}
	}
	w.t.Errorf("no event of session %s in the audit log", id)
	return effect.Event{}
}

// wantReason complains if the last login of a user had another reason.
func (w *world) wantReason(m mark, user string, want login.Reason) {
	w.t.Helper()
	if got := w.last(m, user, effect.Login).Reason; got != string(want) {
		w.t.Errorf("%s: reason %q, want %q", user, got, want)
	}
}
