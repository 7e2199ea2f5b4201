package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"

	"postern/internal/app"
)

// daemons asks both whether they are ready, and policyserver whether Dovecot may ask.
func (e *examination) daemons(ctx context.Context) {
	p := e.Config.Policyserver
	if p.Socket != "" {
		if e.ready(ctx, "policyserver", p.Socket) {
			e.mayAsk(ctx, p.Socket)
			e.coreFiles("policyserver", p.Socket)
		}
	}
	if p.Listen != "" {
		e.ready(ctx, "policyserver", p.Listen)
	}
	if e.Config.Webhook.PublicURL == "" {
		return
	}
	if w := e.Config.Webhook; w.Socket != "" {
		if e.ready(ctx, "webhook", w.Socket) {
			e.coreFiles("webhook", w.Socket)
		}
	} else if w.Listen != "" && w.TLSCertFile == "" {
		e.ready(ctx, "webhook", w.Listen)
	}
	if err := e.Config.CheckAuthSocket(ctx); err != nil {
		e.wrong("auth-question", e.Config.Login.AuthSocket, err.Error())
	} else if e.Config.Login.MainPassword != app.MainByBind {
		e.ok("auth-question", e.Config.Login.AuthSocket, "Dovecot can be asked about main passwords")
	}
}

// unixClient sends every request to a unix socket.
func unixClient(path string) *http.Client {
	c := probeClient()
	c.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	return c
}

// ready asks /readyz, at a socket's path or a TCP address.
func (e *examination) ready(ctx context.Context, name, where string) bool {
	client, base := probeClient(), "http://"+where
	if strings.HasPrefix(where, "/") {
		client, base = unixClient(where), "http://"+name
	}
	subject := name + " at " + where
	began := e.Now()
	res, err := get(ctx, client, base+"/readyz")
	if err != nil {
		if errors.Is(err, syscall.EACCES) {
			e.unchecked("daemon", subject, "this user may not connect")
			return false
		}
		e.wrong("daemon", subject, "does not answer: "+cause(err))
		return false
	}
	defer res.Body.Close()
	e.httpClock(name, res, began)
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 300))
		e.wrong("daemon", subject, "is not ready: "+strings.TrimSpace(string(b)))
		return false
	}
	e.ok("daemon", subject, "is ready")
	return true
}

func get(ctx context.Context, c *http.Client, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

// mayAsk asks /verify about nobody, as this user.
func (e *examination) mayAsk(ctx context.Context, socket string) {
	form := url.Values{"user": {probeName}, "lookup": {"1"}, "service": {"doveadm"}, "door": {"doctor"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://policyserver/verify", strings.NewReader(form.Encode()))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := unixClient(socket).Do(req)
	if err != nil {
		e.wrong("verify", socket, "does not answer a question: "+cause(err))
		return
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(res.Body, 300))
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		e.unchecked("verify", socket, fmt.Sprintf("uid %d may not ask here: run doctor as one of policyserver.socket_users", os.Getuid()))
	case strings.HasPrefix(string(b), "denied") || strings.HasPrefix(string(b), "next"):
		e.ok("verify", socket, "questions are answered")
	default:
		e.wrong("verify", socket, "a question about nobody is answered with "+strconv.Quote(strings.TrimSpace(string(b))))
	}
}

// coreFiles: a daemon's memory holds keys, and must not be written to disk. The
// listener's credentials are systemd's where it made the socket.
func (e *examination) coreFiles(name, socket string) {
	pid, err := listenerPID(socket)
	if err != nil {
		e.unchecked("core-files", name, err.Error())
		return
	}
	if pid == 1 {
		if pid, err = unitPID("postern-" + name + ".service"); err != nil {
			e.unchecked("core-files", name, err.Error())
			return
		}
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		e.unchecked("core-files", name, err.Error())
		return
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
			if f := strings.Fields(rest); len(f) > 0 && f[0] == "0" {
				e.ok("core-files", name, "writes no core files")
				return
			}
		}
	}
	e.wrong("core-files", name, "may write core files, which hold the keys")
}

// unitPID asks systemd for a unit's main process.
func unitPID(unit string) (int, error) {
	out, err := output(context.Background(), "systemctl", "show", "-P", "MainPID", unit)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil || pid == 0 {
		return 0, errors.New("systemd knows no running " + unit)
	}
	return pid, nil
}

// listenerPID is the process that listens on a unix socket (SO_PEERCRED, unix(7)).
func listenerPID(path string) (int, error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("no unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}

// sessions: whether live sessions can be ended.
func (e *examination) sessions(ctx context.Context) {
	if !e.Config.Sessions.On() {
		e.warn("sessions", "sessions.doveadm", "is not set: what is revoked goes on in mail programs until they reconnect")
		return
	}
	hosts, err := e.Config.Doveadms()
	if err != nil {
		e.wrong("sessions", "sessions.doveadm_key_file", err.Error())
		return
	}
	for _, h := range hosts {
		ctx, cancel := context.WithTimeout(ctx, probeTime)
		err := h.Ping(ctx)
		cancel()
		if err != nil {
			e.wrong("sessions", h.Host(), "cannot be told to end sessions: "+err.Error())
			continue
		}
		e.ok("sessions", h.Host(), "can be told to end sessions")
	}
}

// onThisHost reports whether an address does not leave the host, as in a demo.
func onThisHost(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// webhook: the pages must be where browsers look for them. Not every host reaches its
// own public address.
func (e *examination) webhook(ctx context.Context) {
	w := e.Config.Webhook
	if w.PublicURL == "" {
		return
	}
	for name, c := range w.Clients {
		for _, u := range c.ReturnURLs {
			if strings.HasPrefix(u, "http://") && !onThisHost(u) {
				e.warn("return-url", "webhook.clients."+name, u+" is not https: whoever listens reads the one-time code")
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	res, err := get(ctx, probeClient(), w.PublicURL+"livez")
	var bad *tls.CertificateVerificationError
	switch {
	case errors.As(err, &bad):
		e.wrong("public-url", w.PublicURL, "its certificate is not believed: "+cause(err))
	case err != nil:
		e.unchecked("public-url", w.PublicURL, "cannot be reached from this host: "+cause(err))
	default:
		defer res.Body.Close()
		if res.StatusCode >= http.StatusInternalServerError {
			e.wrong("public-url", w.PublicURL, "answers "+res.Status+": the proxy before the webhook does not reach it")
			return
		}
		e.ok("public-url", w.PublicURL, "can be reached")
	}
}
