package mailclient

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// script plays a server: lines "S: " are sent, lines "C: " are expected.
func script(t *testing.T, lines string) (addr string, done <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		defer func() { _ = l.Close() }()
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		play(t, c, strings.Split(strings.TrimSpace(lines), "\n"))
	}()
	return l.Addr().String(), finished
}

func play(t *testing.T, c net.Conn, lines []string) {
	in := bufio.NewReader(c)
	for _, line := range lines {
		side, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if side == "S" {
			_, _ = c.Write([]byte(text + "\r\n"))
			continue
		}
		got, err := in.ReadString('\n')
		if got = strings.TrimRight(got, "\r\n"); err != nil || got != text {
			t.Errorf("client said %q (%v), want %q", got, err, text)
			return
		}
	}
}

// AGUAcA== is NUL e NUL p, ZQ== and cA== are its halves.
var dialogues = []struct {
	name    string
	service Service
	mech    Mech
	outcome Outcome
	lines   string
}{
	{"imap plain", IMAP, MechPlain, OK, "S: * OK hello\nC: a1 AUTHENTICATE PLAIN AGUAcA==\nS: * CAPABILITY x\nS: a1 OK in"},
	{"imap login", IMAP, MechLogin, Refused, "S: * OK hello\nC: a1 AUTHENTICATE LOGIN\nS: + VXNlcm5hbWU6\nC: ZQ==\nS: + UGFzc3dvcmQ6\nC: cA==\nS: a1 NO [AUTHENTICATIONFAILED] no"},
	{"imap native", IMAP, MechNative, Temporary, "S: * OK hello\nC: a1 LOGIN \"e\" \"p\"\nS: a1 NO [UNAVAILABLE] later"},
	{"pop3 plain", POP3, MechPlain, OK, "S: +OK hello\nC: AUTH PLAIN AGUAcA==\nS: +OK in"},
	{"pop3 native", POP3, MechNative, Temporary, "S: +OK hello\nC: USER e\nS: +OK\nC: PASS p\nS: -ERR [SYS/TEMP] later"},
	{"pop3 login", POP3, MechLogin, Refused, "S: +OK hello\nC: AUTH LOGIN\nS: + VXNlcm5hbWU6\nC: ZQ==\nS: + UGFzc3dvcmQ6\nC: cA==\nS: -ERR [AUTH] no"},
	{"sieve plain", Sieve, MechPlain, Temporary, "S: \"SASL\" \"PLAIN LOGIN\"\nS: OK \"hello\"\nC: AUTHENTICATE \"PLAIN\" \"AGUAcA==\"\nS: NO (TRYLATER) \"later\""},
	{"sieve login", Sieve, MechLogin, OK, "S: OK \"hello\"\nC: AUTHENTICATE \"LOGIN\"\nS: {12}\nS: VXNlcm5hbWU6\nC: \"ZQ==\"\nS: \"UGFzc3dvcmQ6\"\nC: \"cA==\"\nS: OK \"in\""},
	{"smtp plain", SMTP, MechPlain, Temporary, "S: 220 hello\nC: EHLO client.example.test\nS: 250-x\nS: 250 AUTH PLAIN\nC: AUTH PLAIN AGUAcA==\nS: 454 4.7.0 later"},
	{"smtp login", SMTP, MechLogin, Refused, "S: 220 hello\nC: EHLO client.example.test\nS: 250 x\nC: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: ZQ==\nS: 334 UGFzc3dvcmQ6\nC: cA==\nS: 535 5.7.8 no"},
}

func TestDialogues(t *testing.T) {
	for _, d := range dialogues {
		t.Run(d.name, func(t *testing.T) {
			addr, done := script(t, d.lines)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			r, err := Login(ctx, Target{Service: d.service, Addr: addr}, d.mech, "e", "p")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Conn.Close() }()
			<-done
			if r.Outcome != d.outcome {
				t.Errorf("%v (%s), want %v", r.Outcome, r.Text, d.outcome)
			}
			said := strings.Join(r.Dialogue, "\n")
			for _, secret := range []string{"AGUAcA==", "cA==", "PASS p", `"p"`} {
				if strings.Contains(said, secret) {
					t.Errorf("the dialogue shows %q:\n%s", secret, said)
				}
			}
		})
	}
}

// TestBreaksOff: no answer is no refusal.
func TestBreaksOff(t *testing.T) {
	for service, greeting := range map[Service]string{IMAP: "S: * OK", POP3: "S: +OK", Sieve: "S: OK"} {
		addr, done := script(t, greeting)
		if r, err := Login(t.Context(), Target{Service: service, Addr: addr}, MechPlain, "e", "p"); err == nil || r.Conn != nil {
			t.Errorf("%s: %v, %v", service, r, err)
		}
		<-done
	}
}

// TestContext ends a dialogue with a server that says nothing.
func TestContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Login(ctx, Target{Service: IMAP, Addr: l.Addr().String()}, MechPlain, "e", "p"); err == nil {
		t.Error("no error")
	}
}

func TestOffered(t *testing.T) {
	for service, lines := range map[Service]string{
		IMAP:  "S: * OK\nC: a1 CAPABILITY\nS: * CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN\nS: a1 OK",
		POP3:  "S: +OK\nC: CAPA\nS: +OK\nS: UIDL\nS: SASL PLAIN LOGIN\nS: .",
		Sieve: "S: \"SASL\" \"PLAIN LOGIN\"\nS: OK",
		SMTP:  "S: 220 x\nC: EHLO client.example.test\nS: 250-x\nS: 250 AUTH PLAIN LOGIN",
	} {
		addr, done := script(t, lines)
		c, err := Dial(t.Context(), Target{Service: service, Addr: addr})
		if err != nil {
			t.Fatal(err)
		}
		mechs, err := c.Mechanisms(t.Context())
		if err != nil || strings.Join(mechs, " ") != "PLAIN LOGIN" {
			t.Errorf("%s: %q, %v", service, mechs, err)
		}
		_ = c.Close()
		<-done
	}
}
