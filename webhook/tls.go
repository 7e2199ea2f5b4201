package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync/atomic"

	"postern/internal/app"
	"postern/internal/daemon"
	"postern/internal/secretfile"
)

// certificate is that of webhook.listen; it can be replaced while connections go on.
type certificate struct {
	now atomic.Pointer[tls.Certificate]
}

// loadCertificate reads the configured certificate; nil if there is none.
func loadCertificate(cfg *app.Config) (*tls.Certificate, error) {
	w := cfg.Webhook
	if w.TLSCertFile == "" {
		return nil, nil //nolint:nilnil // plain, on loopback
	}
	chain, err := os.ReadFile(w.TLSCertFile)
	if err != nil {
		return nil, fmt.Errorf("webhook.tls_cert_file: %w", err)
	}
	key, err := secretfile.Read(w.TLSKeyFile)
	if err != nil {
		return nil, fmt.Errorf("webhook.tls_key_file: %w", err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("webhook.tls_cert_file and webhook.tls_key_file: %w", err)
	}
	return &pair, nil
}

// reload reads the certificate again. On an error the old one stays.
func (c *certificate) reload(cfg *app.Config) error {
	pair, err := loadCertificate(cfg)
	if err == nil {
		c.now.Store(pair)
	}
	return err
}

// config serves the certificate that is the latest at each handshake.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil }}
}

// listeners are those of the configuration or of systemd, TCP with TLS where there
// is a certificate. Readably over a network nothing is offered.
func (s *server) listeners() ([]net.Listener, error) {
	w := s.cfg.Webhook
	list, err := daemon.Listen{Section: "webhook", Socket: w.Socket, Listen: w.Listen, MaxConns: w.MaxConns}.Listeners()
	if err != nil {
		return nil, err
	}
	for i, l := range list {
		tcp, ok := l.Addr().(*net.TCPAddr)
		switch {
		case !ok:
		case s.certificate.now.Load() != nil:
			list[i] = tls.NewListener(l, s.certificate.config())
		case !tcp.IP.IsLoopback():
			return nil, fmt.Errorf("webhook.tls_cert_file: needed for %s: passwords would cross the network readably", l.Addr())
		}
	}
	return list, nil
}
