package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// webmail tells the other half: what Roundcube's plug-in does when somebody signs
// in, with curl in the parts of Roundcube and of the browser.
func (s *story) webmail() {
	s.title("Webmail asks the hook API instead of the mail server. plain@ gets a ticket at once: a password for ten minutes")
	a := s.hook("login", s.typed(plain))
	s.login(mailclient.IMAP, plain, a["ticket"], mailclient.OK)

	s.title("alice@ has two-factor login: her password alone gets her no ticket, only the address of a page")
	asked := s.hook("login", s.typed(alice))

	s.title("The page, in her browser, asks for the code that her telephone shows")
	code := s.page(asked["url"])

	s.title("Her browser comes back with a code for webmail, which exchanges it for a session and a ticket")
	a = s.hook("exchange", pairs{{"transaction", asked["transaction"]}, {"code", code}})
	s.login(mailclient.IMAP, alice, a["ticket"], mailclient.OK)

	s.title("While she reads her mail, webmail renews the ticket")
	grant := pairs{{"grant", a["grant"]}}
	ticket := s.hook("renew", grant)["ticket"]
	s.login(mailclient.IMAP, alice, ticket, mailclient.OK)

	s.title("She logs out, and the ticket opens nothing any more. Her main password still opens nothing either")
	s.hook("logout", grant)
	s.login(mailclient.IMAP, alice, ticket, mailclient.Refused)
	s.everywhere(alice, mailtest.Password, mailclient.Refused)
}

// pairs are the fields of a call, in the order in which they are shown.
type pairs [][2]string

// typed is a login form as somebody has filled it in.
func (s *story) typed(user string) pairs {
	return pairs{{"user", user}, {"password", mailtest.Password}, {"remote_ip", "127.0.0.1"}, {"return_to", s.site.Webmail.URL}}
}

// hook calls a method of the hook API and returns its answer's fields.
func (s *story) hook(method string, fields pairs) map[string]string {
	words := make([]string, len(fields))
	for i, f := range fields {
		words[i] = fmt.Sprintf("%q: %q", f[0], f[1])
	}
	header := "@" + filepath.Join(stateDir, "postern", filepath.Base(headerFile(s.site)))
	out := s.curl("{"+strings.Join(words, ", ")+"}", "-H", header, "--json", "@-", s.site.Webmail.Webhook().URL()+"v1/"+method)
	s.printf("%s", indent(cut(out)))
	var answer map[string]any
	if s.err == nil {
		s.err = json.Unmarshal([]byte(out), &answer)
	}
	texts := map[string]string{}
	for name, value := range answer {
		texts[name] = fmt.Sprint(value)
	}
	return texts
}

// page opens a page that asks for a code, as a browser with a cookie jar, answers
// it, and returns the code with which the browser is sent back.
func (s *story) page(url string) string {
	jar := filepath.Join(stateDir, "postern", "cookies")
	text := s.curl("", "-c", jar, url)
	for _, tag := range []string{"h1", "label"} {
		s.printf("  <%s>%s</%[1]s>\n", tag, element(text, tag))
	}
	code := strings.TrimSpace(s.command("totp", "code", alice))
	form := fmt.Sprintf("t=%s&csrf=%s&method=totp&code=%s", hidden(text, "t"), hidden(text, "csrf"), code)
	to := s.curl(form, "-b", jar, "-d", "@-", "-o", "/dev/null", "-w", `%{redirect_url}\n`, s.site.Webmail.PublicURL+"sign-in")
	s.printf("%s", indent(cut(to)))
	_, code, found := strings.Cut(strings.TrimSpace(to), "code=")
	if !found && s.err == nil {
		s.err = fmt.Errorf("the page sends the browser to %q", to)
	}
	return code
}

// curl runs curl with an input, shows the command and returns what it wrote.
func (s *story) curl(input string, args ...string) string {
	if s.err != nil {
		return ""
	}
	shown := "curl -s"
	for _, a := range args {
		shown += " " + quote(cut(a))
	}
	if input != "" {
		shown += " <<< " + quote(cut(input))
	}
	s.printf("\n$ %s\n", shown)
	cmd := exec.CommandContext(s.ctx, "curl", append([]string{"-s"}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		s.err = fmt.Errorf("curl: %w: %s", err, complaints.String())
	}
	return out.String()
}

// cut shortens the sealed texts that nobody reads.
func cut(text string) string { return sealed.ReplaceAllString(text, "$1…") }

var sealed = regexp.MustCompile(`([A-Za-z0-9_-]{12})[A-Za-z0-9_.~%-]{28,}`)

// element is the text of the first element with a tag.
func element(page, tag string) string {
	m := regexp.MustCompile(`<` + tag + `\b[^>]*>([^<]*)</` + tag + `>`).FindStringSubmatch(page)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(html.UnescapeString(m[1]))
}

// hidden is the value of a hidden field.
func hidden(page, name string) string {
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}
