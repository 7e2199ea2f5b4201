// Command gallery serves every hosted page in every state on a loopback port, for
// looking at them:
//
//	go run ./internal/web/gallery [-listen 127.0.0.1:8088]
//
// The address of a page takes ?lang=de and ?brand=other. Forms lead nowhere.
package main

import (
	"context"
	"flag"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"postern/internal/web"
	"postern/internal/web/samples"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	flags := flag.NewFlagSet("gallery", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:8088", "address to listen on")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := serve(ctx, *listen, stdout); err != nil {
		fmt.Fprintln(stderr, "gallery:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, address string, stdout io.Writer) error {
	handler, err := newHandler()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "http://%s/\n", l.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(l); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

const base = "/2fa/"

// other is a second brand, to see that everything follows it.
var other = web.Brand{
	Name: "Fjord Hosting", Accent: "#5b3fd1", AccentDark: "#b7a6ff", Support: "mailto:help@fjord.example",
}

func newHandler() (http.Handler, error) {
	site, err := web.New(web.Options{Base: base, Brand: web.Brand{Support: "https://help.example.test"}})
	if err != nil {
		return nil, err
	}
	second, err := web.New(web.Options{Base: base, Brand: other})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(base, site.Handler())
	mux.HandleFunc("GET "+base+web.PathAssets+"{file}", func(w http.ResponseWriter, r *http.Request) {
		// The brands differ in one file only, and each knows its own.
		if assets := second.Handler(); r.PathValue("file") != "" && known(assets, r) {
			assets.ServeHTTP(w, r)
			return
		}
		site.Handler().ServeHTTP(w, r)
	})
	mux.HandleFunc("GET "+base+"sample/{name}", func(w http.ResponseWriter, r *http.Request) {
		pages := site
		if r.URL.Query().Get("brand") == "other" {
			pages = second
		}
		show(w, r, pages)
	})
	mux.HandleFunc("GET /{$}", index)
	return mux, nil
}

func known(h http.Handler, r *http.Request) bool {
	w := &status{header: http.Header{}}
	h.ServeHTTP(w, r)
	return w.code != http.StatusNotFound
}

// status is a ResponseWriter that keeps nothing but the status.
type status struct {
	header http.Header
	code   int
}

func (s *status) Header() http.Header         { return s.header }
func (s *status) Write(b []byte) (int, error) { return len(b), nil }
func (s *status) WriteHeader(code int)        { s.code = code }

func show(w http.ResponseWriter, r *http.Request, pages *web.Pages) {
	sample, ok := samples.Find(r.PathValue("name"))
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
<title>Gallery</title><h1>Gallery</h1><ul>{{range .}}<li><a href="/2fa/sample/{{.Name}}">{{.Name}}</a></li>{{end}}</ul>`))

func index(w http.ResponseWriter, _ *http.Request) {
	_ = list.Execute(w, samples.All())
}
