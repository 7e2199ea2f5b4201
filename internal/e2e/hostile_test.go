package e2e

import (
	"sync"
	"testing"

	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// What the passdbs around ours let in: whoever has later, and as master user
// whoever has master. Neither must ever be asked about our users.
const (
	laterPassword  = "later-passdb-knows"
	masterPassword = "master-passdb-knows"
)

// around is what an administrator may have left in Dovecot's configuration: a
// passdb behind ours, a master user, a mechanism that shows no password; and the cache.
var around = map[mailtest.Version]mailtest.DovecotOptions{
	mailtest.V23: {
		Passdb: "passdb {\n driver = static\n args = password=" + laterPassword + "\n}\n" +
			"passdb {\n driver = static\n args = password=" + masterPassword + "\n master = yes\n result_success = continue\n}\n",
		Extra: aroundExtra,
	},
	mailtest.V24: {
		Passdb: "passdb static {\n static_password = " + laterPassword + "\n}\n" +
			"passdb masters {\n driver = static\n static_password = " + masterPassword + "\n master = yes\n result_success = continue\n}\n",
		Extra: aroundExtra,
	},
}

const aroundExtra = "auth_master_user_separator = *\nauth_mechanisms = plain login cram-md5\n"

// cache is Dovecot's own. The Lua passdb of 2.3 cannot be kept out of it, which is
// why postern.lua forbids it there: see TestAttack18_CacheLua23.
const cache = "auth_cache_size = 10M\nauth_cache_ttl = 1 hour\n"

// hostiles has a lock for each hostile site: tests break it.
var hostiles sync.Map

// eachHostile runs a test at a site of every door where everything around
// Postern's passdb is wrong. One test at a time has it to itself and may stop its
// servers, if it starts them again.
func eachHostile(t *testing.T, f func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			lock, _ := hostiles.LoadOrStore(d.name, &sync.Mutex{})
			lock.(*sync.Mutex).Lock()         //nolint:forcetypeassert // the only type in there
			defer lock.(*sync.Mutex).Unlock() //nolint:forcetypeassert // the only type in there
			o := d.options(t)
			dovecot := around[d.version]
			dovecot.Version, dovecot.Door = d.version, d.conf
			if d.name != "lua23" {
				dovecot.Extra += cache
			}
			o.Dovecot = &dovecot
			f(t, inhabit(t, mailtest.Shared(t, d.name+" hostile", o)))
		})
	}
}

// everywhere logs in at every service at once.
func (w *world) everywhere(m mailclient.Mech, user, password string, judge func(mailclient.Service, mailclient.Result)) {
	w.t.Helper()
	var all sync.WaitGroup
	for _, s := range mailclient.Services {
		all.Go(func() {
			r, err := w.try(s, m, user, password)
			if err != nil {
				w.t.Errorf("%s: %v", user, err)
				return
			}
			judge(s, r)
		})
	}
	all.Wait()
}

// nowhere complains about a login that gets in anywhere.
func (w *world) nowhere(user, password string) {
	w.t.Helper()
	for _, m := range []mailclient.Mech{mailclient.MechPlain, mailclient.MechLogin} {
		w.everywhere(m, user, password, func(s mailclient.Service, r mailclient.Result) {
			if r.Outcome == mailclient.OK {
				w.t.Errorf("%s with %s got in at %s", user, password, s)
			}
		})
	}
}
