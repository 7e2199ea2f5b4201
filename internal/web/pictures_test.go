package web_test

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/internal/browsertest"
	"postern/internal/web"
	"postern/internal/web/samples"
)

// pictures is where make pictures wants docs/pages.md's.
var pictures = flag.String("pictures", "", "directory to write a picture of each page to, wide and narrow")

// pictured has a sample for each template that is a page.
var pictured = map[string]string{
	"signin": "signin-totp", "passkey": "passkey", "start": "start", "message": "message-expired",
	"enrol": "enrol", "enroltotp": "enrol-totp", "enrolpasskey": "enrol-passkey", "enrolplugin": "enrol-plugin", "backupcodes": "backup-codes",
	"enroldone": "enrol-done", "enroltoken": "enrol-token",
	"security": "security", "confirm": "confirm-totp", "rename": "rename", "remove": "remove-passkey", "ask": "ask-disable-1",
	"appnew": "app-new", "appcreated": "app-created", "profile": "profile",
	"adminlist": "admin-list", "adminaccount": "admin-account", "adminchange": "admin-change-reset", "adminshow": "admin-token-reset",
	"admintotp": "admin-totp", "adminbulk": "admin-bulk-reset", "admindone": "admin-done", "adminpolicy": "admin-policy",
}

// The widths of the pictures, how high one may be, both in CSS pixels, and their
// colours.
const (
	wide, narrow = 1024, 360
	highest      = 4000
	colours      = 128
)

// TestPictures: docs/pages.md shows every page, wide and narrow, in pictures that
// are small. With -pictures it takes them.
func TestPictures(t *testing.T) {
	if *pictures != "" {
		takePictures(t, *pictures)
	}
	templates, err := filepath.Glob("template/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range templates {
		view := strings.TrimSuffix(filepath.Base(path), ".html")
		if _, ok := pictured[view]; !ok && view != "layout" && view != "parts" && view != "adminparts" {
			t.Errorf("no picture of the page %s", view)
		}
	}
	doc, err := os.ReadFile("../../docs/pages.md")
	if err != nil {
		t.Fatal(err)
	}
	for view := range pictured {
		for _, width := range []string{"wide", "narrow"} {
			name := view + "-" + width + ".png"
			if !strings.Contains(string(doc), "pictures/"+name) {
				t.Errorf("docs/pages.md does not show %s", name)
			}
			if info, err := os.Stat("../../docs/pictures/" + name); err != nil || info.Size() > 160_000 {
				t.Errorf("%s: %v, or too large", name, err)
			}
		}
	}
}

// takePictures writes all of them. What a site may have and Postern does not bring
// along is left out.
func takePictures(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	pages := map[string]web.Page{}
	for view, name := range pictured {
		sample, ok := samples.Find(name)
		if !ok {
			t.Fatalf("no sample %s", name)
		}
		pages[view] = plainly(sample.Page)
	}
	s := newSite(t, pages)
	b := browsertest.New(t)
	for _, view := range slices.Sorted(maps.Keys(pages)) {
		for width, pixels := range map[string]int{"wide": wide, "narrow": narrow} {
			b.SetViewport(pixels, 600)
			b.Go(s.URL + "/2fa/own/" + view)
			height := min(highest, browsertest.Eval[int](b.Tab, "document.documentElement.scrollHeight"))
			shrink(t, b.Screenshot("page-"+view, pixels, height), filepath.Join(dir, view+"-"+width+".png"))
		}
	}
	b.NoProblems()
}

// plainly is a sample without what needs more than Postern.
func plainly(p web.Page) web.Page {
	switch p := p.(type) {
	case *web.Security:
		own := *p
		own.Plugins = nil
		return &own
	default:
		return p
	}
}

// shrink writes a picture with few colours, the commonest there are and for each
// other one the nearest of them: what a page has besides is the edges of letters.
func shrink(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	full, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	count := map[color.Color]int{}
	bounds := full.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[full.At(x, y)]++
		}
	}
	palette := color.Palette(slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return cmp.Compare(count[b], count[a]) }))
	small := image.NewPaletted(bounds, palette[:min(len(palette), colours)])
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			small.Set(x, y, full.At(x, y))
		}
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
