package browsertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"postern/internal/mailtest"
)

// shared is the Chromium of this test binary, nil until a test asks for it.
var shared struct {
	sync.Mutex
	ctx context.Context
}

// Main is mailtest.Main for a package whose tests have browsers: it ends Chromium
// too. Without it Chromium ends with the test binary, but leaves its directory.
func Main(m *testing.M) { mailtest.Main(closing{m}) }

// closing ends Chromium after the tests.
type closing struct{ m *testing.M }

func (c closing) Run() int {
	code := c.m.Run()
	stop()
	return code
}

// start returns the context of the running Chromium.
func start() (context.Context, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.ctx != nil {
		return shared.ctx, nil
	}
	// The context of the first run must have no deadline: Chromium lives as long.
	alloc, _ := chromedp.NewExecAllocator(context.Background(), flags()...)
	ctx, _ := chromedp.NewContext(alloc)
	if err := chromedp.Do(ctx); err != nil {
		return nil, fmt.Errorf("chromium: %w", err)
	}
	shared.ctx = ctx
	return ctx, nil
}

// stopTime is how long Chromium may take to end by itself.
const stopTime = 10 * time.Second

// stop ends Chromium, its children and its directory.
func stop() {
	shared.Lock()
	defer shared.Unlock()
	if shared.ctx == nil {
		return
	}
	ctx, cancel := context.WithTimeout(shared.ctx, stopTime)
	defer cancel()
	_ = chromedp.Cancel(ctx)
	chromedp.FromContext(shared.ctx).Allocator.Wait()
	shared.ctx = nil
}

// flags start a Chromium that talks to nobody but this machine. chromedp adds
// --no-sandbox for root, and a directory of its own.
func flags() []chromedp.ExecAllocatorOption {
	return append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"),
		chromedp.DisableGPU,
		chromedp.IgnoreCertErrors,
		chromedp.Flag("host-resolver-rules", "MAP *.example.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("lang", "en-US"),
		// A page from the back/forward cache is not loaded, which Back waits for.
		chromedp.Flag("disable-features", "Translate,BackForwardCache"),
		chromedp.WindowSize(desktop[0], desktop[1]),
	)
}
