package mailtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// NginxOptions say what is behind the web server.
type NginxOptions struct {
	// Webhooks are the webhooks' addresses, host:port or the absolute path of a unix
	// socket. They take turns. Without any, contrib's snippet is not loaded.
	Webhooks []string
	// Webmail is the port of Roundcube's PHP. 0: there is no webmail.
	Webmail int
	// Extra is configuration text inside the server block.
	Extra string
}

// Nginx is a running web server, which shows webmail and Postern's pages under one
// host, plainly and over TLS.
type Nginx struct {
	// Dir holds its configuration and logs.
	Dir string
	// Port and TLSPort are its loopback ports. CAFile is the authority of its
	// certificate.
	Port, TLSPort int
	CAFile        string

	options NginxOptions
	certs   certificates
	ports   ports
	proc    *process
}

// PrepareNginx makes its directory and chooses its ports, but starts nothing: so
// that the webhook can be told its public address.
func PrepareNginx() (*Nginx, error) {
	dir, err := makeDir("/tmp")
	if err != nil {
		return nil, err
	}
	n := &Nginx{Dir: dir}
	if err = n.ports.takeAll(&n.Port, &n.TLSPort); err == nil {
		n.certs, err = makeCertificates(dir)
		n.CAFile = n.certs.CA
	}
	if err != nil {
		n.Stop()
		return nil, err
	}
	return n, nil
}

// StartNginx starts a web server.
func StartNginx(ctx context.Context, o NginxOptions) (*Nginx, error) {
	n, err := PrepareNginx()
	if err != nil {
		return nil, err
	}
	if err := n.Start(ctx, o); err != nil {
		n.Stop()
		return nil, err
	}
	return n, nil
}

// Start configures and starts a prepared web server, or again one that runs, with
// other options.
func (n *Nginx) Start(ctx context.Context, o NginxOptions) (err error) {
	n.proc.kill()
	n.options = o
	if err := n.writeConfig(); err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	cmd := exec.Command("/usr/sbin/nginx", "-p", n.Dir, "-c", filepath.Join(n.Dir, "nginx.conf"), "-e", filepath.Join(n.Dir, "error.log"))
	if n.proc, err = startProcess("nginx", cmd); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := n.proc.await(ctx, func() error { return answers("tcp", loopback(n.Port)) }); err != nil {
		return fmt.Errorf("%w\n%s", err, n.Log())
	}
	return nil
}

// URL is its plain address as a browser should know it, with a / at the end: as
// localhost it counts as secure, as 127.0.0.1 it could have no passkeys.
func (n *Nginx) URL() string { return "http://localhost:" + strconv.Itoa(n.Port) + "/" }

// TLSURL is its address over TLS, of a name that the tests' browser knows.
func (n *Nginx) TLSURL() string {
	return "https://mail.example.test:" + strconv.Itoa(n.TLSPort) + "/"
}

// Log is what it has logged so far: who asked for what, and errors.
func (n *Nginx) Log() string {
	access, _ := os.ReadFile(filepath.Join(n.Dir, "access.log"))
	complaints, _ := os.ReadFile(filepath.Join(n.Dir, "error.log"))
	return string(access) + string(complaints)
}

// Stop ends it at once and removes its files.
func (n *Nginx) Stop() {
	n.proc.kill()
	n.ports.release()
	_ = os.RemoveAll(n.Dir)
}

// writeConfig writes the server's configuration and contrib's snippets.
func (n *Nginx) writeConfig() error {
	files := map[string]string{"nginx.conf": n.config()}
	if len(n.options.Webhooks) > 0 {
		pages, err := contrib("nginx/postern.conf", "http://unix:/run/postern/webhook.sock:", "http://webhooks",
			"include snippets/", "include "+n.Dir+"/")
		if err != nil {
			return err
		}
		proxy, err := contrib("nginx/postern-proxy.conf")
		if err != nil {
			return err
		}
		files["postern.conf"], files["postern-proxy.conf"] = pages, proxy
	}
	return writeFiles(n.Dir, files)
}

// config is nginx.conf.
func (n *Nginx) config() string {
	pages, webmail := "", ""
	if len(n.options.Webhooks) > 0 {
		pages = "include @DIR@/postern.conf;"
	}
	if n.options.Webmail != 0 {
		webmail = nginxWebmail
	}
	text := strings.NewReplacer("@UPSTREAM@", n.upstream(), "@PAGES@", pages, "@LOCATION@", webmail, "@EXTRA@", n.options.Extra).
		Replace(nginxConfig)
	return strings.NewReplacer("@DIR@", n.Dir, "@PORT@", loopback(n.Port), "@TLSPORT@", loopback(n.TLSPort),
		"@CERT@", n.certs.Cert, "@KEY@", n.certs.Key, "@WEBMAIL@", loopback(n.options.Webmail)).Replace(text)
}

// upstream is the block with the webhooks' addresses. A webhook that was down is
// asked again at once when it is back.
func (n *Nginx) upstream() string {
	if len(n.options.Webhooks) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("upstream webhooks {\n")
	for _, w := range n.options.Webhooks {
		if strings.HasPrefix(w, "/") {
			w = "unix:" + w
		}
		fmt.Fprintf(&b, "\t\tserver %s max_fails=0;\n", w)
	}
	return b.String() + "\t}"
}

// nginxConfig keeps everything in one directory. The workers stay root, who may
// enter the other servers' directories. Browsers that say so come from another
// address: their own is always this machine's.
const nginxConfig = `daemon off;
user root;
worker_processes 1;
pid @DIR@/pid;
events {}
http {
	access_log @DIR@/access.log;
	client_body_temp_path @DIR@/tmp-body;
	proxy_temp_path @DIR@/tmp-proxy;
	fastcgi_temp_path @DIR@/tmp-fastcgi;
	uwsgi_temp_path @DIR@/tmp-uwsgi;
	scgi_temp_path @DIR@/tmp-scgi;
	@UPSTREAM@
	server {
		listen @PORT@;
		listen @TLSPORT@ ssl;
		server_name localhost mail.example.test;
		ssl_certificate @CERT@;
		ssl_certificate_key @KEY@;
		set_real_ip_from 127.0.0.0/8;
		real_ip_header X-Test-Address;
		@PAGES@
		@LOCATION@
		@EXTRA@
	}
}
`

// nginxWebmail passes everything else on to PHP. Browsers keep what has a time in
// its address, two megabytes for each page: PHP's own server does not tell them to.
const nginxWebmail = `proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $remote_addr;
		proxy_set_header X-Forwarded-Proto $scheme;
		client_max_body_size 20m;
		location / {
			proxy_pass http://@WEBMAIL@;
		}
		location ~ "\.(css|js|svg|png|woff2)$" {
			proxy_pass http://@WEBMAIL@;
			expires 1h;
		}`
