package mailtest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ownPlugin says in a header how it was configured, and what was loaded beside it.
const ownPlugin = `<?php
class own extends rcube_plugin
{
    function init()
    {
        $this->load_config();
        $rc = rcmail::get_instance();
        header('X-Own: ' . $rc->config->get('own_word') . ' ' . implode(',', $rc->config->get('plugins')) . ' ' . RCMAIL_VERSION);
    }
}
`

// TestRoundcubePlugins loads a plug-in of our own and Debian's, before and after a
// restart with other settings, into each version.
func TestRoundcubePlugins(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "own.php"), []byte(ownPlugin), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, v := range []RoundcubeVersion{RC165, RC1618} {
		began := time.Now()
		own := RoundcubePlugin{Name: "own", Dir: dir, Config: "<?php\n$config['own_word'] = 'first';\n"}
		r := NewRoundcube(t, RoundcubeOptions{Version: v, Plugins: []RoundcubePlugin{own, {Name: "password"}}, Sieve: 4190})
		t.Logf("%s is ready after %v", v, time.Since(began))
		wantHeader(t, r, "first own,password,managesieve "+string(v))
		err := r.Restart(context.Background(), func(o *RoundcubeOptions) {
			o.Plugins, o.Config = []RoundcubePlugin{{Name: "own", Dir: dir}}, "$config['own_word'] = 'second';\n"
		})
		if err != nil {
			t.Fatal(err)
		}
		wantHeader(t, r, "second own "+string(v))
		if log := r.Log(); strings.Contains(log, "PHP Error") {
			t.Error(log)
		}
	}
}

// wantHeader asks for the login page.
func wantHeader(t *testing.T, r *Roundcube, want string) {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://%s/?_task=login", loopback(r.Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("X-Own"); got != want {
		t.Errorf("plug-in says %q, want %q", got, want)
	}
}

// TestWebhooks: one of two may die and come back; both follow a changed
// configuration.
func TestWebhooks(t *testing.T) {
	s := New(t, Options{Webmail: &WebmailOptions{Webhooks: 2}})
	w := s.Webmail
	pages := func() int {
		t.Helper()
		res, err := http.Get(w.PublicURL + "sign-in")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	is := pages()
	if is >= 500 {
		t.Errorf("the page: %d", is)
	}
	w.Webhook().Kill()
	for range 3 {
		if got := pages(); got != is {
			t.Errorf("with one of two: %d, was %d", got, is)
		}
	}
	ctx := context.Background()
	w.Webhooks[1].Stop()
	if got := pages(); got != http.StatusBadGateway {
		t.Errorf("with none of two: %d", got)
	}
	if err := s.Reconfigure(Settings{"webhook": {"ticket_life": "3s"}}); err != nil {
		t.Fatal(err)
	}
	for _, hook := range w.Webhooks {
		if err := hook.Restart(ctx); err == nil || !strings.Contains(err.Error(), "ticket_life") {
			t.Errorf("a ticket life of three seconds: %v", err)
		}
	}
	if err := s.Reconfigure(nil); err != nil {
		t.Fatal(err)
	}
	for _, hook := range w.Webhooks {
		if err := hook.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		res, err := http.Get(hook.URL() + "livez")
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != http.StatusOK {
			t.Errorf("over TCP: %s", res.Status)
		}
	}
	if got := pages(); got != is {
		t.Errorf("with both again: %d, was %d", got, is)
	}
}
