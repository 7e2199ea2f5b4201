package verify

import (
	"bytes"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

var full = Question{
	User: "alice@example.test", Password: []byte("p\x80+ &=%\x00\xff"), Service: "imap", Mech: "PLAIN",
	RemoteIP: "192.0.2.7", RealIP: "2001:db8::1", LocalIP: "192.0.2.1", Session: "s/+=", Agent: "name=\"Phone\"",
	Master: "m", OrigUser: "Alice", Secured: "TLS", Lookup: true, Door: "lua-2.4",
}

func TestFormRoundTrip(t *testing.T) {
	for _, q := range []Question{full, {User: "a"}, {User: "", Password: []byte("x")}} {
		form := AppendForm(nil, &q)
		if len(form) > MaxForm(&q) {
			t.Errorf("%d bytes, MaxForm says %d", len(form), MaxForm(&q))
		}
		var got Question
		if err := ParseForm(form, &got); err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("%q became %+v, %v", form, got, err)
		}
		if values, err := url.ParseQuery(string(form)); err != nil || values.Get("user") != q.User {
			t.Errorf("net/url reads %v, %v", values, err)
		}
	}
}

func TestMaxFormBoundsAllEscaped(t *testing.T) {
	q := full
	q.User, q.Agent = strings.Repeat("\xff", 600), strings.Repeat("%", 900)
	if n := len(AppendForm(nil, &q)); n > MaxForm(&q) {
		t.Errorf("%d bytes, MaxForm says %d", n, MaxForm(&q))
	}
}

func TestAppendFormAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, MaxForm(&full))
	if n := testing.AllocsPerRun(10, func() { AppendForm(buf, &full) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestParseFormRefuses(t *testing.T) {
	for _, form := range []string{
		"", "password=x", "user=a&user=b", "user=a&admin=1", "user=a&&service=imap",
		"user=%", "user=%4", "user=%zz", "user=a&lookup=yes", "user=a&lookup=", "User=a", "=a&user=b",
	} {
		var q Question
		if err := ParseForm([]byte(form), &q); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %+v, %v", form, q, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	fields := []Field{{"cred_id", "a=b"}, {"userdb_home", "/home/ü x"}}
	for line, a := range map[string]Answer{
		"granted\tcred_id=a=b\tuserdb_home=/home/ü x\n": {Verdict: Granted, Fields: fields},
		"granted\n":         {Verdict: Granted},
		"denied\n":          {Verdict: Denied},
		"denied\tunknown\n": {Verdict: Denied, Unknown: true},
		"next\n":            {Verdict: Next},
		"unavailable\n":     {},
	} {
		got, err := AppendAnswer(nil, a)
		if err != nil || string(got) != line {
			t.Errorf("%+v became %q, %v", a, got, err)
		}
		v, tail, err := ParseAnswer([]byte(line))
		if err != nil || v != a.Verdict || a.Unknown != (string(tail) == "unknown") {
			t.Errorf("%q was read as %v, %q, %v", line, v, tail, err)
		}
	}
}

// TestAttack14_FieldsThatDovecotMisreads: hostile values from the directory.
func TestAttack14_FieldsThatDovecotMisreads(t *testing.T) {
	for _, f := range []Field{
		{"home", "a\tuser=root"}, {"home", "a\nb"}, {"home", "a\rb"}, {"home", "a\x00b"}, {"home", "a\x01tb"},
		{"", "x"}, {"a b", "x"}, {"a=b", "x"}, {"UID", "0"}, {"a\t", "x"},
	} {
		if line, err := AppendAnswer(nil, Answer{Verdict: Granted, Fields: []Field{f}}); err == nil {
			t.Errorf("%q became %q", f, line)
		}
	}
	if line, err := AppendAnswer(nil, Answer{Verdict: Denied, Fields: []Field{{"a", "b"}}}); err == nil {
		t.Errorf("a denial has fields: %q", line)
	}
}

func TestParseAnswerRefuses(t *testing.T) {
	for _, line := range []string{
		"", "\n", "granted", "granted\r\n", "granted \n", "Granted\n", "granted\n\n", "granted\tx\n", "granted\t\n",
		"granted\t=x\n", "granted\ta=b\t\n", "granted\t\ta=b\n", "granted\tA=b\n", "granted\ta=\x01\n", "granted\ta=\x00\n",
		"denied\tother\n", "denied\t\n", "next\ta=b\n", "unavailable\tunknown\n", "yes\n",
	} {
		if v, tail, err := ParseAnswer([]byte(line)); !errors.Is(err, ErrMalformed) || v != Unavailable {
			t.Errorf("%q was read as %v, %q, %v", line, v, tail, err)
		}
	}
}

func FuzzParseForm(f *testing.F) {
	f.Add(AppendForm(nil, &full))
	f.Add([]byte("user=a&password=%FF+"))
	f.Fuzz(func(t *testing.T, form []byte) {
		var q, again Question
		if ParseForm(form, &q) != nil {
			return
		}
		if err := ParseForm(AppendForm(nil, &q), &again); err != nil {
			t.Errorf("%q: %+v cannot be read again: %v", form, q, err)
		}
		if again.User != q.User || !bytes.Equal(again.Password, q.Password) || again.Lookup != q.Lookup {
			t.Errorf("%+v became %+v", q, again)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte("granted\ta=b\n"))
	f.Add([]byte("denied\tunknown\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		v, tail, err := ParseAnswer(line)
		if err != nil && v != Unavailable {
			t.Errorf("%q: %v with an error", line, v)
		}
		if err == nil && v == Granted && bytes.ContainsAny(tail, "\x00\x01\r\n") {
			t.Errorf("%q lets through %q", line, tail)
		}
	})
}
