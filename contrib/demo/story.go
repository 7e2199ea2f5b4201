package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// story tells the main job of Postern with real commands and real answers, and
// fails if an answer is not the one it tells of.
type story struct {
	ctx  context.Context
	site *mailtest.Site
	out  io.Writer
	step int
	err  error // the first that went wrong; everything after it is skipped
}

const (
	plain = "plain@example.test"
	alice = "alice@example.test"
)

// tell walks through the story.
func tell(ctx context.Context, site *mailtest.Site, out io.Writer) error {
	s := &story{ctx: ctx, site: site, out: out}

	s.title("plain@ has no second factor: the main password opens mail, as ever")
	s.login(mailclient.IMAP, plain, mailtest.Password, mailclient.OK)

	s.title("alice@ gets an authenticator. From now on she has two-factor login")
	s.command("totp", "add", alice, "--name", "phone")

	s.title("Her main password alone opens mail no more")
	s.login(mailclient.IMAP, alice, mailtest.Password, mailclient.Refused)

	s.title("From the second try on, at every door, her mail program tells her why")
	s.everywhere(alice, mailtest.Password, mailclient.Refused)

	s.title("She gets an app password for her telephone's mail program")
	id, password := s.appPassword()

	s.title("It works on each of them, and shows when it was used")
	s.everywhere(alice, password, mailclient.OK)
	s.command("app-password", "list", alice)

	s.title("The telephone waits for new mail, as telephones do all day")
	phone := s.waiting(alice, password)

	s.title("It is lost: its app password is revoked, its open session ends, and it gets in nowhere")
	s.command("app-password", "revoke", alice, id)
	s.hangsUp(phone)
	s.everywhere(alice, password, mailclient.Refused)

	s.webmail()

	s.title("What the administrator sees")
	s.command("user", "show", alice)
	return s.err
}

func (s *story) title(text string) {
	s.step++
	s.printf("\n── %d. %s\n", s.step, text)
}

func (s *story) printf(format string, args ...any) {
	if s.err == nil {
		fmt.Fprintf(s.out, format, args...)
	}
}

// command runs posternctl and shows it with all that it says. It returns its
// standard output.
func (s *story) command(args ...string) string {
	if s.err != nil {
		return ""
	}
	s.printf("\n$ posternctl %s\n", strings.Join(args, " "))
	binary, err := s.site.Binary(s.ctx, "posternctl")
	if err != nil {
		s.err = err
		return ""
	}
	var stdout bytes.Buffer
	var all transcript
	cmd := exec.CommandContext(s.ctx, binary, append([]string{"-config", s.site.Path}, args...)...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, &all), &all
	err = cmd.Run()
	s.printf("%s", indent(all.text.String()))
	s.err = err
	return stdout.String()
}

// transcript takes what a command writes to both its outputs, which come from two
// goroutines.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

// appPassword creates one, and takes from it what identifies it: its first group.
func (s *story) appPassword() (id, password string) {
	password = strings.TrimSpace(s.command("app-password", "create", alice, "--name", "phone"))
	id, _, _ = strings.Cut(password, "-")
	return id, password
}

// everywhere logs in at each of the five doors, and shows what each answers.
func (s *story) everywhere(user, password string, want mailclient.Outcome) {
	s.printf("\n")
	for _, service := range []mailclient.Service{mailclient.IMAP, mailclient.POP3, mailclient.Sieve, mailclient.Submission, mailclient.SMTP} {
		if lines := s.try(service, user, password, want); len(lines) > 0 {
			s.printf("  %-38s %s\n", names[service], lines[len(lines)-1])
		}
	}
}

// login shows the dialogue of one login, the password hidden as it is on a screen.
func (s *story) login(service mailclient.Service, user, password string, want mailclient.Outcome) {
	if lines := s.try(service, user, password, want); len(lines) > 0 {
		s.printf("\n%s\n%s", names[service], indent(strings.Join(lines, "\n")+"\n"))
	}
}

// try logs in and returns the dialogue. Any other answer than the wanted one ends
// the story.
func (s *story) try(service mailclient.Service, user, password string, want mailclient.Outcome) []string {
	if s.err != nil {
		return nil
	}
	r, err := mailclient.Login(s.ctx, mailclient.Target{Service: service, Addr: s.address(service)}, mechOf(service), user, password)
	if err != nil {
		s.err = fmt.Errorf("%s: %w", service, err)
		return nil
	}
	defer func() { _ = r.Conn.Close() }()
	if r.Outcome != want {
		s.err = fmt.Errorf("%s: the server's answer is not what this story tells: %s", service, r.Text)
	}
	return essence(r.Dialogue)
}

// waiting logs in by IMAP and stays, in IDLE.
func (s *story) waiting(user, password string) *mailclient.Conn {
	if s.err != nil {
		return nil
	}
	target := mailclient.Target{Service: mailclient.IMAP, Addr: s.address(mailclient.IMAP)}
	r, err := mailclient.Login(s.ctx, target, mailclient.MechNative, user, password)
	if err != nil {
		s.err = err
		return nil
	}
	lines, err := r.Conn.Command(s.ctx, "IDLE")
	dialogue := slices.Concat(essence(r.Dialogue), []string{"C: a2 IDLE", "S: " + strings.Join(lines, "\nS: ")})
	s.printf("\n%s\n%s", names[mailclient.IMAP], indent(strings.Join(dialogue, "\n")+"\n"))
	s.err = err
	return r.Conn
}

// hangsUp shows what the server says to somebody who waits, and that it then
// closes the connection.
func (s *story) hangsUp(c *mailclient.Conn) {
	if s.err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	for {
		line, err := c.ReadLine(ctx)
		if ctx.Err() != nil {
			s.err = fmt.Errorf("the session that was to end goes on: %w", ctx.Err())
		}
		if err != nil {
			s.printf("  (the server has closed the connection)\n")
			return
		}
		s.printf("\nThe waiting telephone\n  S: %s\n", line)
	}
}

// essence is a dialogue without the greeting and the server's list of what it can.
func essence(dialogue []string) []string {
	start := 0
	for i, line := range dialogue {
		if strings.HasPrefix(line, "C: ") {
			start = i
			if !strings.HasPrefix(line, "C: EHLO") {
				break
			}
		}
	}
	lines := slices.Clone(dialogue[start:])
	for i := range lines {
		lines[i] = capabilities.ReplaceAllString(lines[i], "[CAPABILITY …]")
	}
	return lines
}

var capabilities = regexp.MustCompile(`\[CAPABILITY [^]]*\]`)

// mechOf is what people know best: IMAP's LOGIN, POP3's USER and PASS; elsewhere PLAIN.
func mechOf(service mailclient.Service) mailclient.Mech {
	if service == mailclient.IMAP || service == mailclient.POP3 {
		return mailclient.MechNative
	}
	return mailclient.MechPlain
}

var names = map[mailclient.Service]string{
	"imap": "IMAP (Dovecot)", "pop3": "POP3 (Dovecot)", "sieve": "ManageSieve (Dovecot)",
	"submission": "Submission (Dovecot)", "smtp": "SMTP AUTH (Postfix, through Dovecot)",
}

func (s *story) address(service mailclient.Service) string {
	d := s.site.Dovecot
	port := map[mailclient.Service]int{
		"imap": d.IMAP, "pop3": d.POP3, "sieve": d.Sieve, "submission": d.Submission, "smtp": s.site.Postfix.Port,
	}[service]
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func indent(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}
