package e2e

import (
	"testing"

	"postern/internal/account"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// replica is a directory that has what it is given, when it is given it.
type replica struct {
	*mailtest.Slapd
	of *world
}

// copied are the attributes that a replica must be told of.
var copied = []string{"objectClass", "posternState", "posternAppPassword", "posternTotp"}

// follow makes a user of the replica what the provider has now.
func (r *replica) follow(user string) {
	r.of.t.Helper()
	all, err := r.of.Slapd.Dump(user)
	must(r.of.t, err)
	for _, name := range copied {
		var values []string
		for _, v := range all[name] {
			values = append(values, string(v))
		}
		must(r.of.t, r.SetAttr(user, name, values...))
	}
}

// lagging is a site that reads from a replica first. The account's key is an
// attribute that can be copied, as entryUUID cannot.
func lagging(t *testing.T, d door) (*world, *replica) {
	t.Helper()
	o := ending(t, d)
	o.Settings = mailtest.Settings{"directory": {"id_attribute": "uid"}}
	w := fresh(t, o)
	r := &replica{mailtest.NewSlapd(t, mailtest.SlapdOptions{}), w}
	site, err := w.Slapd.Dump("cn=site," + mailtest.PosternBase)
	must(t, err)
	attrs := map[string][]string{"objectClass": {"posternSite"}, "cn": {"site"}}
	for _, v := range site["posternKeyCheck"] {
		attrs["posternKeyCheck"] = append(attrs["posternKeyCheck"], string(v))
	}
	must(t, r.Add("cn=site,"+mailtest.PosternBase, attrs))
	must(t, w.Reconfigure(mailtest.Settings{"directory": {"read_uris": []string{r.URI(), w.Slapd.URI()}}}))
	must(t, w.Policyserver.Restart(t.Context()))
	w.desk.Store = openStore(t, w.Site)
	return w, r
}

// TestAttack40_LaggingReplica: whoever reconnects at once through a replica that
// does not know of the revocation yet is let in, and is ended again as soon as the
// replica knows (ATTACKS 40).
func TestAttack40_LaggingReplica(t *testing.T) {
	t.Parallel()
	for _, d := range doors[1:] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w, r := lagging(t, d)
			user := w.user("main password")
			must(t, r.AddUser(user, "main password", nil))
			phone := w.app(user)
			r.follow(user)
			first := w.open(mailclient.IMAP, user, reveal(phone.Password))
			w.ctl("app-password", "revoke", user, phone.ID)
			first.ends()
			second := w.open(mailclient.IMAP, user, reveal(phone.Password)) // the replica still lets it in
			r.follow(user)
			second.ends()
			w.want(mailclient.Refused, user, reveal(phone.Password))

			third := w.open(mailclient.IMAP, user, "main password")
			w.ctl("totp", "add", user)
			third.ends()
			fourth := w.open(mailclient.IMAP, user, "main password")
			r.follow(user)
			fourth.ends()
			w.want(mailclient.Refused, user, "main password")
		})
	}
}

// TestAttack35_RevokeWhileLoggingIn: the note of a last use, and a login that was
// being decided, lose against a revocation made meanwhile (ATTACKS 35).
func TestAttack35_RevokeWhileLoggingIn(t *testing.T) {
	t.Parallel()
	w := fresh(t, ending(t, doors[2]))
	user := w.twoFactor(w.user("main password"))
	pages := w.pages()
	t.Run("rounds", func(t *testing.T) {
		for range 12 {
			phone := w.app(user)
			t.Run(phone.ID, func(t *testing.T) {
				t.Parallel()
				revoked := make(chan error, 1)
				go func() {
					_, err := pages.RevokeAppPassword(t.Context(), admin, user, phone.ID)
					revoked <- err
				}()
				l, _ := (&world{Site: w.Site, t: t}).knock(mailclient.IMAP, user, reveal(phone.Password))
				must(t, <-revoked)
				if l != nil {
					l.ends()
				}
			})
		}
	})
	must(t, w.Policyserver.Restart(t.Context())) // which first writes the last uses that are pending
	list, err := w.desk.ListAppPasswords(t.Context(), user)
	must(t, err)
	for _, p := range list {
		if p.State(w.desk.Now()) != "revoked" {
			t.Errorf("%s is %s again", p.ID, p.State(w.desk.Now()))
		}
	}
	if a, err := w.desk.Store.Find(t.Context(), user); err != nil || a.Damage() != nil || len(a.Values(account.KindApp)) != 12 {
		t.Errorf("%v %v", a, err)
	}
}
