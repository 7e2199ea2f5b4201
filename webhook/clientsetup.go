package main

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/clientsetup"
	"postern/internal/clientsetup/apple"
	"postern/internal/desk"
	"postern/internal/web"
)

// setup is what mail programs are told about the site's servers.
type setup struct {
	servers clientsetup.Servers
	signer  *apple.Signer // nil: profiles are not signed
}

func (s *server) openSetup() error {
	var err error
	if s.setup.servers, err = s.cfg.ClientSetup.Servers(); err != nil {
		return err
	}
	cert, key, err := s.cfg.ClientSetup.SignerFiles()
	if err != nil || cert == nil {
		return err
	}
	if s.setup.signer, err = apple.NewSigner(cert, key); err != nil {
		return fmt.Errorf("client_setup.profile_cert_file: %w", err)
	}
	return nil
}

var setupPages = map[string]page{
	web.PathProfile: {get: (*turn).profileGet, post: (*turn).profilePost},
}

// profileLife is how long a profile can be fetched.
const profileLife = 10 * time.Minute

const purposeProfile = "profile of a device"

// profileTicket is what the address of a profile holds, sealed. The app password is in
// it, so that it is stored nowhere.
type profileTicket struct {
	User     string     `cbor:"1,keyasint"`
	Account  account.ID `cbor:"2,keyasint"`
	ID       string     `cbor:"3,keyasint"` // of the app password
	Name     string     `cbor:"4,keyasint"`
	Password []byte     `cbor:"5,keyasint"`
}

// addServers adds to a new app password how programs reach the servers that it opens.
func (t *turn) addServers(page *web.AppCreated, id string, a *account.Account) error {
	servers := t.s.setup.servers.For(a.Domain, page.Services)
	for _, s := range servers {
		page.Servers = append(page.Servers, web.Server{Service: s.Service, Host: s.Host, Port: int(s.Port), StartTLS: s.StartTLS})
	}
	var err error
	if page.QR, err = clientsetup.AndroidQR(a.Name, page.Password, servers); err != nil || page.QR.Empty() {
		return err
	}
	token, err := t.s.Ring.Issue(account.RoleFactor, purposeProfile, t.s.now().Add(profileLife),
		profileTicket{a.Name, a.ID, id, page.Name, page.Password.Reveal()})
	if err != nil {
		return err
	}
	page.Profile = t.path(web.PathProfile, web.FieldToken, token)
	u, err := t.s.public.Parse(page.Profile)
	if err == nil {
		page.Address = account.SecretString(u.String())
	}
	return err
}

// profile is what the address holds; nil: the turn is over.
func (t *turn) profile() *profileTicket {
	var p profileTicket
	if t.s.Ring.Parse(account.RoleFactor, purposeProfile, t.token.page, t.s.now(), &p) != nil {
		t.say(http.StatusGone, web.MessageUsed)
		return nil
	}
	return &p
}

// profileGet shows what the profile is, and uses nothing up.
func (t *turn) profileGet() {
	if p := t.profile(); p != nil {
		_, domain, _ := strings.Cut(p.User, "@")
		t.show(http.StatusOK, &web.Profile{Common: t.common(web.Common{User: p.User, Domain: domain}), Name: p.Name, Login: p.User})
	}
}

// profilePost sends the profile: with the password once, without it as often as is
// asked within the time.
func (t *turn) profilePost() {
	p := t.profile()
	if p == nil {
		return
	}
	a, err := t.s.Store.Find(t.r.Context(), p.User)
	switch {
	case errors.Is(err, account.ErrUnavailable):
		t.unavailable(err)
		return
	case err != nil || a.ID != p.Account || a.Status == account.Disabled:
		t.say(http.StatusGone, web.MessageUsed)
		return
	}
	password := account.NewSecret(p.Password)
	if t.field(web.FieldWithout) != "" {
		password = account.Secret{}
	} else if !t.fetch(a, p.ID) {
		return
	}
	t.sendProfile(a, p, password)
}

