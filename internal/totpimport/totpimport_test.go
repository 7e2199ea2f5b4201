package totpimport_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"postern/internal/factor"
	"postern/internal/totpimport"
)

const (
	secret32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // 12345678901234567890
	secretHx = "3132333435363738393031323334353637383930"
	plain    = "12345678901234567890"
)

// param is an authenticator as Google Authenticator exports it.
func param(name, issuer string, algorithm, digits, kind uint64) []byte {
	var b []byte
	b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), []byte(plain))
	b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), []byte(name))
	b = protowire.AppendBytes(protowire.AppendTag(b, 3, protowire.BytesType), []byte(issuer))
	for i, v := range []uint64{algorithm, digits, kind} {
		b = protowire.AppendVarint(protowire.AppendTag(b, protowire.Number(4+i), protowire.VarintType), v)
	}
	return b
}

func migration(params ...[]byte) string {
	var b []byte
	for _, p := range params {
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), p)
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), 1)
	return "otpauth-migration://offline?data=" + url.QueryEscape(base64.StdEncoding.EncodeToString(b))
}

func TestT4_Formats(t *testing.T) {
	for name, c := range map[string]struct {
		format, file string
		want         totpimport.Entry
	}{
		"csv": {"csv", "alice@example.test," + secret32 + ",Token 7,SHA-256,8,60\n",
			totpimport.Entry{Line: 1, User: "alice@example.test", Name: "Token 7", Options: factor.TOTPOptions{Algorithm: factor.SHA256, Digits: 8, Period: 60}}},
		"csv, short, in small letters":  {"csv", "# from\n\nalice@example.test, " + strings.ToLower(secret32), totpimport.Entry{Line: 3, User: "alice@example.test"}},
		"csv with a header and a BOM":   {"csv", "\ufeffSecret;User\r\n" + secret32 + ";alice@example.test\r\n", totpimport.Entry{Line: 2, User: "alice@example.test"}},
		"axigen":                        {"axigen", "mailbox,secret\nalice@example.test,\"" + secret32 + "\"\n", totpimport.Entry{Line: 2, User: "alice@example.test"}},
		"an address with a user before": {"otpauth", "alice@example.test otpauth://totp/Old:al?secret=" + secret32 + "&issuer=Old\n", totpimport.Entry{Line: 1, User: "alice@example.test", Name: "Old"}},
		"an address with a label": {"otpauth", "otpauth://totp/Old%20Mail:alice%40example.test?secret=" + secret32 + "&digits=8&period=60&algorithm=SHA512\n",
			totpimport.Entry{Line: 1, User: "alice@example.test", Name: "Old Mail", Options: factor.TOTPOptions{Algorithm: factor.SHA512, Digits: 8, Period: 60}}},
		"Google Authenticator": {"otpauth", migration(param("Old:alice@example.test", "", 2, 2, 2)),
			totpimport.Entry{Line: 1, User: "alice@example.test", Name: "Old", Options: factor.TOTPOptions{Algorithm: factor.SHA256, Digits: 8}}},
		"privacyIDEA's CSV": {"privacyidea", "serial,user,otpkey,tokentype,hashlib,otplen,timeStep\nTOTP0001,alice@example.test," + secretHx + ",TOTP,sha256,8,60\n",
			totpimport.Entry{Line: 2, User: "alice@example.test", Name: "TOTP0001", Options: factor.TOTPOptions{Algorithm: factor.SHA256, Digits: 8, Period: 60}}},
		"privacyIDEA's JSON": {"privacyidea", `[{"serial":"TOTP0001","username":"alice","user_realm":"example.test","otpkey":"` + secretHx + `","tokentype":"totp","otplen":8,"active":true,"info":{"hashlib":"sha256","timeStep":"60"}}]`,
			totpimport.Entry{Line: 1, User: "alice@example.test", Name: "TOTP0001", Options: factor.TOTPOptions{Algorithm: factor.SHA256, Digits: 8, Period: 60}}},
	} {
		l, err := totpimport.Read(c.format, strings.NewReader(c.file))
		if err != nil || len(l.Entries) != 1 || len(l.Problems) != 0 {
			t.Errorf("%s: %d entries, %v, %v", name, len(l.Entries), l.Problems, err)
			continue
		}
		got, want := l.Entries[0], c.want
		a, _ := factor.NewTOTP(got.Options)
		want.Options.Secret = []byte(plain)
		b, _ := factor.NewTOTP(want.Options)
		if got.Line != want.Line || got.User != want.User || got.Name != want.Name || a.URI("i", "n") != b.URI("i", "n") {
			t.Errorf("%s: line %d, user %q, name %q, %d digits, %d s, %s", name, got.Line, got.User, got.Name, a.Digits, a.Period, a.Algorithm)
		}
	}
}

