package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"postern/internal/mailtest"
)

// dashboard is what we look at of contrib/grafana's.
type dashboard struct {
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr string }
	}
	Templating struct {
		List []struct{ Name string }
	}
}

var (
	metricName = regexp.MustCompile(`\b(?:postern|process|go)_[a-z_]+`)
	labelName  = regexp.MustCompile(`([a-z]+)(?:=|!=|=~|!~)"`)
	labelList  = regexp.MustCompile(`by \(([a-z, ]+)\)`)
	variable   = regexp.MustCompile(`\$([a-z]+)`)
)

// TestDashboard: each metric and label that the dashboard asks for is exported by
// a policyserver that has decided a few logins.
func TestDashboard(t *testing.T) {
	t.Parallel()
	dir, err := programs()
	must(t, err)
	w := fresh(t, mailtest.Options{Binaries: dir})
	exported := w.everyMetric()
	var d dashboard
	text, err := os.ReadFile("../../contrib/grafana/postern.json")
	must(t, err)
	must(t, json.Unmarshal(text, &d))
	known := map[string]bool{}
	for _, v := range d.Templating.List {
		known[v.Name] = true
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.H == 0 || len(p.Targets) == 0 {
			t.Errorf("panel %d %q: the same id as another, no title, place or query", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, q := range p.Targets {
			checkQuery(t, q.Expr, exported, known)
		}
	}
}

// everyMetric is what the server exports after a request of each kind.
func (w *world) everyMetric() string {
	w.t.Helper()
	w.ask(w.user("main password"), "main password")
	w.ask("nobody@example.test", "wrong")
	for _, command := range []string{"allow", "report"} {
		w.request(http.MethodPost, "/?command="+command, `{"login":"a@example.test","remote":"192.0.2.1","protocol":"imap","success":true}`)
	}
	return w.request(http.MethodGet, "/metrics", "")
}

func (w *world) request(method, path, body string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.Listen+path, strings.NewReader(body))
	must(w.t, err)
	req.Header.Set("X-API-Key", w.Key)
	res, err := http.DefaultClient.Do(req)
	must(w.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	must(w.t, err)
	if res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s: %s: %s", method, path, res.Status, text)
	}
	return string(text)
}

// checkQuery looks for what a query names. Prometheus itself adds job and instance.
func checkQuery(t *testing.T, expr, exported string, variables map[string]bool) {
	t.Helper()
	names := metricName.FindAllString(expr, -1)
	if len(names) == 0 || strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
		t.Errorf("no query: %s", expr)
	}
	for _, name := range names {
		if !strings.Contains(exported, "\n"+name+"{") && !strings.Contains(exported, "\n"+name+" ") {
			t.Errorf("%s is not exported: %s", name, expr)
		}
	}
	var labels []string
	for _, m := range labelName.FindAllStringSubmatch(expr, -1) {
		labels = append(labels, m[1])
	}
	for _, m := range labelList.FindAllStringSubmatch(expr, -1) {
		labels = append(labels, strings.Split(m[1], ", ")...)
	}
	for _, l := range labels {
		if l != "job" && !strings.Contains(exported, l+`="`) {
			t.Errorf("there is no label %s: %s", l, expr)
		}
	}
	for _, m := range variable.FindAllStringSubmatch(expr, -1) {
		if !variables[m[1]] {
			t.Errorf("there is no variable %s: %s", m[1], expr)
		}
	}
}
