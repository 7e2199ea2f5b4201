package authpolicy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// recorded are real Dovecots' bodies.
func recorded(t testing.TB) (list [][]byte) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f) //nolint:gosec // ours
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

// What Dovecot sends is read the fast way.
func TestRecordedArePlain(t *testing.T) {
	for _, b := range recorded(t) {
		var q Query
		if !q.parsePlain(b) || q.Login != "plain@example.test" {
			t.Errorf("%s: %+v", b, q)
		}
	}
}

// The fast way never takes what encoding/json refuses, or reads it differently.
func FuzzPlain(f *testing.F) {
	for _, b := range recorded(f) {
		f.Add(b)
	}
	for _, s := range []string{`{}`, `{"LOGIN":"a"}`, `{"login":"a","login":"b"}`, `{"tls":"x"}`, `{"login":true}`, `{"x":truefalse}`,
		`{"login":"a",}`, `{"login":"a"}}`, `{"a b":"c d","tls":true}`, `{"login":"a"`, `{"":"","success":true,"success":false}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var fast, slow Query
		if !fast.parsePlain(body) {
			return
		}
		if err := json.Unmarshal(body, &slow); err != nil || fast != slow {
			t.Errorf("%q: %+v, encoding/json says %+v, %v", body, fast, slow, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	body := recorded(b)[0]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(body); err != nil {
			b.Fatal(err)
		}
	}
}
