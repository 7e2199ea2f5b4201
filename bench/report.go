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
	_, _ = fmt.Fprintln(w, "row\tours\treference\ttheirs\tunit\tratio\t")
	for _, r := range all {
		_, _ = fmt.Fprintf(w, "%s\t%.0f\t%s\t%.0f\t%s\t%.2f\t\n", r.Name, r.Ours, r.Reference, r.Theirs, r.Unit, r.Ratio)
	}
	_ = w.Flush()
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
