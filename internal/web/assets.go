package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
)

//go:embed asset/*.css asset/*.js asset/*.svg
var assetFiles embed.FS

// assets are the files that pages load, at addresses that change with their
// content, so that browsers may keep them for good.
type assets struct {
	base string
	urls map[string]string // by name
	body map[string][]byte // by the last part of the address
}

func newAssets(base string) *assets {
	a := &assets{base: base + PathAssets, urls: map[string]string{}, body: map[string][]byte{}}
	files, _ := assetFiles.ReadDir("asset") //nolint:errcheck // embedded
	for _, f := range files {
		content, _ := assetFiles.ReadFile("asset/" + f.Name()) //nolint:errcheck // embedded
		a.add(f.Name(), content)
	}
	return a
}

// add keeps the content under a name like "page.css" and returns its address.
func (a *assets) add(name string, content []byte) string {
	sum := sha256.Sum256(content)
	ext := path.Ext(name)
	file := strings.TrimSuffix(name, ext) + "-" + hex.EncodeToString(sum[:6]) + ext
	a.body[file] = content
	a.urls[name] = a.base + file
	return a.base + file
}

func (a *assets) url(name string) string { return a.urls[name] }

var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// Handler answers PathAssets and PathLanguage. Mount it below Options.Base.
func (p *Pages) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+p.Path(PathAssets)+"{file}", p.serveAsset)
	mux.Handle("POST "+p.Path(PathLanguage), p.Protect(http.HandlerFunc(p.setLanguage)))
	mux.HandleFunc(p.options.Base, func(w http.ResponseWriter, r *http.Request) {
		p.Say(w, r, http.StatusNotFound, MessageNotFound)
	})
	return mux
}

func (p *Pages) serveAsset(w http.ResponseWriter, r *http.Request) {
	body, ok := p.assets.body[r.PathValue("file")]
	if !ok {
		p.Say(w, r, http.StatusNotFound, MessageNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", assetTypes[path.Ext(r.PathValue("file"))])
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	_, _ = w.Write(body) // a client that is gone needs no answer
}
