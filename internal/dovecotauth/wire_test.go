package dovecotauth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"postern/internal/account"
)

// A question is one line, as long as it was said to be at most, of the same words
// whatever stands in them.
func TestQuestionIsOneLine(t *testing.T) {
	for _, text := range []string{"x", "a\tb", "a\nb\rc", "\x01", "\x011t", "ä", strings.Repeat("\t", 300), strings.Repeat("p", 11000)} {
		q := question{service: text, session: text, user: "u" + text, password: account.SecretString(text)}
		if q.check() != nil {
			if q.lineLength() <= maxLine {
				t.Errorf("%.20q: %v", text, q.check())
			}
			continue
		}
		line := q.appendLine(nil, 1<<32-1)
		words := strings.Split(string(line), "\t")
		if len(words) != 9 || bytes.ContainsAny(line, "\r\n") || len(line)+1 > q.lineLength() {
			t.Fatalf("%.20q: %d words, %d bytes of %d: %.100q", text, len(words), len(line), q.lineLength(), line)
		}
		if got := unescapes.Replace(strings.TrimPrefix(words[4], "session=")); got != text {
			t.Errorf("the session %.20q arrives as %.20q", text, got)
		}
		plain, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(words[8], "resp="))
		if err != nil || string(plain) != "\x00u"+text+"\x00"+text {
			t.Errorf("%.20q: %q, %v", text, plain, err)
		}
	}
}

// FuzzAnswer: whatever Dovecot says, only OK about this user lets in, and only FAIL
// about this user is "wrong".
func FuzzAnswer(f *testing.F) {
	f.Add("OK\t1\tuser=alice@example.test")
	f.Add("FAIL\t1\tuser=alice@example.test\tcode=temp_fail\treason=x\x01ty")
	f.Add("FAIL\t2\ttemp")
	f.Add("CONT\t3\tdXNlcg==")
	f.Add("\x01")
	f.Fuzz(func(t *testing.T, line string) {
		_, a, ok := parseAnswer(line)
		if !ok {
			return
		}
		err := a.verdict("alice@example.test")
		about := strings.Contains(strings.ToLower(line), "user=alice")
		if err == nil && (!strings.HasPrefix(line, "OK\t") || !about) ||
			errors.Is(err, account.ErrWrong) && (!strings.HasPrefix(line, "FAIL\t") || !about) {
			t.Errorf("%q: %v", line, err)
		}
	})
}
