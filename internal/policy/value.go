package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that is written with a unit, days among them: "14d",
// "12h", "90m", "1d12h".
type Duration time.Duration

const day = 24 * time.Hour

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := parseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%.40q is not a duration; write it like 14d, 12h or 90m", text)
	}
	*d = Duration(v)
	return nil
}

func parseDuration(s string) (time.Duration, error) {
	days, rest, found := strings.Cut(s, "d")
	if !found {
		days, rest = "0", s
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, err
	}
	total := time.Duration(n) * day //nolint:gosec // 16 bits
	if found && rest == "" {
		return total, nil
	}
	v, err := time.ParseDuration(rest)
	if err != nil {
		return 0, err
	}
	if v < 0 || v%time.Second != 0 || v > math.MaxInt64-total || strings.HasPrefix(rest, "+") {
		return 0, strconv.ErrRange
	}
	return total + v, nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is as short as UnmarshalText takes it.
func (d Duration) String() string {
	var b strings.Builder
	rest := time.Duration(d)
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := rest / unit.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, unit.name)
			rest %= unit.size
		}
	}
	if b.Len() == 0 {
		return "0"
	}
	return b.String()
}

// Date is a moment that is written as a day, which means its first moment in UTC,
// or as a time of RFC 3339.
type Date time.Time

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Date) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, string(text)); err == nil {
			*d = Date(t.UTC())
			return nil
		}
	}
	return fmt.Errorf("%.40q is not a date; write it like 2027-01-31 or 2027-01-31T12:00:00Z", text)
}

// UnmarshalTOML implements the TOML library's interface: a date or time of TOML
// without a zone means UTC, on every host alike.
func (d *Date) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case time.Time:
		if strings.HasSuffix(v.Location().String(), "-local") {
			v = time.Date(v.Year(), v.Month(), v.Day(), v.Hour(), v.Minute(), v.Second(), 0, time.UTC)
		}
		*d = Date(v.UTC())
		return nil
	case string:
		return d.UnmarshalText([]byte(v))
	}
	return fmt.Errorf("%v is not a date; write it like 2027-01-31 or 2027-01-31T12:00:00Z", v)
}

// MarshalText implements encoding.TextMarshaler.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Date) String() string {
	t := time.Time(d).UTC()
	if t.Truncate(day).Equal(t) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}
