package mailtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Options say what a Site consists of. The zero value is a directory with a
// configured Postern and a policyserver.
type Options struct {
	// With is another site, whose directory and keys this one shares: a second mail
	// server of the same organisation. It must be stopped later than this one.
	With *Site
	// Slapd is how to start the directory, unless With has one.
	Slapd SlapdOptions
	// Settings are changes to postern.toml.
	Settings Settings
	// Dovecot starts one. Without a Door and a Passdb it gets checkpassword for 2.3
	// and Lua for 2.4. Verify is filled in.
	Dovecot *DovecotOptions
	// Postfix starts one which asks that Dovecot and delivers to it.
	Postfix *PostfixOptions
	// Webmail starts a webhook, nginx and Roundcube.
	Webmail *WebmailOptions
	// EndSessions configures [sessions]: what is revoked ends at the site's Dovecot.
	EndSessions bool
	// Mails configures [mail]: owners are told by mail what happens, which the site's
	// Postfix takes, or where there is none, Dovecot.
	Mails bool
	// Binaries is a directory with Postern's programs. Empty: built from the source.
	Binaries string
	// WithoutPolicyserver starts none, and makes no keys: neither the policyserver
	// nor posternctl is needed.
	WithoutPolicyserver bool
}

// Site is a mail server with its directory.
type Site struct {
	*Config
	Slapd        *Slapd
	Dovecot      *Dovecot // nil unless asked for
	Postfix      *Postfix // nil unless asked for
	Policyserver *Policyserver
	Webmail      *Webmail // nil unless asked for

	options Options
	ports   ports
	stops   []func() // in the order of starting
}

// Start starts a site.
func Start(ctx context.Context, o Options) (*Site, error) {
	s := &Site{options: o}
	for _, step := range []func(context.Context) error{
		s.startSlapd, s.prepareServers, s.prepareWebmail, s.configure, s.startPolicyserver, s.startWebhooks,
		s.startDovecot, s.startPostfix, s.startWebmail,
	} {
		if err := step(ctx); err != nil {
			s.Stop()
			return nil, err
		}
	}
	return s, nil
}

// Stop ends all servers, the last started first, and removes their files.
func (s *Site) Stop() {
	for len(s.stops) > 0 {
		last := len(s.stops) - 1
		s.stops[last]()
		s.stops = s.stops[:last]
	}
	s.ports.release()
}

// onStop remembers how to undo a step.
func (s *Site) onStop(f func()) { s.stops = append(s.stops, f) }

// startSlapd starts the directory, or takes the other site's.
func (s *Site) startSlapd(ctx context.Context) (err error) {
	if s.options.With != nil {
		s.Slapd = s.options.With.Slapd
		return nil
	}
	if s.Slapd, err = StartSlapd(ctx, s.options.Slapd); err != nil {
		return err
	}
	s.onStop(s.Slapd.Stop)
	return nil
}

// prepareServers makes the directories and ports of Dovecot and Postfix, on which
// the configuration depends.
func (s *Site) prepareServers(ctx context.Context) (err error) {
	if o := s.options.Dovecot; o != nil {
		if s.Dovecot, err = PrepareDovecot(ctx, o.Version); err != nil {
			return err
		}
		s.onStop(s.Dovecot.Stop)
	}
	if s.options.Postfix != nil {
		if s.Postfix, err = PreparePostfix(); err != nil {
			return err
		}
		s.onStop(s.Postfix.Stop)
	}
	return nil
}

// configure writes postern.toml, its secrets, and makes the keys.
func (s *Site) configure(ctx context.Context) error {
	dir, err := makeDir("/tmp")
	if err != nil {
		return err
	}
	s.onStop(func() { _ = os.RemoveAll(dir) })
	port, err := s.ports.take()
	if err != nil {
		return err
	}
	s.Config = &Config{
		Dir: dir, Path: filepath.Join(dir, "postern.toml"), Keys: filepath.Join(dir, "keys"),
		Audit: filepath.Join(dir, "audit.jsonl"), Socket: filepath.Join(dir, "verify.sock"), Listen: loopback(port),
	}
	if s.Dovecot != nil && s.Dovecot.Root != "" {
		s.Socket = filepath.Join(s.Dovecot.Dir, "verify.sock") // where Dovecot sees it
	}
	if s.options.With != nil {
		s.Keys = s.options.With.Keys
	}
	if err := s.writeSecrets(); err != nil {
		return err
	}
	if s.Webmail != nil {
		if err := s.configureWebmail(); err != nil {
			return err
		}
	}
	if err := s.Reconfigure(nil); err != nil {
		return err
	}
	if s.options.With != nil || s.options.WithoutPolicyserver {
		return nil
	}
	_, err = s.Posternctl(ctx, "keys", "new")
	return err
}

// Doveadm is the address of Dovecot's doveadm HTTP API.
func (s *Site) Doveadm() string { return "http://" + loopback(s.Dovecot.DoveadmHTTP) + "/doveadm/v1" }

// sessionSettings let live sessions be ended.
func (s *Site) sessionSettings() Settings {
	return Settings{"sessions": {
		"spool": filepath.Join(s.Dir, "spool"), "doveadm": []string{s.Doveadm()}, "doveadm_key_file": filepath.Join(s.Dir, "doveadm.key"),
	}}
}

