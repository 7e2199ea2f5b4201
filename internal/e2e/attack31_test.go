package e2e

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"postern/internal/mailclient"
)

// TestAttack31_Secrets plants secrets, uses them in every right and wrong way, and
// looks for them in all that is written down and in what every process of the
// machine shows of itself, while logins go on.
//
// App passwords as user names are asked about at /verify only: Dovecot logs names
// itself, before anybody could know.
func TestAttack31_Secrets(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.user("planted-main-password")
		app, ended := reveal(w.app(user).Password), w.revoked(user)
		secrets := append(w.keyTexts(), app, strings.ReplaceAll(app, "-", ""), ended, "planted-main-password", "planted-wrong-one",
			base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+app)), w.Key)
		ctx, stop := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() {
			for ctx.Err() == nil {
				lookAtProcesses(t, secrets)
			}
		})
		for _, password := range []string{app, ended, "planted-main-password", "planted-wrong-one", strings.ToUpper(app)} {
			for _, m := range []mailclient.Mech{mailclient.MechPlain, mailclient.MechLogin} {
				w.everywhere(m, user, password, func(mailclient.Service, mailclient.Result) {})
			}
			w.ask(user, password, "agent", "x\n"+user+" \"}", "session", "\r\n{}")
		}
		for _, name := range []string{app, ended, strings.ToUpper(app), "pt1_" + app} {
			w.ask(name, "planted-main-password")
			w.ask(name+"@example.test", name)
			w.ask(user, "planted-wrong-one", "orig_user", name)
			w.ask(user, "planted-wrong-one", "master", name)
		}
		stop()
		watching.Wait()
		look(t, "the audit log", w.auditText(), append(secrets, strings.ToUpper(app)))
		look(t, "policyserver's log", w.Policyserver.Log(), append(secrets, strings.ToUpper(app)))
		look(t, "Dovecot's log", w.Dovecot.Log(), secrets)
		look(t, "Postfix's log", w.Postfix.Log(), secrets)
		look(t, "the metrics", w.metrics(), append(secrets, user))
		w.since(0, "") // complains about lines that are not JSON
	})
}

// keyTexts are the lines of the key files and of the secret files.
func (w *world) keyTexts() []string {
	w.t.Helper()
	var texts []string
	files, err := filepath.Glob(filepath.Join(w.Keys, "*.key"))
	must(w.t, err)
	if len(files) == 0 {
		w.t.Fatal("no key files")
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(w.t, err)
		for word := range strings.FieldsSeq(string(b)) {
			if len(word) >= 24 {
				texts = append(texts, word)
			}
		}
	}
	return texts
}

func look(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	if text == "" {
		t.Errorf("%s is empty: nothing was tested", where)
	}
	for _, s := range secrets {
		if i := strings.Index(text, s); i >= 0 {
			t.Errorf("%s shows %q: …%.120q", where, s, text[max(0, i-60):])
		}
	}
}

// lookAtProcesses reads the arguments and the environment of every process.
func lookAtProcesses(t *testing.T, secrets []string) {
	for _, what := range []string{"cmdline", "environ"} {
		files, err := filepath.Glob("/proc/[0-9]*/" + what)
		must(t, err)
		for _, f := range files {
			b, _ := os.ReadFile(f) // it may have ended
			for _, s := range secrets {
				if strings.Contains(string(b), s) {
					t.Errorf("%s shows %q", f, s)
				}
			}
		}
	}
}

func (w *world) auditText() string {
	w.t.Helper()
	b, err := os.ReadFile(w.Audit)
	must(w.t, err)
	return string(b)
}

func (w *world) metrics() string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, strings.TrimSuffix(w.URL(), "verify")+"metrics", nil)
	must(w.t, err)
	res, err := http.DefaultClient.Do(req)
	must(w.t, err)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	must(w.t, err)
	return string(b)
}
