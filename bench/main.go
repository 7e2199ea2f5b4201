// Command bench compares Postern's doors with floors, all on this machine and in
// turn: what a door costs that decides nothing, and what Dovecot costs by itself.
//
//	make bench                          # about eight minutes
//	go run ./bench -short               # about three
//	go run ./bench -only 'lua.*c=8'
//	go run ./bench -markdown            # the table of docs/performance.md
//
// It starts two whole sites (mailtest), one with 1,000 users and one with
// 100,000, and one Dovecot 2.3 for each contender in front of the larger. The
// contenders of a row are measured in turn, several rounds; the table shows the
// median of each and their ratio, more than 1 meaning that Postern is faster. The
// ratios count: absolute numbers are the machine's. The same goes to
// build/bench/results.json. A slow result is no failure.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are the command line.
type options struct {
	rounds int
	slice  time.Duration // of one contender in one round
	only   *regexp.Regexp
	out    string
	print  func(io.Writer, []result)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, daemon, err := parse(args, stderr)
	if err != nil {
		return 2
	}
	if daemon != "" {
		return trivialDaemon(daemon, stderr)
	}
	if err := bench(ctx, o, stdout, stderr); err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (o options, daemon string, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	short := f.Bool("short", false, "fewer and shorter rounds, for about two minutes")
	only := f.String("only", "", "measure only rows whose name matches this `regexp`")
	markdown := f.Bool("markdown", false, "print the table as docs/performance.md shows it")
	f.StringVar(&o.out, "out", "build/bench", "`directory` of results.json and of the built floors")
	f.StringVar(&daemon, "trivial-daemon", "", "be the floor's daemon below this `directory` (used by bench itself)")
	if err = f.Parse(args); err != nil {
		return o, "", err
	}
	if o.only, err = regexp.Compile("(?i)" + *only); err != nil {
		_, _ = fmt.Fprintln(stderr, "bench: -only:", err)
		return o, "", err
	}
	o.rounds, o.slice = 7, 1200*time.Millisecond
	o.print = printTable
	if *markdown {
		o.print = printMarkdown
	}
	if *short {
		o.rounds, o.slice = 3, 600*time.Millisecond
	}
	return o, daemon, nil
}

// bench starts everything, measures every row, and reports.
func bench(ctx context.Context, o options, stdout, stderr io.Writer) error {
	w, err := newWorld(ctx, o.out, stderr)
	if err != nil {
		return err
	}
	defer w.stop()
	var all []result
	for _, r := range w.rows() {
		if !o.only.MatchString(r.name) || ctx.Err() != nil {
			continue
		}
		_, _ = fmt.Fprintln(stderr, "bench:", r.name)
		results, err := measure(ctx, o, r)
		if err != nil {
			_, _ = fmt.Fprintf(stderr, "bench: %s: %v\n", r.name, err)
			continue
		}
		all = append(all, results...)
	}
	o.print(stdout, all)
	return writeResults(o.out, all)
}
