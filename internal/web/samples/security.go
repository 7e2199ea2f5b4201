package samples

import (
	"time"

	"postern/internal/account"
	"postern/internal/web"
)

func ago(d time.Duration) time.Time { return Now.Add(-d) }

const day = 24 * time.Hour

func full(c web.Common) *web.Security {
	mail := []account.Service{account.IMAP, account.SMTP}
	return &web.Security{
		Common: c, On: true, Since: ago(98 * day), MayDisable: true, MayAdd: both, MayTrust: true,
		Authenticators: []web.Credential{
			{ID: "totpaaaa", Name: "Pixel 9", Created: ago(98 * day), Used: ago(3 * time.Hour)},
			{ID: "totpbbbb", Name: "Old phone", Created: ago(300 * day), Disabled: true},
		},
		Passkeys: []web.PasskeyRow{
			{Credential: web.Credential{ID: "passaaaa", Name: "iCloud Keychain", Created: ago(20 * day), Used: ago(2 * day)}, Passwordless: true, MayPasswordless: true},
			{Credential: web.Credential{ID: "passbbbb", Name: "Windows Hello", Created: ago(10 * day)}, MayPasswordless: true},
			{Credential: web.Credential{ID: "passcccc", Name: "YubiKey 5 NFC", Created: ago(90 * day), Used: ago(40 * day)}, Key: true},
		},
		Plugins: []web.Credential{{ID: "plugaaaa", Name: "Push to +49 … 42", Created: ago(9 * day), Used: ago(day)}},
		Backup:  &web.BackupState{Total: 10, Used: 3, Created: ago(98 * day)},
		Devices: []web.Device{
			{ID: "deviaaaa", Browser: "Firefox on Linux", Address: "203.0.113.7", Since: ago(12 * day), Expires: Now.Add(18 * day), Used: ago(time.Hour), This: true},
			{ID: "devibbbb", Since: ago(25 * day), Expires: Now.Add(5 * day)},
		},
		Sessions: []web.Session{
			{ID: "sessaaaa", Browser: "Firefox on Linux", Address: "203.0.113.7", Since: ago(time.Hour), Seen: ago(2 * time.Minute), This: true},
			{ID: "sessbbbb", Browser: "Safari on iPhone", Address: "2001:db8:85a3:1234:5678:8a2e:370:7334", Since: ago(2 * day), Seen: ago(4 * time.Hour)},
			{ID: "sesscccc", Since: ago(3 * day), Seen: ago(3 * day)},
		},
		Apps: web.AppList{Allowed: true, Max: 25, List: []web.AppRow{
			{Credential: web.Credential{ID: "appaaaaa", Name: "iPhone", Created: ago(98 * day), Used: ago(time.Minute)}, Services: mail, UsedService: account.IMAP, UsedFrom: "198.51.100.23"},
			{Credential: web.Credential{ID: "appbbbbb", Name: "Scanner", Created: ago(60 * day)}, Services: []account.Service{account.SMTP}, Networks: []string{"192.0.2.0/28", "2001:db8:77::/48"}, Expires: Now.Add(30 * day), Flagged: true},
			{Credential: web.Credential{ID: "appccccc", Name: "Thunderbird", Created: ago(400 * day), Used: ago(190 * day)}, Services: mail, UsedService: account.IMAP, UsedFrom: "203.0.113.7", Unused: true},
			{Credential: web.Credential{ID: "appddddd", Name: "Outlook", Created: ago(95 * day), Used: ago(6 * day)}, Services: mail, UsedService: account.SMTP, Expires: ago(5 * day), Expired: true},
		}},
		Events: []web.Event{
			{Code: web.EventSignIn, At: ago(time.Hour), Address: "203.0.113.7", Client: "Firefox on Linux"},
			{Code: web.EventWrongFactor, At: ago(5 * time.Hour), Address: "198.51.100.99", Client: "Chrome on Windows", Count: 3},
			{Code: web.EventMethodAdded, At: ago(10 * day), Name: "Windows Hello", Address: "203.0.113.7"},
			{Code: web.EventMainPassword, At: ago(97 * day), Address: "198.51.100.23", Client: "Thunderbird"},
			{Code: web.EventTwoFactorOn, At: ago(98 * day), By: "helpdesk@example.test"},
		},
		Signal: &web.Signal{RPID: "localhost", UserID: "q83vEjRW", AcceptedIDs: []string{"AQID"}, Name: "alice@example.test", DisplayName: "alice@example.test"},
	}
}