// fetch uses the profile up; false: the turn is over.
func (t *turn) fetch(a *account.Account, id string) bool {
	who := desk.Actor{Name: "owner, by a profile's address", Owner: a, Addr: t.browser.Addr, Agent: t.browser.Agent}
	_, err := t.s.desk.FetchProfile(t.r.Context(), who, a.Name, id)
	switch {
	case err == nil:
		return true
	case errors.Is(err, desk.ErrNothing), errors.Is(err, account.ErrNoRecord), errors.Is(err, account.ErrDamaged):
		t.say(http.StatusGone, web.MessageUsed)
	default:
		t.unavailable(err)
	}
	return false
}

func (t *turn) sendProfile(a *account.Account, p *profileTicket, password account.Secret) {
	r, err := a.Record(account.KindApp, p.ID)
	if err != nil || !r.Live(t.s.now()) {
		t.say(http.StatusGone, web.MessageUsed)
		return
	}
	name := t.s.pages.Name(a.Domain)
	profile := apple.Profile{ID: reversed(t.s.public.Hostname()) + ".postern." + p.ID, Organization: name,
		Title: name + " (" + p.Name + ")", Address: a.Name, Password: password, Servers: t.s.setup.servers.For(a.Domain, nil)}
	body, err := profile.Marshal()
	if err == nil && t.s.setup.signer != nil {
		body, err = t.s.setup.signer.Sign(body)
	}
	if err != nil {
		t.unavailable(err)
		return
	}
	h := t.w.Header()
	h.Set("Content-Type", apple.MediaType)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": "mail.mobileconfig"}))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = t.w.Write(body) //nolint:gosec // a property list, as a download
}

// reversed is a host's name from the top: test.example.mail.
func reversed(host string) string {
	labels := strings.Split(host, ".")
	for i, j := 0, len(labels)-1; i < j; i, j = i+1, j-1 {
		labels[i], labels[j] = labels[j], labels[i]
	}
	return strings.Join(labels, ".")
}

// autoconfig answers mail programs that look for a domain's servers. Nobody is named in
// the answer, and whether an address exists makes no difference (ATTACKS 10).
func (s *server) autoconfig(mux *http.ServeMux) {
	for _, path := range []string{"/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"} {
		mux.HandleFunc("GET "+path, s.thunderbird)
	}
	mux.HandleFunc("POST "+pathAutodiscover, s.outlook)
}

const pathAutodiscover = "/autodiscover/autodiscover.xml"

// anyCase lets Outlook spell its path as it likes.
func anyCase(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.URL.Path, pathAutodiscover) {
			r.URL.Path = pathAutodiscover
		}
		next.ServeHTTP(w, r)
	})
}

func (s *server) thunderbird(w http.ResponseWriter, r *http.Request) {
	domain := setupDomain(r.URL.Query().Get("emailaddress"))
	if domain == "" {
		// A program may leave the address out: then the host says which domain is meant.
		host := strings.ToLower((&url.URL{Host: r.Host}).Hostname())
		domain = clientsetup.Domain(strings.TrimPrefix(host, "autoconfig."))
	}
	s.answerSetup(w, domain, func(servers clientsetup.Servers) ([]byte, error) {
		return clientsetup.Autoconfig(domain, s.pages.Name(domain), servers)
	})
}

func (s *server) outlook(w http.ResponseWriter, r *http.Request) {
	address, err := clientsetup.ParseAutodiscover(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "Autodiscover: "+clientsetup.ErrNoAddress.Error(), http.StatusBadRequest)
		return
	}
	s.answerSetup(w, setupDomain(address), func(servers clientsetup.Servers) ([]byte, error) {
		return clientsetup.Autodiscover(address, servers)
	})
}

// answerSetup answers for a domain: with 404 where no servers are configured.
func (s *server) answerSetup(w http.ResponseWriter, domain string, write func(clientsetup.Servers) ([]byte, error)) {
	servers := s.setup.servers.For(domain, nil)
	switch {
	case len(servers) == 0:
		http.Error(w, "no servers are configured", http.StatusNotFound)
		return
	case domain == "":
		http.Error(w, "no domain is named", http.StatusBadRequest)
		return
	}
	body, err := write(servers)
	if err != nil {
		http.Error(w, "no answer could be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/xml; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body) //nolint:gosec // XML, whose texts are escaped
}

// setupDomain is the domain of an address, "" if it has none that could be.
func setupDomain(address string) string {
	_, domain, _ := strings.Cut(address, "@")
	return clientsetup.Domain(domain)
}
