// Command testplugin is the plug-in of the tests. What it does wrong it is told to: at
// its start by the first argument, later by the answers that it is given.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"postern/plugin"
)

func main() {
	behave := ""
	if len(os.Args) > 1 {
		behave = os.Args[1]
	}
	switch behave {
	case "garbage":
		fmt.Println("1|1|unix|\x1b[31m/nowhere|net" + strings.Repeat("rubbish|", 100))
		os.Exit(0)
	case "silent":
		forever()
	case "dies":
		fmt.Fprint(os.Stderr, "starting\nserver.toml:3: unknown key \x1b[2J")
		os.Exit(3)
	case "noisy":
		for i := range 1000 {
			fmt.Fprintf(os.Stderr, "line %d \x1b[2J%s\n", i, strings.Repeat("x", 10_000))
		}
	}
	plugin.Serve(plugin.Info{Name: "test\x1b[31m", Version: "1"}, &test{})
}

// forever hangs.
func forever() {
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR2)
	<-never
}

type test struct{ sent atomic.Int64 }

// Begin implements plugin.Factor. It says how many messages it has sent.
func (f *test) Begin(_ context.Context, r *plugin.Request) (*plugin.Question, error) {
	switch local, _, _ := strings.Cut(r.Account.Name, "@"); {
	case strings.HasPrefix(local, "hang"):
		forever()
	case strings.HasPrefix(local, "facts"):
		return &plugin.Question{Prompt: plugin.Prompt{Text: facts(), Field: &plugin.Field{}}}, nil
	case strings.HasPrefix(local, "largestate"):
		return &plugin.Question{State: make([]byte, plugin.MaxState+1)}, nil
	case strings.HasPrefix(local, "markup"):
		return &plugin.Question{Prompt: plugin.Prompt{Title: "<b>bold</b>\u202e\x00" + strings.Repeat("t", 500), Text: strings.Repeat("long ", 500),
			Field: &plugin.Field{Label: "<script>"}}}, nil
	}
	q := &plugin.Question{State: []byte("state"), Life: 5 * time.Minute}
	q.Text = fmt.Sprintf("%s: message %d", map[string]string{"de": "Nachricht"}[r.Language], f.sent.Add(1))
	q.Field, q.Again = &plugin.Field{Kind: plugin.Code, Label: "Test code", Digits: 6}, true
	if r.Purpose == plugin.Enrol {
		q.Field = &plugin.Field{Label: "Test name"}
	}
	if strings.HasPrefix(r.Account.Name, "push") && r.Purpose != plugin.Enrol {
		q.Field, q.Wait = nil, 2*time.Second
		q.State = []byte("push")
	}
	return q, nil
}

// facts is what a plug-in sees of its host.
func facts() string {
	status, _ := os.ReadFile("/proc/self/status")
	caps := ""
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, "CapEff") || strings.HasPrefix(line, "NoNewPrivs") {
			caps += strings.ReplaceAll(line, "\t", "") + " "
		}
	}
	names := []string{}
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		names = append(names, name)
	}
	groups, _ := os.Getgroups()
	return fmt.Sprintf("uid:%d groups:%v %s env:%s args:%v", os.Getuid(), groups, caps, strings.Join(names, ","), os.Args[1:])
}

// Check implements plugin.Factor.
func (f *test) Check(_ context.Context, r *plugin.Request) (*plugin.Verdict, error) {
	if string(r.State) == "push" {
		return push(r)
	}
	switch r.Answer {
	case "000000":
		return nil, plugin.ErrWrong
	case "000001":
		return nil, fmt.Errorf("the server: %w", plugin.ErrUnavailable)
	case "000002":
		return nil, plugin.ErrPending
	case "000003":
		os.Exit(7)
	case "000004":
		forever()
	case "000005":
		return nil, nil
	case "000006":
		return &plugin.Verdict{Right: &plugin.Right{Record: "somebodyelses"}}, nil
	case "000007":
		return nil, plugin.ErrExpired
	case "000008":
		return &plugin.Verdict{Next: &plugin.Question{Prompt: plugin.Prompt{Text: "and once more", Field: &plugin.Field{Kind: plugin.Code, Digits: 6}}, State: []byte("second")}}, nil
	case "000009":
		return &plugin.Verdict{Enrolled: []byte("x")}, nil
	case "000010":
		panic("a defect")
	case "000011":
		return nil, plugin.ErrNoRecord
	case "000012":
		return nil, plugin.ErrForm
	case "000013":
		return nil, plugin.ErrUsed
	}
	if r.Purpose == plugin.Enrol {
		if len(r.Answer) > 200 {
			return &plugin.Verdict{Enrolled: make([]byte, plugin.MaxBody+1)}, nil
		}
		return &plugin.Verdict{Enrolled: []byte(r.Answer)}, nil
	}
	return &plugin.Verdict{Right: &plugin.Right{Mark: []byte(r.Answer)}}, nil
}

// push is confirmed by the name of the record: "yes", "no", or later.
func push(r *plugin.Request) (*plugin.Verdict, error) {
	name := ""
	for _, one := range r.Records {
		name = string(one.Body)
	}
	file, err := os.ReadFile(name)
	switch {
	case err != nil:
		return nil, plugin.ErrPending
	case strings.HasPrefix(string(file), "yes"):
		return &plugin.Verdict{Right: &plugin.Right{}}, nil
	}
	return nil, plugin.ErrWrong
}
