package browsertest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// The usual viewports, width and height in CSS pixels.
var (
	desktop = [2]int{1280, 800}
	phone   = [2]int{360, 740}
)

// mobileWidth is the width below which a viewport is a telephone's.
const mobileWidth = 600

// Phone makes the tab a telephone's: 360 pixels wide.
func (tab *Tab) Phone() {
	tab.t.Helper()
	tab.SetViewport(phone[0], phone[1])
}

// Desktop makes the tab what it began as: 1280 pixels wide.
func (tab *Tab) Desktop() {
	tab.t.Helper()
	tab.SetViewport(desktop[0], desktop[1])
}

// SetViewport sets the size of what is seen of the page, in CSS pixels. Narrow
// ones behave like a telephone: by touch, and with the page's own viewport tag.
func (tab *Tab) SetViewport(width, height int) {
	tab.t.Helper()
	tab.width, tab.height = width, height
	opts := []chromedp.EmulateViewportOption{}
	if width < mobileWidth {
		opts = append(opts, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait)
	}
	tab.do("viewport", chromedp.EmulateViewport(int64(width), int64(height), opts...))
}

// Dark makes the page believe that its reader prefers dark colours, or no longer.
func (tab *Tab) Dark(on bool) {
	tab.t.Helper()
	tab.Media("prefers-color-scheme", map[bool]string{true: "dark", false: "light"}[on])
}

// Media sets a media feature, such as prefers-reduced-motion to reduce or
// forced-colors to active.
func (tab *Tab) Media(feature, value string) {
	tab.t.Helper()
	tab.media[feature] = value
	var all []*emulation.MediaFeature
	for _, name := range slices.Sorted(maps.Keys(tab.media)) {
		all = append(all, &emulation.MediaFeature{Name: name, Value: tab.media[name]})
	}
	tab.do("media", call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: all}))
}

// Language makes the browser ask for pages in a language, such as "de" or
// "fr-CA, fr;q=0.8".
func (tab *Tab) Language(accept string) {
	tab.t.Helper()
	agent := Eval[string](tab, "navigator.userAgent")
	tab.do("language", call(emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: accept}))
}

// Overflow is by how many pixels the page is wider than the viewport; people would
// have to scroll sideways.
func (tab *Tab) Overflow() int {
	tab.t.Helper()
	return Eval[int](tab, "document.documentElement.scrollWidth - document.documentElement.clientWidth")
}

// Screenshot takes a picture of the page in a viewport, whole if height is 0, and
// returns its file, build/screenshots/NAME-WIDTH.png of the clone. The viewport is
// then as it was.
func (tab *Tab) Screenshot(name string, width, height int) string {
	tab.t.Helper()
	was := [2]int{tab.width, tab.height}
	defer func() { tab.SetViewport(was[0], was[1]) }()
	shot := chromedp.CaptureScreenshot()
	if height == 0 {
		height, shot = desktop[1], chromedp.FullScreenshot(100)
	}
	tab.SetViewport(width, height)
	tab.settle()
	png := run(tab, "screenshot", shot)
	path, err := writePicture(fmt.Sprintf("%s-%d", name, width), png)
	if err != nil {
		tab.t.Fatal(err)
	}
	return path
}

// settle waits for fonts and pictures, and for nothing that moves: what is to end
// ends at once.
func (tab *Tab) settle() {
	tab.t.Helper()
	Eval[bool](tab, `document.fonts.ready
		.then(() => Promise.all([...document.images].map(i => i.decode().catch(() => 0))))
		.then(() => document.getAnimations().forEach(a => { try { a.finish() } catch { a.cancel() } }))
		.then(() => true)`)
}

// picture is taken of the tab when its test has failed.
func (tab *Tab) picture() {
	if !tab.t.Failed() || tab.ctx.Err() != nil {
		return
	}
	png, err := try(tab, chromedp.CaptureScreenshot())
	if err == nil {
		var path string
		if path, err = writePicture("failed-"+tab.t.Name(), png); err == nil {
			tab.t.Logf("the browser shows %s\n%s", path, tab.describe())
			return
		}
	}
	tab.t.Logf("no picture of the page: %v", err)
}

// writePicture writes a file below build/screenshots.
func writePicture(name string, png []byte) (string, error) {
	dir, err := buildDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, strings.NewReplacer("/", "-", " ", "-").Replace(name)+".png")
	return path, os.WriteFile(path, png, 0o644)
}

// buildDir makes build/screenshots of the clone.
func buildDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			shots := filepath.Join(dir, "build", "screenshots")
			return shots, os.MkdirAll(shots, 0o755)
		}
		if dir == "/" {
			return "", fmt.Errorf("browsertest: not inside a Go module")
		}
	}
}

// describe says where the tab is and what people see there, for failures.
func (tab *Tab) describe() string {
	ctx, cancel := context.WithTimeout(tab.ctx, patience/10)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.title + "\n" + document.body?.innerText.slice(0, 1500)`))
	if err != nil {
		text = err.Error()
	}
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return fmt.Sprintf("%s\n%v", text, tab.all)
}
