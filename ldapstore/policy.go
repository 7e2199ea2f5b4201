package ldapstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
	"postern/internal/policy"
)

// The policies of domains and classes are entries of their own below Postern's
// base: cn=domain example.test and cn=class students, whose posternPolicy is the
// same JSON as an account's. One search reads all of them, and they are kept in
// memory, so that a login costs no search for them.

// PolicyAge is how old what is known of the policies of domains and classes may be
// when an account is read: a change reaches every login within it, and within the
// lag of the replica that is asked. What cannot be read again by then is not known,
// and not "no policy": reading accounts fails.
const PolicyAge = 10 * time.Second

// policyRefresh is the age at which they are read again, while the old ones serve.
const policyRefresh = 4 * time.Second

const (
	attrPolicy   = "posternPolicy"
	attrClass    = "posternClass"
	classPolicy  = "posternPolicyHolder"
	policyFilter = "(|(objectClass=" + classPolicy + ")(&(objectClass=" + classSite + ")(cn=site)))" // and the site's switch
)

// policies keeps the site's policies.
type policies struct {
	read func(limit time.Time) (*policy.Site, error) // all of them, by one search
	now  func() time.Time

	mu     sync.Mutex
	known  *policy.Site // nil: never read
	at     time.Time    // when reading known began
	flight *flight      // reading under way
}

// flight is one reading, for all who wait for it.
type flight struct {
	done chan struct{}
	site *policy.Site
	err  error
}

// get returns the policies, at most PolicyAge old. Errors: account.ErrUnavailable.
func (p *policies) get(ctx context.Context) (*policy.Site, error) {
	known, f, mine := p.current(ctx)
	if known != nil {
		return known, nil
	}
	site, err := f.wait(ctx)
	if err == nil || mine || ctx.Err() != nil {
		return site, err
	}
	// Who began reading may have had less time than this caller.
	if known, f, _ = p.current(ctx); known != nil {
		return known, nil
	}
	return f.wait(ctx)
}

func (f *flight) wait(ctx context.Context) (*policy.Site, error) {
	select {
	case <-f.done:
		return f.site, f.err
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
}

// current returns what is known, or else a flight to wait for, which is mine if this
// call began it. What will be too old soon is read again in the background.
func (p *policies) current(ctx context.Context) (known *policy.Site, f *flight, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	age := p.now().Sub(p.at)
	usable := p.known != nil && age >= 0 && age < PolicyAge // a clock that went back proves nothing
	if usable && age < policyRefresh {
		return p.known, nil, false
	}
	if p.flight == nil {
		p.flight, mine = &flight{done: make(chan struct{})}, true
		var limit time.Time
		if !usable { // who waits needs some of its time for other servers
			limit, _ = ctx.Deadline()
		}
		go p.fly(p.flight, p.now(), limit)
	}
	if usable {
		return p.known, nil, false
	}
	return nil, p.flight, mine
}

// fly reads, until limit if there is one. Its result is kept unless somebody has
// called forget meanwhile. It has no caller's context, as others may wait for it, too.
func (p *policies) fly(f *flight, began, limit time.Time) {
	f.site, f.err = p.read(limit)
	p.mu.Lock()
	if p.flight == f {
		p.flight = nil
		if f.err == nil {
			p.known, p.at = f.site, began
		}
	}
	p.mu.Unlock()
	close(f.done)
}

// forget makes the next get read, even if others are reading now.
func (p *policies) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known, p.flight = nil, nil
}

// readPolicies asks a read server for the policies of domains and classes. Without a
// limit it takes the time that the servers have.
func (s *Store) readPolicies(limit time.Time) (*policy.Site, error) {
	if limit.IsZero() {
		limit = time.Now().Add(s.cfg.Timeout * time.Duration(len(s.reads)))
	}
	ctx, cancel := context.WithDeadline(context.Background(), limit)
	defer cancel()
	var site *policy.Site
	err := s.read(ctx, func(c *conn) (err error) {
		site, err = s.searchPolicies(c)
		return err
	})
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return nil, s.noPosternBase(err)
	}
	if err != nil {
		return nil, fmt.Errorf("policies of domains and classes: %w", err)
	}
	return site, nil
}

// searchPolicies reads them page by page: a server's limit of entries must not cut
// off some without a word.
func (s *Store) searchPolicies(c searcher) (*policy.Site, error) {
	site := &policy.Site{Default: s.cfg.DefaultPolicy, Domains: map[string]policy.Layer{}, Classes: map[string]policy.Layer{}}
	paging := ldap.NewControlPaging(pageSize)
	req := &ldap.SearchRequest{BaseDN: s.cfg.PosternBase, Scope: ldap.ScopeSingleLevel, Filter: policyFilter,
		Attributes: []string{"objectClass", attrPolicy, keyCheck}, Controls: []ldap.Control{paging}}
	for {
		res, err := c.Search(req)
		if err != nil {
			return nil, err
		}
		for _, e := range res.Entries {
			if !hasClass(e, classPolicy) {
				s.noteSwitch(e)
				continue
			}
			level, err := levelOf(e.DN)
			if err != nil {
				site.Stray = append(site.Stray, e.DN)
				continue
			}
			site.Put(level, policyOf(e, level, site))
		}
		answer, ok := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok || len(answer.Cookie) == 0 {
			return site, nil
		}
		paging.SetCookie(answer.Cookie)
	}
}