// mailSettings let owners be told by mail.
func (s *Site) mailSettings() Settings {
	server := "lmtp://" + loopback(s.Dovecot.LMTP)
	if s.Postfix != nil {
		server = "smtp://" + loopback(s.Postfix.RelayPort)
	}
	return Settings{"mail": {"server": server, "spool": filepath.Join(s.Dir, "mails")}}
}

// settings are the options' settings, and for Dovecot 2.4 its own user, which has
// another number in its root directory than here.
func (s *Site) settings() Settings {
	all := Settings{}
	if s.options.EndSessions {
		all = s.sessionSettings()
	}
	if s.options.Mails {
		all = all.merge(s.mailSettings())
	}
	if s.Dovecot != nil {
		all = all.merge(Settings{"login": {"auth_socket": s.Dovecot.AuthSocket()}})
	}
	return all.merge(s.socketUsers()).merge(s.webhookSettings()).merge(s.options.Settings)
}

func (s *Site) socketUsers() Settings {
	if s.Dovecot == nil || s.Dovecot.Root == "" {
		return nil
	}
	users := []string{"root"}
	if uid, err := s.Dovecot.uid("dovecot"); err == nil {
		users = append(users, strconv.Itoa(uid))
	}
	return Settings{"policyserver": {"socket_users": users}}
}

// Reconfigure writes postern.toml anew, as the site began but for some settings.
// Who should follow them must be restarted.
func (s *Site) Reconfigure(changes Settings) error {
	if err := s.Write(s.Slapd, s.settings().merge(changes)); err != nil {
		return err
	}
	return s.writeWebhooks(changes)
}

// startPolicyserver starts the daemon.
func (s *Site) startPolicyserver(ctx context.Context) error {
	if s.options.WithoutPolicyserver {
		return nil
	}
	binary, err := s.Binary(ctx, "policyserver")
	if err != nil {
		return err
	}
	if s.Policyserver, err = StartPolicyserver(ctx, binary, s.Config); err != nil {
		return err
	}
	s.onStop(s.Policyserver.Kill)
	return nil
}

// startDovecot starts the prepared Dovecot with a door to the policyserver.
func (s *Site) startDovecot(ctx context.Context) error {
	if s.Dovecot == nil {
		return nil
	}
	o, err := s.dovecotOptions(ctx)
	if err != nil {
		return err
	}
	return s.Dovecot.Start(ctx, o)
}

// dovecotOptions are the options' with the door, the paths and ports filled in.
func (s *Site) dovecotOptions(ctx context.Context) (DovecotOptions, error) {
	o := *s.options.Dovecot
	if o.Door == "" && o.Passdb == "" {
		o.Door = map[bool]string{false: "2.3-checkpassword.conf", true: "2.4-lua.conf"}[o.Version == V24]
	}
	if s.Webmail.plugin() {
		o.Extra += "login_trusted_networks = 127.0.0.0/8\n" // as the plug-in's README says
	}
	o.Verify = Verify{Socket: strings.TrimPrefix(s.Socket, s.Dovecot.Root), URL: s.URL(), Key: s.Key, Nonce: s.Nonce}
	if s.Postfix != nil {
		o.Relay = s.Postfix.RelayPort
		if s.Dovecot.Root == "" {
			o.SASLSocket = s.Postfix.SASLSocket()
		}
	}
	if !strings.Contains(o.Door, "checkpassword") {
		return o, nil
	}
	binary, err := s.Binary(ctx, "checkpassword")
	if err != nil {
		return o, err
	}
	// Dovecot's user may not be let into the clone, for instance below /root.
	o.Verify.Checkpassword = filepath.Join(s.Dir, "checkpassword")
	return o, copyProgram(binary, o.Verify.Checkpassword)
}

// copyProgram copies an executable file.
func copyProgram(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

// startPostfix starts the prepared Postfix.
func (s *Site) startPostfix(ctx context.Context) error {
	if s.Postfix == nil {
		return nil
	}
	o := *s.options.Postfix
	if s.Dovecot != nil && o.LMTP == 0 {
		o.LMTP = s.Dovecot.LMTP
	}
	if s.Dovecot != nil && o.SASL == 0 && s.Dovecot.Root != "" {
		o.SASL = s.Dovecot.SASL // Postfix's user may not reach a socket below /root
	}
	return s.Postfix.Start(ctx, o)
}

// Binary is the path of one of Postern's programs.
func (s *Site) Binary(ctx context.Context, name string) (string, error) {
	if s.options.Binaries != "" {
		return filepath.Join(s.options.Binaries, name), nil
	}
	return Build(ctx, name)
}

// Posternctl runs the administrator's command on this site and returns its
// standard output. The error of a failure is an *exec.ExitError in a text with
// what the command complained about.
func (s *Site) Posternctl(ctx context.Context, args ...string) (string, error) {
	binary, err := s.Binary(ctx, "posternctl")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, binary, append([]string{"-config", s.Path}, args...)...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("posternctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaints.String()))
	}
	return out.String(), nil
}

// Logs is what the servers have logged so far.
func (s *Site) Logs() string {
	var b strings.Builder
	if s.Policyserver != nil {
		b.WriteString("policyserver:\n" + s.Policyserver.Log())
	}
	if s.Dovecot != nil {
		b.WriteString("dovecot:\n" + s.Dovecot.Log())
	}
	if s.Postfix != nil {
		b.WriteString("postfix:\n" + s.Postfix.Log())
	}
	if s.Webmail != nil {
		b.WriteString(s.Webmail.logs())
	}
	return b.String()
}
