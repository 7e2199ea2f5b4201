package browsertest

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Go opens an address, waits until the page is loaded and returns its HTTP status.
func (tab *Tab) Go(url string) int {
	tab.t.Helper()
	res, err := try(tab, chromedp.NavigateResponse(url))
	for n := 0; n < 3 && err != nil && strings.Contains(err.Error(), "net::ERR_ABORTED"); n++ {
		// The end of a form's post that was still under way aborts what was begun after it.
		res, err = try(tab, chromedp.NavigateResponse(url))
	}
	if err != nil {
		tab.t.Fatalf("go to %s: %v\n%s", url, err, tab.describe())
	}
	return status(res)
}

// Address makes the tab's requests come from another address, where mailtest's
// nginx takes them.
func (tab *Tab) Address(ip string) {
	tab.t.Helper()
	tab.do("address", call(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"X-Test-Address": ip}}))
}

// Reload loads the page again. A page that a form was posted to posts it again.
func (tab *Tab) Reload() {
	tab.t.Helper()
	tab.do("reload", chromedp.Reload())
}

// Back goes back in the tab's history.
func (tab *Tab) Back() {
	tab.t.Helper()
	tab.do("back", chromedp.NavigateBack())
}

// Follow clicks on what leads to another page, waits until that is loaded and
// returns its HTTP status. Redirections are followed, scripts that go on from there
// are not: wait for what they lead to.
func (tab *Tab) Follow(selector string) int {
	tab.t.Helper()
	res := run(tab, "follow "+selector, func(ctx context.Context, _ *chromedp.Target) (*network.Response, error) {
		return chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector)))
	})
	return status(res)
}

// status is that of a response, 0 without one.
func status(res *network.Response) int {
	if res == nil {
		return 0
	}
	return int(res.Status)
}

// Click clicks on an element once it is visible.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	tab.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Fill types a text into a field, in place of what it held.
func (tab *Tab) Fill(selector, text string) {
	tab.t.Helper()
	sel := chromedp.CSS(selector)
	// What is selected is replaced by what is typed.
	tab.do("fill "+selector, chromedp.WaitVisible(sel), chromedp.Focus(sel),
		chromedp.Evaluate[chromedp.Void]("document.activeElement.select()"), chromedp.KeyEvent(cmp.Or(text, kb.Delete)))
}

// Type sends keys to whatever has the focus: characters, and keys like kb.Tab.
func (tab *Tab) Type(keys string) {
	tab.t.Helper()
	tab.do("type", chromedp.KeyEvent(keys))
}

// Select chooses the option of a selection field that has a value.
func (tab *Tab) Select(selector, value string) {
	tab.t.Helper()
	Eval[bool](tab, fmt.Sprintf(`(() => { const s = document.querySelector(%q); s.value = %q;
		s.dispatchEvent(new Event("change", {bubbles: true})); return s.value === %[2]q })()`, selector, value))
}

// Text is the text that people see of the first element that matches, once there
// is one.
func (tab *Tab) Text(selector string) string {
	tab.t.Helper()
	return strings.TrimSpace(run(tab, "text of "+selector, chromedp.Text(chromedp.CSS(selector))))
}

// Value is what a field holds.
func (tab *Tab) Value(selector string) string {
	tab.t.Helper()
	return run(tab, "value of "+selector, chromedp.Value(chromedp.CSS(selector)))
}

// Attribute is an attribute of an element, empty without it.
func (tab *Tab) Attribute(selector, name string) string {
	tab.t.Helper()
	return run(tab, name+" of "+selector, chromedp.AttributeValue(chromedp.CSS(selector), name)).Value
}

// HTML is the page's source as it is now.
func (tab *Tab) HTML() string {
	tab.t.Helper()
	return run(tab, "source", chromedp.OuterHTML(chromedp.CSS("html")))
}

// Title is the page's title.
func (tab *Tab) Title() string {
	tab.t.Helper()
	return run(tab, "title", chromedp.Title())
}

// URL is the page's address.
func (tab *Tab) URL() string {
	tab.t.Helper()
	return run(tab, "address", chromedp.Location())
}

// Has reports whether an element is there now. It does not wait.
func (tab *Tab) Has(selector string) bool {
	tab.t.Helper()
	return Eval[bool](tab, fmt.Sprintf("document.querySelector(%q) !== null", selector))
}

// WaitFor waits until an element is visible.
func (tab *Tab) WaitFor(selector string) {
	tab.t.Helper()
	tab.do("wait for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

// WaitGone waits until no such element is visible.
func (tab *Tab) WaitGone(selector string) {
	tab.t.Helper()
	tab.wait("the end of "+selector, fmt.Sprintf(`![...document.querySelectorAll(%q)].some(e => e.checkVisibility())`, selector))
}

// WaitText waits until the text of an element contains another.
func (tab *Tab) WaitText(selector, text string) {
	tab.t.Helper()
	tab.wait(fmt.Sprintf("%q in %s", text, selector),
		fmt.Sprintf(`[...document.querySelectorAll(%q)].some(e => e.innerText.includes(%q))`, selector, text))
}

// WaitURL waits until the page's address contains a text, and the page is loaded.
func (tab *Tab) WaitURL(text string) {
	tab.t.Helper()
	tab.wait("address "+text, fmt.Sprintf(`location.href.includes(%q) && document.readyState === "complete"`, text))
}

// Until waits until a JavaScript expression is true. What a page does once it is
// loaded, such as to set the focus, may come late.
func (tab *Tab) Until(what, expression string) {
	tab.t.Helper()
	tab.wait(what, expression)
}

// wait polls a condition, across pages: an expression that is asked while one
// page gives way to the next fails, and is asked again.
func (tab *Tab) wait(what, expression string) {
	tab.t.Helper()
	for end := time.Now().Add(patience); ; {
		ok, err := try(tab, chromedp.Evaluate[bool](expression))
		if err == nil && ok {
			return
		}
		if time.Now().After(end) {
			tab.t.Fatalf("wait for %s: %v\n%s", what, err, tab.describe())
		}
		select {
		case <-tab.ctx.Done():
			tab.t.Fatalf("wait for %s: %v", what, tab.ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Eval is the value of a JavaScript expression in the page; of a promise, what it
// comes to.
func Eval[T any](tab *Tab, expression string) T {
	tab.t.Helper()
	return run(tab, expression, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// JavaScript switches the pages' scripts off, or on again, from the next page on.
func (tab *Tab) JavaScript(on bool) {
	tab.t.Helper()
	tab.do("JavaScript", call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}))
}

// call is a command of the DevTools protocol whose result nobody needs.
func call[P, R any](cmd cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, cmd, params)
		return err
	})
}

// ask is a command whose result is needed.
func ask[P, R any](cmd cdp.Command[P, R], params P) chromedp.Action[R] {
	return func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, cmd, params) }
}
