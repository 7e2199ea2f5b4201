package main

import (
	"bytes"
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
