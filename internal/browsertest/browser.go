package browsertest

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"postern/internal/mailtest"
)

// patience is how long a step may take, on a machine that is busy.
const patience = 60 * time.Second

// Browser is one person's browser, with its first tab.
type Browser struct{ *Tab }

// New gives the test a browser without cookies, at a blank page.
func New(t testing.TB) *Browser {
	t.Helper()
	mailtest.Long(t)
	parent, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return &Browser{newTab(t, parent, chromedp.WithNewBrowserContext())}
}

// NewTab opens another tab, with the same cookies.
func (b *Browser) NewTab() *Tab {
	b.t.Helper()
	return newTab(b.t, b.ctx)
}

// Tab is a tab of a browser. Its methods are for one goroutine at a time; tabs are
// independent of each other.
type Tab struct {
	t      testing.TB
	ctx    context.Context
	width  int // of the viewport
	height int
	media  map[string]string
	problems
}

// newTab opens a tab, which is closed when the test ends.
func newTab(t testing.TB, parent context.Context, opts ...chromedp.ContextOption) *Tab {
	t.Helper()
	tab := &Tab{t: t, media: map[string]string{}}
	ctx, cancel := chromedp.NewContext(parent, append(opts, chromedp.WithListener(tab.listen))...)
	t.Cleanup(cancel)
	tab.ctx = ctx
	if err := chromedp.Do(ctx); err != nil { // opens it, with no deadline: it lives as long
		t.Fatalf("no tab: %v", err)
	}
	t.Cleanup(tab.picture)
	go tab.acceptDialogs(chromedp.Events(ctx, page.JavascriptDialogOpening))
	// Every tab behaves as if it were in front: clipboards and focus rings need it.
	tab.do("focus", call(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}))
	tab.SetViewport(desktop[0], desktop[1])
	return tab
}

// acceptDialogs says yes to everything that a page asks by alert and the like, and
// when it is left with something unsaved. Nothing goes on before.
func (tab *Tab) acceptDialogs(opening iter.Seq2[page.EventJavascriptDialogOpening, error]) {
	for _, err := range opening {
		if err != nil {
			return
		}
		_, _ = try(tab, call(page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true}))
	}
}

// do runs steps in the tab and fails the test if they do not succeed in time. What
// says which step it was.
func (tab *Tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	_ = run(tab, what, chromedp.Steps(steps...))
}

// run is do for a step that returns something.
func run[T any](tab *Tab, what string, step chromedp.Action[T]) T {
	tab.t.Helper()
	v, err := try(tab, step)
	if err != nil {
		tab.t.Fatalf("%s: %v\n%s", what, err, tab.describe())
	}
	return v
}

// try is run for a step that may fail.
func try[T any](tab *Tab, step chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, step)
}
