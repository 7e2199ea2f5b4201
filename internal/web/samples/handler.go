package samples

import (
	"html/template"
	"net/http"

	"postern/internal/web"
)

// Base is where Handler serves the pages of the site's own brand, OtherBase those
// of another one.
const (
	Base      = "/2fa/"
	OtherBase = "/other/"
)

var brands = map[string]web.Brand{
	Base:      {Support: "https://help.example.test"},
	OtherBase: {Name: "Fjord Hosting", Accent: "#5b3fd1", AccentDark: "#b7a6ff", Support: "mailto:help@fjord.example"},
}

// Handler serves every sample at Base + "sample/" + its name, and a list of them at
// "/". The query lang=de chooses the language.
func Handler() (http.Handler, error) {
	mux := http.NewServeMux()
	for base, brand := range brands {
		pages, err := web.New(web.Options{Base: base, Brand: brand})
		if err != nil {
			return nil, err
		}
		mux.Handle(base, pages.Handler())
		mux.HandleFunc("GET "+base+"sample/{name}", func(w http.ResponseWriter, r *http.Request) { show(w, r, pages) })
	}
	mux.HandleFunc("GET /{$}", index)
	return mux, nil
}

func show(w http.ResponseWriter, r *http.Request, pages *web.Pages) {
	sample, ok := Find(r.PathValue("name"))
	if !ok {
		pages.Say(w, r, http.StatusNotFound, web.MessageNotFound)
		return
	}
	if lang := r.URL.Query().Get("lang"); lang != "" {
		r.Header.Set("Accept-Language", lang)
	}
	if err := pages.Render(w, r, http.StatusOK, sample.Page); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

var list = template.Must(template.New("").Parse(`<!DOCTYPE html><meta name="color-scheme" content="light dark">
<title>Gallery</title><h1>Gallery</h1><ul>{{range .}}<li><a href="/2fa/sample/{{.Name}}">{{.Name}}</a>
(<a href="/other/sample/{{.Name}}">another brand</a>)</li>{{end}}</ul>`))

func index(w http.ResponseWriter, _ *http.Request) {
	_ = list.Execute(w, All()) // a browser that is gone needs no list
}
