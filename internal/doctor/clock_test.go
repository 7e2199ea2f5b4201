package doctor

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"postern/internal/account"
	"postern/ldapstore"
)

// TestA13_ClockKept: what the kernel says about its clock; "cannot tell" is not right.
func TestA13_ClockKept(t *testing.T) {
	for name, row := range map[string]struct {
		state  int
		status int32
		err    error
		want   Status
	}{
		"kept":                 {0, 0x2001, nil, OK},
		"not kept, by status":  {0, 0x40, nil, Warning},
		"not kept, by state":   {5, 0, nil, Warning},
		"the kernel is silent": {0, 0, errors.New("operation not permitted"), Unchecked},
	} {
		e := examination{}
		e.kernelClock(func(t *syscall.Timex) (int, error) {
			if t.Modes != 0 {
				panic("the clock would be changed")
			}
			t.Status = row.status
			return row.state, row.err
		})
		if len(e.report) != 1 || e.report[0].Status != row.want || e.report[0].ID != "clock-kept" {
			t.Errorf("%s: %+v", name, e.report)
		}
	}
}

// TestA13_Lag: how late is too late.
func TestA13_Lag(t *testing.T) {
	for _, row := range []struct {
		seen ldapstore.Seen
		want Status
	}{
		{ldapstore.Seen{After: time.Second}, OK},
		{ldapstore.Seen{After: 3 * time.Second}, Warning},
		{ldapstore.Seen{Err: errors.New("does not show a change")}, Wrong},
		{ldapstore.Seen{Err: account.ErrUnavailable}, Unchecked},
	} {
		e := examination{}
		e.lagOf(row.seen)
		if e.report[0].Status != row.want {
			t.Errorf("%+v: %+v", row.seen, e.report)
		}
	}
}
