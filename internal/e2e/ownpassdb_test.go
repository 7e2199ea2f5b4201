package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/login"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// ownPassdb is a site's own passdb, a file with passwords. The site in Dir's users
// file knows everybody that a test makes, app passwords included.
var ownPassdb = map[mailtest.Version]string{
	mailtest.V23: "passdb {\n driver = passwd-file\n args = @DIR@/users\n}\n",
	mailtest.V24: "passdb passwd-file {\n passwd_file_path = @DIR@/users\n}\n",
}

// next are the settings of a site that checks main passwords by its own passdb.
var next = mailtest.Settings{"login": {"main_password": "next", "unknown_user": "next"}}

// eachVersion runs a test at a site of every Dovecot with one of the snippets for
// sites that keep a passdb of their own.
func eachVersion(t *testing.T, snippet, extra string, settings mailtest.Settings, f func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	for _, d := range doors[1:] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := d.options(t)
			o.Settings = settings
			o.Dovecot.Door = string(d.version) + "-" + snippet + ".conf"
			o.Dovecot.Passdb = strings.Replace(ownPassdb[d.version], "@DIR@/users\n", "@DIR@/users\n"+extra, 1)
			f(t, fresh(t, o))
		})
	}
}

// know fills the site's own passdb. Dovecot reads the file again when it changes.
func (w *world) know(lines ...string) {
	w.t.Helper()
	must(w.t, os.WriteFile(filepath.Join(w.Dovecot.Dir, "users"), []byte(strings.Join(lines, "\n")+"\n"), 0o644))
}

// TestOwnPassdb: a site that keeps its passdb for main passwords. Postern decides
// about everybody with a factor and every app password, and nobody else.
func TestOwnPassdb(t *testing.T) {
	eachVersion(t, "lua-own-passdb", "", next, func(t *testing.T, w *world) {
		plain, enrolled, closed := w.user("directory's"), w.twoFactor(w.user("directory's")), w.user("directory's")
		w.disable(closed)
		stranger := "stranger@example.test" // whom the directory does not know
		app, revoked := reveal(w.app(enrolled).Password), w.revoked(enrolled)
		strangers := reveal(w.app(plain).Password)
		w.know(plain+":{PLAIN}file's", enrolled+":{PLAIN}file's", closed+":{PLAIN}file's", stranger+":{PLAIN}file's",
			// Worse than likely: the file holds credentials of Postern's as passwords.
			"app-"+stranger+":{PLAIN}"+strangers)
		w.want(mailclient.OK, plain, "file's")
		w.want(mailclient.Refused, plain, "directory's")
		w.want(mailclient.OK, plain, strangers)
		w.want(mailclient.OK, stranger, "file's")
		w.want(mailclient.Refused, stranger, "wrong")
		w.want(mailclient.OK, enrolled, app)
		for user, password := range map[string]string{enrolled: "file's", closed: "file's", "app-" + stranger: strangers} {
			w.nowhere(user, password)
		}
		began := w.now()
		w.want(mailclient.Refused, enrolled, "file's")
		w.wantReason(began, enrolled, login.AppPasswordRequired)
		w.know(enrolled + ":{PLAIN}" + revoked)
		w.nowhere(enrolled, revoked)
		w.outageWithOwnPassdb(plain)
	})
}

// outageWithOwnPassdb: without the policyserver nobody knows who has a factor, so
// the site's passdb is not asked.
func (w *world) outageWithOwnPassdb(user string) {
	w.t.Helper()
	w.know(user + ":{PLAIN}file's")
	w.want(mailclient.OK, user, "file's")
	w.Policyserver.Kill()
	w.want(mailclient.Temporary, user, "file's")
	must(w.t, w.Policyserver.Restart(w.t.Context()))
	w.want(mailclient.OK, user, "file's")
}

// TestFields: a site whose own passdb only supplies fields. It is asked after
// Postern has said yes, and its passwords mean nothing. Only with return-fail of
// its own can it refuse what Postern granted, as allow_nets does: otherwise Dovecot
// drops its refusal together with its fields.
func TestFields(t *testing.T) {
	eachVersion(t, "lua-fields", " result_failure = return-fail\n", nil, func(t *testing.T, w *world) {
		plain, enrolled, elsewhere := w.user("main password"), w.twoFactor(w.user("main password")), w.user("main password")
		app := reveal(w.app(enrolled).Password)
		w.know(plain+":{PLAIN}file's", enrolled+":{PLAIN}file's", elsewhere+":{PLAIN}file's::::::allow_nets=192.0.2.0/24")
		w.want(mailclient.OK, plain, "main password")
		w.want(mailclient.OK, enrolled, app)
		w.want(mailclient.Refused, elsewhere, "main password") // by the field
		for _, user := range []string{plain, enrolled, elsewhere} {
			w.nowhere(user, "file's")
		}
		w.nowhere(enrolled, "main password")
		w.Policyserver.Kill()
		w.want(mailclient.Temporary, plain, "file's")
	})
}
