package effect

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"postern/internal/account"
)

// Doveadm tells one Dovecot, 2.3 or 2.4, to end sessions, by doveadm's HTTP API.
// It is safe for concurrent use.
//
// What the two versions can do differs, and is asked for before the first kick:
//   - 2.3 ends all sessions of a login name. 2.4 also ends those which carry a
//     field that the passdb returned (UserCred), and those only.
//   - 2.4 up to 2.4.2 crashes its worker when it is asked to flush the auth cache
//     for a user (a parameter is declared by one type and read as another), so it
//     is not asked. Later ones have renamed the parameter.
type Doveadm struct {
	url          string
	key          account.Secret
	byCredential bool
	client       *http.Client

	mu    sync.Mutex
	knows *ability
}

// DoveadmConfig says how to reach a Dovecot.
type DoveadmConfig struct {
	URL string // http://host:port/doveadm/v1
	Key account.Secret
	// ByCredential ends the sessions of one credential only, where Dovecot can.
	ByCredential bool
	TLS          *tls.Config // nil: the system's authorities
}

// doveadmTime bounds one request.
const doveadmTime = 5 * time.Second

// NewDoveadm contacts nobody yet.
func NewDoveadm(c DoveadmConfig) *Doveadm {
	transport := &http.Transport{
		TLSClientConfig: c.TLS,
		// A connection occupies one of Dovecot's processes; kicks are rare.
		DisableKeepAlives: true,
		// No proxy from the environment: what is sent holds the key.
	}
	return &Doveadm{url: c.URL, key: c.Key, byCredential: c.ByCredential, client: &http.Client{
		Timeout: doveadmTime, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Host names the Dovecot in messages, and is its key in Ending.Kicked.
func (d *Doveadm) Host() string { return d.url }

// UserCred is the value of the field user_cred by which Dovecot 2.4 knows the
// sessions of a credential. The account is part of it: the id of an app password
// is unique within its account only.
func UserCred(id account.ID, credential string) string { return string(id) + "/" + credential }

// userCred is the field; the passdb returns it with the prefix "userdb_".
const userCred = "user_cred"

// Kicked says what a kick ended.
type Kicked struct {
	// N counts sessions, or with Names the login names whose sessions ended, which
	// is all that Dovecot 2.3 tells.
	N     int
	Names bool
}

func (k Kicked) String() string {
	switch {
	case k.N == 0:
		return "no session"
	case k.Names:
		return "all sessions"
	case k.N == 1:
		return "1 session"
	}
	return fmt.Sprintf("%d sessions", k.N)
}

var errNoName = errors.New("none of its login names can be given to doveadm kick, which would take them for a pattern or an address")

// Kick ends the sessions of an Ending and flushes what Dovecot has cached of the
// user. That nobody was logged in is no error.
func (d *Doveadm) Kick(ctx context.Context, e *Ending) (Kicked, error) {
	can, err := d.ability(ctx)
	if err != nil {
		return Kicked{}, err
	}
	var calls []call
	if e.Credential != "" && d.byCredential && can.passdbField {
		calls = append(calls, call{"kick", object{"passdbField": userCred, "mask": []string{UserCred(e.Account, e.Credential)}}})
	} else {
		calls = kicks(e.Names)
	}
	if len(calls) == 0 {
		return Kicked{}, fmt.Errorf("%s: %w", e.User, errNoName)
	}
	if can.flush != "" {
		calls = append(calls, call{"authCacheFlush", object{can.flush: loginNames(e.Names)}})
	}
	answers, err := d.post(ctx, calls)
	if err != nil {
		d.forget()
		return Kicked{}, err
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
			out = append(out, n, strings.ToLower(n))
		}
	}
	return unique(out)
}

func addressLike(s string) bool {
	s, _, _ = strings.Cut(s, "/")
	_, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return err == nil
}

// count adds up what the kicks among the answers ended.
func (d *Doveadm) count(calls []call, answers []answer) (Kicked, error) {
	var (
		k    Kicked
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

func (d *Doveadm) ability(ctx context.Context) (ability, error) {
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
func (d *Doveadm) forget() {
	d.mu.Lock()
	d.knows = nil
	d.mu.Unlock()
}