// TestT4_Problems: each wrong line is named, the right ones beside it are read, and no
// text shows anything of the file.
func TestT4_Problems(t *testing.T) {
	good := "good@example.test," + secret32 + "\n"
	for name, c := range map[string]struct{ format, file, want string }{
		"no base32":          {"csv", "alice@example.test,XYZXYZXYZ10189XYZXYZ\n" + good, "line 1: the secret must be base32"},
		"mixed up":           {"csv", secret32 + ",alice@example.test\n" + good, "line 1: the secret must be base32"},
		"secret as number":   {"csv", "alice@example.test," + secret32 + ",n,SHA1," + secret32 + "\n" + good, "line 1: a code must have 6 or 8 digits"},
		"secret as hash":     {"csv", "alice@example.test," + secret32 + ",n," + secret32 + "\n" + good, "line 1: the algorithm must be"},
		"no user":            {"csv", " ," + secret32 + "\n" + good, "line 1: there is no user"},
		"no secret":          {"csv", "alice@example.test\n" + good, "line 1: there is no secret"},
		"odd period":         {"csv", "a@example.test," + secret32 + ",,,,45\n" + good, "line 1: a code must last 30 or 60"},
		"columns":            {"csv", "a,b,c,d,e,f," + secret32 + "\n" + good, "line 1: 7 columns"},
		"quotes":             {"csv", good + "a@example.test,\"" + secret32 + "\"x\n", "line 2: "},
		"twice":              {"csv", good + strings.ToUpper(good[:17]) + good[17:], "line 2: the same as line 1"},
		"hotp address":       {"otpauth", "otpauth://hotp/a?secret=" + secret32 + "&counter=1\ngood@example.test otpauth://totp/x?secret=" + secret32, "line 1: this is HOTP"},
		"hotp of Google":     {"otpauth", migration(param("a@example.test", "", 1, 1, 1), param("good@example.test", "", 1, 1, 2)), "line 1: this is HOTP"},
		"md5 of Google":      {"otpauth", migration(param("a@example.test", "", 4, 1, 2), param("good@example.test", "", 1, 1, 2)), "line 1: an authenticator in it"},
		"no address":         {"otpauth", secret32 + "\ngood@example.test otpauth://totp/x?secret=" + secret32, "line 1: there is no otpauth"},
		"broken address":     {"otpauth", "otpauth://totp/%zz?secret=" + secret32 + "\ngood@example.test otpauth://totp/x?secret=" + secret32, "line 1: the address cannot be read"},
		"broken data":        {"otpauth", "otpauth-migration://offline?data=" + secret32 + "\ngood@example.test otpauth://totp/x?secret=" + secret32, "line 1: the data"},
		"hotp token":         {"privacyidea", "user,otpkey,tokentype\na@example.test," + secretHx + ",HOTP\ngood@example.test," + secretHx + ",totp", "line 2: this is an HOTP token"},
		"no hexadecimal":     {"privacyidea", "user,otpkey,tokentype\na@example.test," + secret32 + ",totp\ngood@example.test," + secretHx + ",totp", "line 2: the secret must be hexadecimal"},
		"a token of no user": {"privacyidea", "user,otpkey,tokentype\n," + secretHx + ",totp\ngood@example.test," + secretHx + ",totp", "line 2: there is no user"},
		"another token":      {"privacyidea", "user,otpkey,tokentype\na@example.test," + secretHx + ",sms\ngood@example.test," + secretHx + ",totp", "line 2: the token's type"},
	} {
		l, err := totpimport.Read(c.format, strings.NewReader(c.file))
		if err != nil || len(l.Problems) != 1 || len(l.Entries) != 1 || !strings.EqualFold(l.Entries[0].User, "good@example.test") {
			t.Errorf("%s: %d entries, %v, %v", name, len(l.Entries), l.Problems, err)
			continue
		}
		if text := l.Problems[0].Error(); !strings.HasPrefix(text, c.want) || strings.Contains(text, secret32) || strings.Contains(text, secretHx) {
			t.Errorf("%s: %s", name, text)
		}
	}
	for _, file := range []string{"[{", `[{"otpkey": ` + secret32 + `}]`} {
		if _, err := totpimport.Read("privacyidea", strings.NewReader(file)); err == nil || strings.Contains(err.Error(), secret32) {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, err := totpimport.Read("excel", strings.NewReader(good)); err == nil || !strings.Contains(err.Error(), "axigen, csv, otpauth, privacyidea") {
		t.Errorf("an unknown format: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("csv", "alice@example.test,"+secret32)
	f.Add("otpauth", migration(param("a", "", 1, 1, 2)))
	f.Add("privacyidea", "[{}]")
	f.Fuzz(func(t *testing.T, format, file string) {
		l, err := totpimport.Read(format, strings.NewReader(file))
		if err != nil {
			return
		}
		for _, e := range l.Entries {
			if a, err := factor.NewTOTP(e.Options); err != nil || strings.TrimSpace(e.User) == "" {
				t.Errorf("%+v: %v", a, err)
			}
		}
	})
}
