package browsertest

import (
	"fmt"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Problem is something that the developer tools would show in red.
type Problem struct {
	// Source is "exception", "console", or the part of Chromium that complains:
	// "security" for violations of a content security policy, "network" for what
	// could not be loaded or was answered by 400 or more, and others.
	Source string
	Text   string
	// URL is what it is about, if known.
	URL string
}

func (p Problem) String() string { return fmt.Sprintf("%s: %s (%s)", p.Source, p.Text, p.URL) }

// problems are those that a tab has had.
type problems struct {
	mu  sync.Mutex
	all []Problem
}

// listen sees every event of the tab, in order.
func (ps *problems) listen(ev any) {
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		ps.add(exception(ev.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeAssert {
			ps.add(Problem{Source: "console", Text: arguments(ev.Args)})
		}
	case *log.EventEntryAdded:
		// Every browser asks for /favicon.ico; no site need have one.
		if e := ev.Entry; e.Level == log.EntryLevelError && !strings.HasSuffix(e.URL, "/favicon.ico") {
			ps.add(Problem{Source: string(e.Source), Text: e.Text, URL: e.URL})
		}
	}
}

// add notes a problem.
func (ps *problems) add(p Problem) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.all = append(ps.all, p)
}

// exception is what a script threw.
func exception(d *runtime.ExceptionDetails) Problem {
	p := Problem{Source: "exception", Text: d.Text, URL: d.URL}
	if d.Exception != nil {
		p.Text += " " + d.Exception.Description
	}
	return p
}

// arguments are what console.error was given.
func arguments(args []*runtime.RemoteObject) string {
	var texts []string
	for _, a := range args {
		if a.Description != "" {
			texts = append(texts, a.Description)
		} else {
			texts = append(texts, string(a.Value))
		}
	}
	return strings.Join(texts, " ")
}

// Problems are those of all the tab's pages so far.
func (tab *Tab) Problems() []Problem {
	tab.t.Helper()
	// An answer comes after the events that were there before the question.
	tab.do("problems", chromedp.Evaluate[chromedp.Void]("0"))
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return append([]Problem(nil), tab.all...)
}

// NoProblems fails the test if a page of the tab had a problem: a script that
// failed, a violation of the content security policy, something not found. Those
// which contain one of the texts are allowed; "status of 4" are pages whose HTTP
// status says that somebody has typed something wrong.
func (tab *Tab) NoProblems(allowed ...string) {
	tab.t.Helper()
	for _, p := range tab.Problems() {
		if !containsAny(p.String(), allowed) {
			tab.t.Errorf("the browser complains: %s", p)
		}
	}
}

// containsAny reports whether a text contains one of the others.
func containsAny(text string, others []string) bool {
	for _, o := range others {
		if strings.Contains(text, o) {
			return true
		}
	}
	return false
}
