package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"postern/internal/desk"
)

// tally prints what became of each of many, as it happens: what is shown only once must
// not wait for the others. With --json the whole is one object, with one result a line.
type tally struct {
	ctl    *ctl
	plural string // what they are, for JSON
	total  int
	quiet  bool // text: only of those that failed
	begun  bool
	told   time.Time

	done, unchanged, failures, skipped int
}

func (c *ctl) tally(plural string, total int) *tally {
	return &tally{ctl: c, plural: plural, total: total, told: time.Now()}
}

// result prints one; o is changed.
func (t *tally) result(o object, err error) {
	switch {
	case errors.Is(err, desk.ErrNothing):
		t.unchanged++
		o["outcome"] = "unchanged"
		t.row(o, "")
	case err != nil:
		t.failed(o, err)
		return
	default:
		t.done++
		o["outcome"] = "done"
		t.row(o, shownOnce(o))
	}
	t.progress()
}

// shownOnce is what a line of text holds beside the name: what was made.
func shownOnce(o object) string {
	if token, ok := o["token"].(string); ok {
		return token
	}
	var parts []string
	codes, _ := o["backup_codes"].([]any)
	for _, code := range codes {
		parts = append(parts, fmt.Sprint(code))
	}
	return strings.Join(parts, " ")
}

func (t *tally) failed(o object, err error) {
	t.failures++
	o["outcome"], o["error"] = "failed", t.ctl.line(err)
	t.row(o, t.ctl.line(err))
	t.progress()
}

func (t *tally) skip() { t.skipped++ }

// row prints one result.
func (t *tally) row(o object, text string) {
	if t.quiet && !t.ctl.json && o["outcome"] != "failed" {
		return
	}
	if !t.ctl.json {
		line := fmt.Sprintf("%v\t%v", o["user"], o["outcome"])
		if text != "" {
			line += "\t" + text
		}
		fmt.Fprintln(t.ctl.out, line)
		return
	}
	t.begin()
	b, err := marshal(o)
	if err != nil {
		return
	}
	comma := ","
	if t.done+t.unchanged+t.failures == 1 {
		comma = ""
	}
	fmt.Fprintf(t.ctl.out, "%s\n    %s", comma, b)
}

func marshal(o object) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(o)
	return bytes.TrimSpace(b.Bytes()), err
}

func (t *tally) begin() {
	if !t.begun {
		fmt.Fprintf(t.ctl.out, "{\n  %q: [", t.plural)
	}
	t.begun = true
}

// progress tells a person how far it is, once a second.
func (t *tally) progress() {
	if time.Since(t.told) < progressPause {
		return
	}
	t.told = time.Now()
	t.ctl.say("%d of %d", t.done+t.unchanged+t.failures+t.skipped, t.total)
}

// end closes the list. Errors: that some failed.
func (t *tally) end() error {
	t.close()
	if t.failures > 0 {
		return fmt.Errorf("failed: %d", t.failures)
	}
	return nil
}

// stop closes the list before its end.
func (t *tally) stop(err error) error {
	t.close()
	return fmt.Errorf("stopped: %w; the same command goes on, with --resume if it was given", err)
}

func (t *tally) close() {
	if t.ctl.json {
		t.begin()
		fmt.Fprintf(t.ctl.out, "\n  ],\n  \"done\": %d, \"unchanged\": %d, \"failed\": %d, \"skipped\": %d\n}\n",
			t.done, t.unchanged, t.failures, t.skipped)
	}
	t.ctl.say("Done: %d. Unchanged: %d. Failed: %d. Finished before: %d.", t.done, t.unchanged, t.failures, t.skipped)
}

// captured runs a command for one of many: its object is returned, what it warns of is
// in it, and what it would say to a person is left out.
func (c *ctl) captured(run func() error) (object, error) {
	var out, warnings bytes.Buffer
	was := *c
	c.out, c.err, c.json, c.quiet = &out, &warnings, true, true
	err := run()
	c.out, c.err, c.json, c.quiet = was.out, was.err, was.json, was.quiet
	o := object{}
	if decodeErr := json.NewDecoder(&out).Decode(&o); decodeErr != nil && !errors.Is(decodeErr, io.EOF) {
		err = errors.Join(err, decodeErr)
	}
	if text := strings.TrimSpace(strings.ReplaceAll(warnings.String(), "posternctl: warning: ", "")); text != "" {
		o["warnings"] = strings.Split(text, "\n")
		c.warn("%s: %s", c.user, strings.ReplaceAll(text, "\n", "; "))
	}
	return o, err
}
