package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	const pass = `{"Action":"output","Package":"p","Test":"TestA","Output":"of A\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":1}
`
	for name, c := range map[string]struct {
		in   string
		good bool
		want []string
	}{
		"good":    {pass + `{"Action":"pass","Package":"p","Elapsed":1}`, true, []string{"pass  p", "1 passed, 0 failed, 0 skipped"}},
		"nothing": {"", false, nil},
		"failed": {pass + `{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"of B\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p"}
`, false, []string{"--- p TestB\nof B\n", "fail  p", "1 passed, 1 failed"}},
		"skipped": {pass + `{"Action":"output","Package":"p","Test":"TestB","Output":"no slapd\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p"}
`, false, []string{"no slapd", "1 skipped"}},
		"not built": {`{"ImportPath":"p","Action":"build-output","Output":"x.go:1: syntax error\n"}
{"ImportPath":"p","Action":"build-fail"}
` + pass, false, []string{"x.go:1: syntax error"}},
	} {
		t.Run(name, func(t *testing.T) {
			var log, out bytes.Buffer
			r := &report{log: &log, out: &out, output: map[string][]string{}}
			r.read(strings.NewReader(c.in))
			if got := r.finish(); got != c.good {
				t.Errorf("good: %v", got)
			}
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("no %q in:\n%s", w, out.String())
				}
			}
			if strings.Contains(out.String(), "of A") {
				t.Error("the output of a test that passed")
			}
		})
	}
}

func TestAgain(t *testing.T) {
	failed := func(test, output string) string {
		return fmt.Sprintf(`{"Action":"output","Package":"p","Test":%q,"Output":%q}
{"Action":"fail","Package":"p","Test":%[1]q}
`, test, output)
	}
	const (
		ended  = `{"Action":"fail","Package":"p"}` + "\n"
		passed = `{"Action":"pass","Package":"p","Test":"TestB"}` + "\n" + `{"Action":"pass","Package":"p"}` + "\n"
	)
	once := failed("TestB/sub", "late\n") + failed("TestB", "") + ended
	for name, c := range map[string]struct {
		first, second string
		good          bool
		asked         string // of the second run
	}{
		"passes alone":    {once, passed, true, "-race -run ^(TestB)$ p"},
		"fails again":     {once, once, false, "-race -run ^(TestB)$ p"},
		"is gone":         {once, "", false, "-race -run ^(TestB)$ p"},
		"four of them":    {failed("A", "") + failed("B", "") + failed("C", "") + failed("D", "") + ended, passed, false, ""},
		"a data race":     {failed("TestB", "WARNING: DATA RACE\n") + ended, passed, false, ""},
		"a panic":         {failed("TestB", "panic: nil\n") + ended, passed, false, ""},
		"no test's fault": {ended, passed, false, ""},
		"skipped too":     {`{"Action":"skip","Package":"p","Test":"TestC"}` + "\n" + once, passed, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var log, out bytes.Buffer
			answers, asked := []string{c.first, c.second}, ""
			r := &runner{log: &log, out: &out, flags: []string{"-race"}, goTest: func(args []string, read func(io.Reader)) {
				asked = strings.Join(args, " ")
				read(strings.NewReader(answers[0]))
				answers = answers[1:]
			}}
			if got := r.all([]string{"./..."}); got != c.good {
				t.Errorf("good: %v\n%s", got, out.String())
			}
			if c.asked == "" {
				c.asked = "-race ./..."
			}
			if asked != c.asked {
				t.Errorf("asked %q, want %q", asked, c.asked)
			}
			if c.good && !strings.Contains(out.String(), "late\n") {
				t.Error("the first output is not shown")
			}
		})
	}
}
