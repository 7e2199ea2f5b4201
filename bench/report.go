package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// printTable prints the results for people.
func printTable(out io.Writer, all []result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "row\tours\treference\ttheirs\tunit\tratio\tp50 ms\ttheirs\tp99 ms\ttheirs\tCPU µs\ttheirs\t")
	for _, r := range all {
		_, _ = fmt.Fprintf(w, "%s\t%.0f\t%s\t%.0f\t%s\t%.2f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f\t\n",
			r.Name, r.Ours, r.Reference, r.Theirs, r.Unit, r.Ratio, r.OursP50, r.TheirsP50, r.OursP99, r.TheirsP99, r.OursCPU, r.TheirsCPU)
	}
	_ = w.Flush()
}

// printMarkdown prints the table of docs/performance.md.
func printMarkdown(out io.Writer, all []result) {
	_, _ = fmt.Fprintln(out, "| row | ours | against | theirs | unit | ratio | p99, ms | theirs |")
	_, _ = fmt.Fprintln(out, "|---|--:|---|--:|---|--:|--:|--:|")
	for _, r := range all {
		_, _ = fmt.Fprintf(out, "| %s | %.0f | %s | %.0f | %s | **%.2f** | %.1f | %.1f |\n",
			r.Name, r.Ours, r.Reference, r.Theirs, r.Unit, r.Ratio, r.OursP99, r.TheirsP99)
	}
}

// writeResults writes results.json, an empty array if nothing was measured.
func writeResults(dir string, all []result) error {
	if all == nil {
		all = []result{}
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "results.json"), append(b, '\n'), 0o644) // #nosec G306 -- for everybody
}
