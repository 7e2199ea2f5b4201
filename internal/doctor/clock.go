package doctor

import (
	"fmt"
	"net/http"
	"slices"
	"syscall"
	"time"
)

// clockFine is half a step of an authenticator: further off, right codes are refused.
const clockFine = 15 * time.Second

// clock compares a clock with ours.
func (e *examination) clock(whose string, off time.Duration) {
	if off.Abs() > clockFine {
		e.wrong("clock", whose, fmt.Sprintf("the clocks of this host and of %s differ by %d s: codes of authenticators are refused, tickets are late or early", whose, int(off.Abs().Seconds())))
		return
	}
	e.okOnce("clock", whose, "goes as this host's clock does")
}

// httpClock reads the Date of an answer (RFC 9110 section 6.6.1).
func (e *examination) httpClock(whose string, res *http.Response, asked time.Time) {
	if at, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		e.clock(whose, at.Sub(asked))
	}
}

// okOnce is ok, unless the report says so already: a daemon has several listeners.
func (e *examination) okOnce(id, subject, text string) {
	if !slices.ContainsFunc(e.report, func(f Finding) bool { return f.ID == id && f.Subject == subject && f.Status == OK }) {
		e.ok(id, subject, text)
	}
}

// adjtimex(2): STA_UNSYNC of the status, and the state of a clock that nobody keeps.
const (
	staUnsync = 0x40
	timeError = 5
)

// kernelClock asks the kernel whether anybody keeps the clock right. A host whose clock
// its hypervisor keeps does not say so; hence no more than a warning.
func (e *examination) kernelClock(adjtimex func(*syscall.Timex) (int, error)) {
	var t syscall.Timex // modes 0: nothing is changed
	state, err := adjtimex(&t)
	switch {
	case err != nil:
		e.unchecked("clock-kept", "this host", "the kernel does not tell whether its clock is kept: "+err.Error())
	case state == timeError || t.Status&staUnsync != 0:
		e.warn("clock-kept", "this host", "the kernel knows of nobody (chrony, systemd-timesyncd) who keeps the clock right")
	default:
		e.ok("clock-kept", "this host", "the clock is kept by NTP")
	}
}
