package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// metric is one that a daemon has.
type metric struct{ name, kind, help, labels string }

// metrics is /metrics of the daemons: every metric that the source makes.
func metrics(c code) []byte {
	var list []metric
	for _, f := range c.files {
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if m := metricOf(call); m.name != "" {
					list = append(list, m)
				}
			}
			return true
		})
	}
	slices.SortFunc(list, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	var b bytes.Buffer
	b.WriteString("# Metrics\n\nBoth daemons answer `/metrics` in Prometheus' format, on each of their sockets, beside Go's and the process's own metrics.\n" +
		"Labels come from closed sets: no names, no addresses. `contrib/grafana` has a dashboard.\n\n| metric | kind | labels | |\n|---|---|---|---|\n")
	for _, m := range list {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, m.labels, m.help)
	}
	return b.Bytes()
}

// metricOf reads a call of prometheus.NewXxx(Opts{Name, Help}, labels) or of
// daemon.Metrics.Histogram(name, help, label, …).
func metricOf(call *ast.CallExpr) metric {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return metric{}
	}
	if f.Sel.Name == "Histogram" && len(call.Args) > 2 {
		return metric{literal(call.Args[0]), "histogram", literal(call.Args[1]), "`" + literal(call.Args[2]) + "`"}
	}
	opts, ok := call.Args[0].(*ast.CompositeLit)
	if kind := strings.TrimPrefix(f.Sel.Name, "New"); ok && kind != f.Sel.Name {
		m := metric{kind: strings.ToLower(strings.TrimSuffix(kind, "Vec"))}
		for _, e := range opts.Elts {
			if pair, ok := e.(*ast.KeyValueExpr); ok {
				m.set(pair)
			}
		}
		if len(call.Args) > 1 {
			m.labels = labels(call.Args[1])
		}
		return m
	}
	return metric{}
}

func (m *metric) set(pair *ast.KeyValueExpr) {
	switch key, _ := pair.Key.(*ast.Ident); {
	case key == nil:
	case key.Name == "Name":
		m.name = literal(pair.Value)
	case key.Name == "Help":
		m.help = literal(pair.Value)
	}
}

func labels(e ast.Expr) string {
	list, ok := e.(*ast.CompositeLit)
	if !ok {
		return ""
	}
	var names []string
	for _, name := range list.Elts {
		names = append(names, "`"+literal(name)+"`")
	}
	return strings.Join(names, " ")
}
