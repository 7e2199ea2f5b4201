// Command testreport runs `go test -json` for the packages that are its arguments. It writes
// all output as text to the file named by -log, and to standard output what somebody
// needs who cannot see that file: a line for each package, then the whole output of each
// test that failed or was skipped, and how many there were. A test that was skipped is a
// failure: a missing component must be noticed.
//
// A few tests that failed are run once more, alone (again.go); what passes only then is
// reported as unsteady, with its output.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// event is a line of test2json (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output and build-fail
	Test       string
	Elapsed    float64
	Output     string
}

// most is how many lines of one failed test are shown: its last ones.
const most = 120

type report struct {
	log, out io.Writer
	output   map[string][]string // by package and test
	bad      []string            // keys of output, in the order of their end
	passed   int
	failed   int
	skipped  int
	broken   bool // a package was not built, or failed without a test that did
}

func main() {
	path := flag.String("log", "build/test.log", "`file` for the whole output")
	flags := flag.String("flags", "", "of go test")
	flag.Parse()
	log, err := os.Create(*path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	w := bufio.NewWriter(log)
	run := &runner{log: w, out: os.Stdout, flags: strings.Fields(*flags), goTest: goTest}
	good := run.all(flag.Args())
	if err := w.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if !good {
		os.Exit(1)
	}
}

// goTest gives what `go test -json` prints; its exit code is in there too.
func goTest(args []string, read func(io.Reader)) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...) //nolint:gosec // a tool for this repository's scripts
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	read(out)
	_ = cmd.Wait()
}

func (r *report) read(in io.Reader) {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if err != nil {
			return
		}
	}
}

func (r *report) line(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		fmt.Fprint(r.log, line)
		fmt.Fprint(r.out, line)
		return
	}
	fmt.Fprint(r.log, e.Output)
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "build-fail":
		r.broken = true
	case "output":
		if framing(e.Output) {
			return
		}
		r.output[key] = append(r.output[key], e.Output)
	case "pass", "fail", "skip":
		r.ended(key, &e)
	}
}

// framing are the lines that say only which test the next ones are of.
func framing(s string) bool {
	s = strings.TrimLeft(s, " ")
	for _, p := range []string{"=== RUN", "=== PAUSE", "=== CONT", "=== NAME"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// ended takes the end of a test, or of a package.
func (r *report) ended(key string, e *event) {
	if e.Test == "" {
		r.packageEnded(key, e)
		return
	}
	switch e.Action {
	case "pass":
		r.passed++
		delete(r.output, key)
		return
	case "fail":
		r.failed++
	case "skip":
		r.skipped++
	}
	r.bad = append(r.bad, key)
}

func (r *report) packageEnded(key string, e *event) {
	word := e.Action
	if word == "skip" {
		word = "none" // a package without tests
	}
	fmt.Fprintf(r.out, "%-5s %-32s %6.1f s\n", word, e.Package, e.Elapsed)
	if e.Action == "fail" {
		if !slices.ContainsFunc(r.bad, func(k string) bool { return strings.HasPrefix(k, key) }) {
			r.broken = true
		}
		r.bad = append(r.bad, key)
	}
}

// finish prints what is not right, and reports whether all is.
func (r *report) finish() bool {
	for _, key := range r.bad {
		r.show(key)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return !r.broken && r.failed == 0 && r.skipped == 0 && r.passed > 0
}

// show prints the last lines of a test's output, if it said anything.
func (r *report) show(key string) {
	lines := r.output[key]
	if slices.IndexFunc(lines, func(s string) bool { return strings.TrimSpace(s) != "" }) < 0 {
		return
	}
	fmt.Fprintf(r.out, "--- %s\n", strings.TrimSpace(key))
	if n := len(lines); n > most {
		fmt.Fprintf(r.out, "(%d lines more in the log)\n", n-most)
		lines = lines[n-most:]
	}
	fmt.Fprint(r.out, strings.Join(lines, ""))
}