func security() []Sample {
	c := common()
	c.Self = "/2fa/security"
	empty := &web.Security{Common: c, MayAdd: both, MayTrust: true, Recommend: true, Backup: &web.BackupState{}, Apps: web.AppList{Allowed: true}}
	owed := &web.Security{Common: c, Duty: grace, MayAdd: both}
	plain := &web.Security{Common: c, MayAdd: both}
	last := full(c)
	last.Backup.Used, last.MayDisable, last.Since = 9, false, time.Time{}
	last.Apps.Max, last.Passkeys = 2, nil
	long := full(c)
	long.User = longUser
	long.Authenticators[0].Name = "Diensttelefonderverwaltungsgemeinschaftniederbayernsüdost1234567"
	long.Devices[0].Browser = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	alerted := full(c)
	alerted.Alerts = []web.Event{
		{Code: web.EventMethodAdded, At: ago(2 * time.Hour), Name: "YubiKey 5 NFC", Address: "203.0.113.7", Client: "Firefox, Linux"},
		{Code: web.EventReset, At: ago(3 * day), By: "helpdesk@example.test"},
	}
	moving := full(c)
	moving.Since, moving.Known = ago(2*day), &web.Known{Until: Now.Add(12 * day), Places: []web.KnownPlace{
		{Service: account.IMAP, Network: "198.51.100.0/24", Seen: ago(2 * day)},
		{Service: account.SMTP, Network: "2001:db8:85a3::/48", Seen: ago(3 * day)},
	}}
	busy := with(web.Busy)
	all := []Sample{
		{Name: "security", Page: full(c)},
		{Name: "security-off", Page: empty},
		{Name: "security-plain", Page: plain},
		{Name: "security-grace", Page: owed},
		{Name: "security-few", Page: last},
		{Name: "security-alerts", Page: alerted},
		{Name: "security-known", Page: moving},
		{Name: "security-long", Page: long, Long: true},
		{Name: "security-problem", Page: full(busy)},
	}
	for _, e := range eventCodes {
		page := &web.Security{Common: c, On: true, Events: []web.Event{{Code: e, At: Now, Name: "Pixel 9", By: "helpdesk@example.test"}}}
		all = append(all, Sample{Name: "event-" + string(e), Page: page})
	}
	for _, n := range noticeCodes {
		all = append(all, Sample{Name: "done-" + string(n), Page: full(done(n, "Pixel 9"))})
	}
	return all
}

func changes() []Sample {
	all := []Sample{
		{Name: "rename", Page: &web.Rename{Common: common(), Kind: web.KindPasskey, ID: "passaaaa", Name: "Pixel 9", Was: "Pixel 9"}},
		{Name: "remove-last", Page: &web.Remove{Common: common(), Kind: web.KindTOTP, ID: "totpaaaa", Name: "Pixel 9", Left: web.Remaining{BackupCodes: 7, MustEnrol: true}}},
		{Name: "remove-problem", Page: &web.Remove{Common: with(web.Busy), Kind: web.KindTOTP, ID: "totpaaaa", Name: "Pixel 9", Left: web.Remaining{Plugins: 1}}},
	}
	for _, k := range kinds {
		all = append(all, Sample{Name: "remove-" + string(k), Page: &web.Remove{
			Common: common(), Kind: k, ID: "aaaabbbb", Name: "Pixel 9",
			Left: web.Remaining{Authenticators: 1, Passkeys: 2, BackupCodes: 7},
		}})
	}
	for _, q := range questions {
		for _, n := range []int{1, 7} {
			all = append(all, Sample{Name: "ask-" + string(q) + "-" + string(rune('0'+n)), Page: &web.Ask{Common: common(), What: q, N: n}})
		}
	}
	return all
}

func appNew(c web.Common) *web.AppNew {
	return &web.AppNew{
		Common: c, Suggest: []string{"iPhone", "Thunderbird", "Outlook"}, Services: account.Scopes,
		Chosen: account.MailServices, Terms: []int{0, 30, 90, 365}, Expires: 90,
	}
}

func apps() []Sample {
	created := &web.AppCreated{
		Common: common(), Name: "iPhone", Login: "alice@example.test",
		Password: account.SecretString("abcd-efgh-ijkl-mnop-qrst-uvwx-yz23"), Services: account.MailServices,
		Expires: Now.Add(90 * day), QR: account.SecretString("alice@example.test abcd-efgh-ijkl-mnop-qrst-uvwx-yz23"),
		Servers: []web.Server{
			{Service: account.IMAP, Host: "imap.example.test", Port: 993},
			{Service: account.SMTP, Host: "smtp.example.test", Port: 587, StartTLS: true},
		},
		Profile: "/2fa/profile?t=xyz", Address: account.SecretString("https://mail.example.test/2fa/profile?t=xyz"),
	}
	created.Self = ""
	long := *created
	long.User, long.Login = longUser, longUser
	return []Sample{
		{Name: "app-new", Page: appNew(common())},
		{Name: "profile", Page: &web.Profile{Common: common(), Name: "iPhone", Login: "alice@example.test"}},
		{Name: "app-created", Page: created},
		{Name: "app-created-plain", Page: &web.AppCreated{Common: common(), Name: "Scanner", Login: "alice@example.test", Password: created.Password, Services: []account.Service{account.DAV}}},
		{Name: "app-created-long", Page: &long, Long: true},
	}
}

func messages() []Sample {
	all := make([]Sample, 0, 16)
	for _, m := range messageCodes {
		page := &web.Message{Common: common(), Code: m}
		if m == web.MessageUnavailable {
			page.Retry = "/2fa/security"
		}
		if m == web.MessageAdminFactor {
			page.Setup = "/2fa/security/add"
		}
		all = append(all, Sample{Name: "message-" + string(m), Page: page})
	}
	return append(all, Sample{Name: "message-bare", Page: &web.Message{Code: web.MessageNotFound}})
}
