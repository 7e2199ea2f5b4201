package mailtest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// SOGoOptions say which servers a SOGo is for.
type SOGoOptions struct {
	// IMAP and SMTP are loopback ports, without TLS.
	IMAP, SMTP int
	// Directory knows its users.
	Directory *Slapd
	// Config are further settings, such as "SOGoLanguage = English;".
	Config string
}

// SOGo is a running SOGo of Debian 13 with its database and cache, in the root
// directory that scripts/debian-root builds. Nginx shows it to browsers by what
// Location returns.
type SOGo struct {
	// Dir holds its files, as we see it, Root is the root directory in which it runs.
	Dir, Root string
	// Port is its own loopback port.
	Port int

	memcached, postgres int
	ports               ports
	proc                *process
}

// StartSOGo starts one.
func StartSOGo(ctx context.Context, o SOGoOptions) (*SOGo, error) {
	root, err := trixieRoot(ctx)
	if err != nil {
		return nil, err
	}
	s := &SOGo{Root: root}
	if s.Dir, err = makeDir(filepath.Join(root, "tmp")); err != nil {
		return nil, err
	}
	if err := s.start(ctx, o); err != nil {
		s.Stop()
		return nil, fmt.Errorf("sogo: %w\n%s", err, s.Log())
	}
	return s, nil
}

func (s *SOGo) start(ctx context.Context, o SOGoOptions) error {
	if err := s.ports.takeAll(&s.Port, &s.memcached, &s.postgres); err != nil {
		return err
	}
	fill := strings.NewReplacer("@DIR@", s.inside(), "@DATABASE@", fmt.Sprintf("postgresql://sogo:sogo@127.0.0.1:%d/sogo", s.postgres),
		"@PGPORT@", fmt.Sprint(s.postgres), "@MEMCACHED@", fmt.Sprint(s.memcached), "@PORT@", fmt.Sprint(s.Port),
		"@IMAP@", fmt.Sprint(o.IMAP), "@SMTP@", fmt.Sprint(o.SMTP), "@LDAP@", o.Directory.URI(),
		"@PEOPLE@", People, "@BINDDN@", RootDN, "@BINDPASSWORD@", Password, "@CONFIG@", o.Config)
	err := writeFiles(s.Dir, map[string]string{"etc/sogo.conf": fill.Replace(sogoConfig), "run": fill.Replace(sogoRun)})
	if err != nil {
		return err
	}
	if err := s.own(ctx); err != nil {
		return err
	}
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-euc", sogoNamespace, "sogo", s.Root, s.Dir, filepath.Join(s.inside(), "run"))
	if s.proc, err = startProcess("sogo", cmd); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return s.proc.await(ctx, func() error { return s.ready(ctx) })
}

// own gives the files to the root directory's user sogo.
func (s *SOGo) own(ctx context.Context) error {
	_, err := run(ctx, "chroot", s.Root, "chown", "-R", "sogo:sogo", s.inside())
	return err
}

// ready reports as an error that it does not answer. What it answers is no matter:
// without OpenID provider it complains.
func (s *SOGo) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+loopback(s.Port)+"/SOGo/", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// inside is its directory as it sees it.
func (s *SOGo) inside() string { return strings.TrimPrefix(s.Dir, s.Root) }

// Location is what nginx needs in the server block, for the address that browsers
// know, with a / at the end.
func (s *SOGo) Location(url string) string {
	return strings.NewReplacer("@PORT@", loopback(s.Port), "@URL@", strings.TrimSuffix(url, "/"), "@ROOT@", s.Root).Replace(sogoLocation)
}

// Log is what it and its database have logged so far.
func (s *SOGo) Log() string {
	if s.proc == nil {
		return ""
	}
	return s.proc.log.String()
}

// Stop ends it at once and removes its files.
func (s *SOGo) Stop() {
	s.proc.kill()
	s.ports.release()
	_ = os.RemoveAll(s.Dir)
}

// sogoNamespace gives SOGo, which takes its configuration from nowhere else, an
// /etc/sogo of its own, and the /proc that it wants. Both are gone with the process, and
// so are its workers, which without it would run in circles.
const sogoNamespace = `mount -t proc proc "$1/proc"
mount --bind "$2/etc" "$1/etc/sogo"
exec chroot --userspec=sogo:sogo "$1" /bin/sh -eu "$3"`

// sogoRun starts the cache, the database and SOGo.
const sogoRun = `cd @DIR@
export HOME=@DIR@
memcached -l 127.0.0.1 -U 0 -p @MEMCACHED@ &
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
initdb -D database -A trust -U sogo --no-sync -N -E UTF8 --locale=C >/dev/null
postgres -D database -k @DIR@ -h 127.0.0.1 -p @PGPORT@ -c fsync=off -c dynamic_shared_memory_type=mmap &
until createdb -h 127.0.0.1 -p @PGPORT@ -U sogo sogo 2>/dev/null; do kill -0 $!; done
exec /usr/sbin/sogod -WONoDetach YES -WOLogFile - -WOPidFile @DIR@/pid -WOPort 127.0.0.1:@PORT@ -WOWorkersCount 3
`

const sogoConfig = `{
  SOGoProfileURL = "@DATABASE@/sogo_user_profile";
  OCSFolderInfoURL = "@DATABASE@/sogo_folder_info";
  OCSSessionsFolderURL = "@DATABASE@/sogo_sessions_folder";
  OCSEMailAlarmsFolderURL = "@DATABASE@/sogo_alarms_folder";
  OCSOpenIdURL = "@DATABASE@/sogo_openid";
  SOGoMemcachedHost = "127.0.0.1:@MEMCACHED@";
  SOGoLanguage = English;
  SOGoTimeZone = UTC;
  SOGoIMAPServer = "imap://127.0.0.1:@IMAP@";
  SOGoSMTPServer = "smtp://127.0.0.1:@SMTP@";
  SOGoMailingMechanism = smtp;
  SOGoSMTPAuthenticationType = plain;
  SOGoUserSources = ({
    type = ldap; id = people; canAuthenticate = YES; isAddressBook = NO;
    hostname = "@LDAP@"; baseDN = "@PEOPLE@"; bindDN = "@BINDDN@"; bindPassword = "@BINDPASSWORD@";
    CNFieldName = cn; IDFieldName = mail; UIDFieldName = mail; bindFields = (mail);
  });
  @CONFIG@
}
`

const sogoLocation = `location /SOGo/ {
			proxy_pass http://@PORT@;
			proxy_buffer_size 64k;
			proxy_buffers 8 64k;
			proxy_set_header X-Webobjects-Server-Protocol HTTP/1.0;
			proxy_set_header X-Webobjects-Remote-Host 127.0.0.1;
			proxy_set_header X-Webobjects-Server-Url @URL@;
		}
		location /SOGo.woa/WebServerResources/ { alias @ROOT@/usr/lib/x86_64-linux-gnu/GNUstep/SOGo/WebServerResources/; }
		location /SOGo/WebServerResources/ { alias @ROOT@/usr/lib/x86_64-linux-gnu/GNUstep/SOGo/WebServerResources/; }
`
