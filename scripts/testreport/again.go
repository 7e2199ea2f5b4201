package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// mostAgain is how many tests may be run once more. More than these are no chance.
const mostAgain = 3

// final are the words of failures that stay failures, however rare: a data race or a
// panic is a defect even when it shows once in a hundred runs.
var final = []string{"DATA RACE", "race detected", "panic:", "fatal error:", "test timed out"}

// runner runs tests, and those that failed once more.
type runner struct {
	log, out io.Writer
	flags    []string                                  // of go test
	goTest   func(args []string, read func(io.Reader)) // go test -json ARGS
}

// all reports whether the tests of the packages passed, at the second try at the latest.
func (r *runner) all(packages []string) bool {
	first := r.report()
	r.goTest(slices.Concat(r.flags, packages), first.read)
	good := first.finish()
	again := first.again()
	if good || len(again) == 0 {
		return good
	}
	fmt.Fprintln(r.out, "once more, alone:")
	for _, p := range slices.Sorted(maps.Keys(again)) {
		second := r.report()
		r.goTest(slices.Concat(r.flags, []string{"-run", "^(" + strings.Join(again[p], "|") + ")$", p}), second.read)
		if !second.finish() {
			return false
		}
	}
	fmt.Fprintln(r.out, "UNSTEADY, passed only when run alone; the first output is above:")
	for _, p := range slices.Sorted(maps.Keys(again)) {
		fmt.Fprintln(r.out, "unsteady", p, strings.Join(again[p], " "))
	}
	return true
}

func (r *runner) report() *report {
	return &report{log: r.log, out: r.out, output: map[string][]string{}}
}

// again gives the tests, by package, that deserve a second try: nil unless all that is
// wrong is a few tests that failed in an ordinary way.
func (r *report) again() map[string][]string {
	if r.broken || r.skipped > 0 {
		return nil
	}
	tests, n := map[string][]string{}, 0
	for _, key := range r.bad {
		if slices.ContainsFunc(r.output[key], hopeless) {
			return nil
		}
		p, test, _ := strings.Cut(key, " ")
		test, _, _ = strings.Cut(test, "/")
		if test == "" || slices.Contains(tests[p], test) {
			continue
		}
		tests[p] = append(tests[p], test)
		n++
	}
	if n > mostAgain {
		return nil
	}
	return tests
}

func hopeless(line string) bool {
	return slices.ContainsFunc(final, func(word string) bool { return strings.Contains(line, word) })
}
