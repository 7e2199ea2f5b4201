package login

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
)

// PasswordCheck says whether a password is an account's main password.
type PasswordCheck interface {
	// Check returns account.ErrWrong if it is not. Every other error means that it
	// could not be checked, which is neither right nor wrong.
	Check(ctx context.Context, a *account.Account, password account.Secret) error
}

// byBind is the check of a site whose directory knows the main passwords.
type byBind struct{ store account.Store }

func (b byBind) Check(ctx context.Context, a *account.Account, password account.Secret) error {
	return b.store.Bind(ctx, a, password)
}

// ByDovecot is the check of a site whose own passdb, behind Postern's in Dovecot,
// knows the main passwords: it asks Dovecot, for PrivateService. Postern's passdb then
// asks /verify about a login that /verify is just asking about, and must be told to
// pass it on, where everybody else who says so must not be: hence the proof, which
// travels as Dovecot's session id.
type ByDovecot struct {
	Dovecot Authenticator
	Prover  Prover
	Now     func() time.Time
}

// Authenticator asks Dovecot; package dovecotauth's Client is one.
type Authenticator interface {
	// Authenticate asks whether the password is the user's. Errors: as PasswordCheck's.
	Authenticate(ctx context.Context, user string, password account.Secret, session string) error
}

// Check implements PasswordCheck. Dovecot is asked about the account's own name: an
// alias that was typed may be somebody else's name in the passdb (ATTACKS 39).
func (b ByDovecot) Check(ctx context.Context, a *account.Account, password account.Secret) error {
	session, err := privateSession(b.Prover, a.Name, password, b.Now())
	if err != nil {
		return err
	}
	return b.Dovecot.Authenticate(ctx, a.Name, password, session)
}

// PrivateService is Dovecot's service of Postern's own questions. No mail protocol
// has that name: Dovecot's login processes and Postfix name theirs themselves, and only
// a process that reaches an auth socket of Dovecot's could give it.
const PrivateService account.Service = "postern-main"

const (
	purposePrivate       = "private question"
	purposePrivateSecret = "private question's password"
	privatePrefix        = "postern."
)

// privateSession proves that Postern asks about this password of this user in this
// minute: "postern.MINUTE.NONCE.PASSWORD.PROOF". The nonce makes it a session of its own
// to the auth policy. The password's part is keyed, and too short to search by.
func privateSession(p Prover, user string, password account.Secret, now time.Time) (string, error) {
	head := strconv.FormatInt(now.Unix()/60, 36) + "." + account.NewID()
	mark, err := privateMark(p, user, password)
	if err != nil {
		return "", err
	}
	sum, err := p.MAC(account.RoleDoor, purposePrivate, privateUser(user), head, mark)
	if err != nil {
		return "", err
	}
	return privatePrefix + head + "." + mark + "." + base64.RawURLEncoding.EncodeToString(sum[:16]), nil
}

func privateMark(p Prover, user string, password account.Secret) (string, error) {
	sum, err := p.MAC(account.RoleDoor, purposePrivateSecret, privateUser(user), string(password.Reveal()))
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sum[:6]), nil
}

// privateUser is what is left of a name whatever auth_username_format makes of it.
func privateUser(name string) string {
	local, _, _ := strings.Cut(name, "@")
	return strings.ToLower(local)
}

// provesPrivate checks such a session: of this minute or the last, or of the next by
// a clock that is ahead. It returns the password's mark.
func (g *Gate) provesPrivate(session, user string) (mark string, ok bool) {
	rest, _ := strings.CutPrefix(session, privatePrefix)
	parts := strings.Split(rest, ".")
	if len(parts) != 4 || !strings.HasPrefix(session, privatePrefix) {
		return "", false
	}
	at, err := strconv.ParseInt(parts[0], 36, 64)
	age := g.now().Unix()/60 - at
	if err != nil || age < -1 || age > 1 {
		return "", false
	}
	sum, err := base64.RawURLEncoding.DecodeString(parts[3])
	return parts[2], err == nil && g.prover.Verify(sum, account.RoleDoor, purposePrivate, privateUser(user), parts[0]+"."+parts[1], parts[2])
}

// private decides at a mail door about PrivateService: what Postern itself asks is
// passed on, and everything else could not be checked. It leaves no event and counts
// for nothing: the login that it is a part of does.
func (g *Gate) private(a *Attempt) Decision {
	mark, ok := g.provesPrivate(a.Session, a.User)
	want, err := privateMark(g.prover, a.User, a.Password)
	if ok && err == nil && mark == want && a.Master == "" {
		return denied(Elsewhere)
	}
	d := unavailable(Unproven)
	g.record(effect.Login, a, &d, effect.Event{Time: g.now()})
	return d
}

// allowPrivate answers the auth policy about PrivateService. Without the proof the
// passdb will refuse; the second question then means that another passdb did not.
func (g *Gate) allowPrivate(a *Ask, now time.Time) Permit {
	if _, ok := g.provesPrivate(a.Session, a.Login); ok || !g.isSecond(a, now) {
		return Permit{}
	}
	return refuse(Unproven)
}
