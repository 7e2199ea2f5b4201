package browsertest

import (
	"context"
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// Download is a file that the browser has saved.
type Download struct {
	Name    string // as the page suggests it
	Content []byte
}

// Download clicks on an element that makes the browser save a file, and returns
// that.
func (b *Browser) Download(selector string) Download {
	b.t.Helper()
	dir := b.t.TempDir()
	return run(b.Tab, "download by "+selector, func(ctx context.Context, _ *chromedp.Target) (Download, error) {
		_, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
			Behavior: browser.SetDownloadBehaviorBehaviorAllowAndName, BrowserContextID: b.contextID(),
			DownloadPath: dir, EventsEnabled: new(true),
		})
		if err != nil {
			return Download{}, err
		}
		return download(ctx, dir, selector)
	})
}

// download clicks and waits for the file, whose name in the directory is the
// download's id.
func download(ctx context.Context, dir, selector string) (Download, error) {
	var d Download
	begins := chromedp.BrowserEvents(ctx, browser.DownloadWillBegin)
	progress := chromedp.BrowserEvents(ctx, browser.DownloadProgress)
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		return d, err
	}
	for ev, err := range begins {
		if err != nil {
			return d, err
		}
		d.Name = ev.SuggestedFilename
		break
	}
	for ev, err := range progress {
		if err != nil {
			return d, err
		}
		if path := filepath.Join(dir, ev.GUID); ev.State == browser.DownloadProgressStateCompleted {
			d.Content, err = os.ReadFile(path)
			return d, err
		}
	}
	return d, ctx.Err()
}

// Clipboard is the text that a page has copied.
func (b *Browser) Clipboard() string {
	b.t.Helper()
	b.do("permission to read the clipboard", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.CallBrowser(ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: "clipboard-read"},
			Setting:    browser.PermissionSettingGranted, BrowserContextID: b.contextID(),
		})
		return err
	}))
	return Eval[string](b.Tab, "navigator.clipboard.readText()")
}
