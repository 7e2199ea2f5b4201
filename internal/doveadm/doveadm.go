// Package doveadm tells Dovecot to end sessions, by doveadm's HTTP API.
//
// What the two versions can do differs, and is asked for before the first kick:
//   - 2.3 ends all sessions of a login name. 2.4 also ends those which carry a
//     field that the passdb returned (effect.UserCred), and those only.
//   - 2.4.1 crashes its worker when it is asked to flush the auth cache for a user
//     (the parameter is declared as a list and read as a text), so it is not asked.
//     Later ones have renamed the parameter.
package doveadm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
)

// Client is an effect.Kicker for one Dovecot, 2.3 or 2.4. It is safe for
// concurrent use.
type Client struct {
	url          string
	key          account.Secret
	byCredential bool
	client       *http.Client

	mu    sync.Mutex
	knows *ability
}

// Config says how to reach a Dovecot.
type Config struct {
	URL string // http://host:port/doveadm/v1
	Key account.Secret
	// ByCredential ends the sessions of one credential only, where Dovecot can.
	ByCredential bool
	TLS          *tls.Config // nil: the system's authorities
}

// timeout bounds one request.
const timeout = 5 * time.Second

// New contacts nobody yet.
func New(c Config) *Client {
	transport := &http.Transport{
		TLSClientConfig: c.TLS,
		// A connection occupies one of Dovecot's processes; kicks are rare.
		DisableKeepAlives: true,
		// No proxy from the environment: what is sent holds the key.
	}
	return &Client{url: c.URL, key: c.Key, byCredential: c.ByCredential, client: &http.Client{
		Timeout: timeout, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Host names the Dovecot in messages, and is its key in effect.Ending.Kicked.
func (d *Client) Host() string { return d.url }

// Ping asks what this Dovecot can be told, which needs the right key.
func (d *Client) Ping(ctx context.Context) error {
	_, err := d.commands(ctx)
	return err
}

// userCred is the field; the passdb returns it with the prefix "userdb_".
const userCred = "user_cred"

var errNoName = errors.New("none of its login names can be given to doveadm kick, which would take them for a pattern or an address")

// Kick ends the sessions of an Ending and flushes what Dovecot has cached of the
// user. That nobody was logged in is no error.
func (d *Client) Kick(ctx context.Context, e *effect.Ending) (effect.Kicked, error) {
	can, err := d.ability(ctx)
	if err != nil {
		return effect.Kicked{}, err
	}
	var calls []call
	if e.Credential != "" && d.byCredential && can.passdbField {
		calls = append(calls, call{"kick", object{"passdbField": userCred, "mask": []string{effect.UserCred(e.Account, e.Credential)}}})
	} else {
		calls = kicks(e.Names)
	}
	if len(calls) == 0 {
		return effect.Kicked{}, fmt.Errorf("%s: %w", e.User, errNoName)
	}
	if can.flush != "" {
		calls = append(calls, call{"authCacheFlush", object{can.flush: loginNames(e.Names)}})
	}
	answers, err := d.post(ctx, calls)
	if err != nil {
		d.forget()
		return effect.Kicked{}, err
	}
	return d.count(calls, answers)
}

// kicks is one command for each name: two names in one command are a usage error.
func kicks(names []string) []call {
	var calls []call
	for _, n := range loginNames(names) {
		calls = append(calls, call{"kick", object{"mask": []string{n}}})
	}
	return calls
}

// loginNames are the names as Dovecot may have them: as they are, and in lower
// case (auth_username_format). Left out are those that doveadm would not take for
// one user: a pattern could end the sessions of strangers, and so could an address.
func loginNames(names []string) []string {
	var out []string
	for _, n := range names {
		if !strings.ContainsAny(n, "*?") && !addressLike(n) {
			out = appendNew(appendNew(out, n), strings.ToLower(n))
		}
	}
	return out
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func addressLike(s string) bool {
	s, _, _ = strings.Cut(s, "/")
	_, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return err == nil
}

// count adds up what the kicks among the answers ended.
func (d *Client) count(calls []call, answers []answer) (effect.Kicked, error) {
	var (
		k    effect.Kicked
		errs []error
	)
	for i, a := range answers {
		err := a.err()
		switch {
		case calls[i].name == "kick" && err == nil:
			n, names := a.kicked()
			k.N, k.Names = k.N+n, k.Names || names
		case err != nil && a.exit != exitNobody:
			errs = append(errs, fmt.Errorf("%s: %s: %w", d.url, calls[i].name, err))
		}
	}
	return k, errors.Join(errs...)
}

// ability is what differs between the versions.
type ability struct {
	passdbField bool
	flush       string // the parameter that takes the user; "": do not flush
}

func (d *Client) ability(ctx context.Context) (ability, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.knows != nil {
		return *d.knows, nil
	}
	list, err := d.commands(ctx)
	if err != nil {
		return ability{}, err
	}
	kick, flush := list["kick"], list["authCacheFlush"]
	can := ability{passdbField: kick["passdbField"]}
	switch {
	case flush["userMask"]:
		can.flush = "userMask"
	case flush["user"] && !can.passdbField: // 2.3
		can.flush = "user"
	}
	d.knows = &can
	return can, nil
}

// forget makes the next kick ask again: perhaps this is another version now.
func (d *Client) forget() {
	d.mu.Lock()
	d.knows = nil
	d.mu.Unlock()
}
