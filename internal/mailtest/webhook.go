package mailtest

import (
	"context"
)

// Webhook is a running webhook: the hook API and the pages.
type Webhook struct {
	daemon
	// Socket is its unix socket, Listen its TCP address; both answer alike.
	Socket, Listen string
}

// StartWebhook starts the program on a configuration, which names the socket and
// the address, and waits until /readyz says that logins can be answered.
func StartWebhook(ctx context.Context, binary string, c *Config) (*Webhook, error) {
	w := &Webhook{
		daemon: daemon{name: "webhook", binary: binary, config: c, dial: dialer(c.WebhookSocket, c.WebhookListen)},
		Socket: c.WebhookSocket, Listen: c.WebhookListen,
	}
	if err := w.start(ctx, "/readyz"); err != nil {
		return nil, err
	}
	return w, nil
}

// URL is the address of the hook API over TCP, with a / at the end.
func (w *Webhook) URL() string { return "http://" + w.Listen + "/" }