// levelOf is the domain or class whose policy the entry is, by its name.
func levelOf(dn string) (policy.Level, error) {
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) == 0 || len(parsed.RDNs[0].Attributes) != 1 {
		return policy.Level{}, fmt.Errorf("%s has no simple name", dn)
	}
	return policy.ParseLevel(parsed.RDNs[0].Attributes[0].Value)
}

// policyOf reads one entry. An entry whose policy is hidden from us, and the second
// of a domain, which is written in another way, are policies that cannot be read.
func policyOf(e *ldap.Entry, level policy.Level, site *policy.Site) policy.Layer {
	unreadable := func(why string) policy.Layer {
		return policy.Layer{Origin: level.String(), Err: fmt.Errorf("%s: %s", e.DN, why)}
	}
	v := values(e, attrPolicy)
	if len(v) != 1 {
		return unreadable("the entry shows no " + attrPolicy)
	}
	if _, twice := site.Layer(level); twice {
		return unreadable("another entry is the policy of " + level.String() + ", too")
	}
	return policy.ParseJSON(level.String(), string(v[0]))
}

// Policies reads the policies of the site from the write server. Errors: a
// *SetupError when Postern's base is missing; account.ErrUnavailable.
func (s *Store) Policies(ctx context.Context) (*policy.Site, error) {
	var site *policy.Site
	err := s.readWriter(ctx, func(c *conn) (err error) {
		site, err = s.searchPolicies(c)
		return err
	})
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return nil, s.noPosternBase(err)
	}
	return site, err
}

// policyDN is the entry of a domain's or class's policy.
func (s *Store) policyDN(l policy.Level) string {
	return "cn=" + ldap.EscapeDN(l.String()) + "," + s.cfg.PosternBase
}

// WritePolicy replaces the policy of a domain or class, if it is still was; an empty
// was means that there is none yet. Errors: account.ErrConflict when somebody was
// faster; a *SetupError for what an administrator has to mend; account.ErrUnavailable.
func (s *Store) WritePolicy(ctx context.Context, l policy.Level, was, now string) error {
	defer s.policies.forget()
	dn := s.policyDN(l)
	if was == "" {
		req := ldap.NewAddRequest(dn, nil)
		req.Attribute("objectClass", []string{"top", classSite, classPolicy})
		req.Attribute("cn", []string{l.String()})
		req.Attribute(attrPolicy, []string{now})
		err := s.write(ctx, func(c *conn) error { return c.Add(req) })
		if !ldap.IsErrorWithCode(err, ldap.LDAPResultEntryAlreadyExists) {
			return s.addError(dn, err)
		}
		// Somebody was faster, unless the entry is there and has lost its value.
	}
	req := ldap.NewModifyRequest(dn, nil)
	if was != "" {
		req.Delete(attrPolicy, []string{was})
	}
	req.Add(attrPolicy, []string{now})
	err := s.write(ctx, func(c *conn) error { return c.Modify(req) })
	if doubled(err) {
		return fmt.Errorf("%w: %w", account.ErrConflict, err)
	}
	return s.modifyError(dn, true, err)
}

// doubled reports whether a server refused to make two values of a single one, in the
// words of 389-ds; those of others are known to modifyError. The entry must have the
// object class: the same code says that it has not.
func doubled(err error) bool { return ldap.IsErrorWithCode(err, ldap.LDAPResultObjectClassViolation) }

// ApplyPolicy replaces an account's own policy, if it is still was, and ApplyClass
// its class; the empty text means none. An account without records gets its State at
// the same time. a is to be read again afterwards. Errors are those of Apply.
func (s *Store) ApplyPolicy(ctx context.Context, a *account.Account, was, now string) error {
	return s.applyText(ctx, a, text{attrPolicy, was, now})
}

// ApplyClass is described at ApplyPolicy.
func (s *Store) ApplyClass(ctx context.Context, a *account.Account, was, now string) error {
	return s.applyText(ctx, a, text{attrClass, was, now})
}

// text is a change of an attribute that is not sealed; "" means no value.
type text struct{ attribute, was, now string }

func (s *Store) applyText(ctx context.Context, a *account.Account, t text) error {
	p := newPlan(s.ring, a, s.now())
	p.text = &t
	if a.StateRecord == nil {
		if err := p.swapState(); err != nil { // fails on damage
			return err
		}
	}
	return s.writePlan(ctx, a, p)
}
