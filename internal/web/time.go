package web

import (
	"fmt"
	"html/template"
	"time"
)

type zone = *time.Location

// date is a day as a time element: "2 January 2026".
func (w *words) date(t time.Time) (template.HTML, error) { return w.element(t, "time_date") }

// moment is a minute: "2 January 2026, 14:03 CET".
func (w *words) moment(t time.Time) (template.HTML, error) { return w.element(t, "time_moment") }

// clock is a second, to compare a clock with: "14:03:22 UTC".
func (w *words) clock(t time.Time) (template.HTML, error) { return w.element(t, "time_clock") }

func (w *words) element(t time.Time, layout string) (template.HTML, error) {
	t = t.In(w.zone)
	month, err := w.text(fmt.Sprintf("month_%d", t.Month()))
	if err != nil {
		return "", err
	}
	s, err := w.text(layout, "Day", t.Day(), "Month", month, "Year", t.Year(),
		"Time", t.Format("15:04"), "Seconds", t.Format("15:04:05"), "Zone", t.Format("MST"))
	if err != nil {
		return "", err
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, //nolint:gosec // escaped
		t.Format(time.RFC3339), escape(fmt.Sprint(s)))), nil
}

// span is a duration in its natural unit, rounded up, without sign: "30 seconds".
func (w *words) span(d time.Duration) (any, error) {
	d = d.Abs()
	unit, id := 24*time.Hour, "span_days"
	switch {
	case d <= 2*time.Minute:
		unit, id = time.Second, "span_seconds"
	case d <= 2*time.Hour:
		unit, id = time.Minute, "span_minutes"
	case d <= 48*time.Hour:
		unit, id = time.Hour, "span_hours"
	}
	return w.text(id, "N", int((d+unit-1)/unit))
}
