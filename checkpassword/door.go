package main

import "postern/internal/verify"

// Exit codes, from Dovecot's src/auth/db-checkpassword.c. A lookup's success is
// 2 and its unknown user 3; a login's are 0 and 1. Everything else is an internal
// failure in both, which is why trouble of any kind is 111 and never 2.
const (
	exitGranted       = 0
	exitDenied        = 1
	exitLookupGranted = 2
	exitLookupUnknown = 3
	exitUnavailable   = 111
)

// How long one login may take. Dovecot itself never ends a child.
const (
	readMillis = 10_000 // for reading descriptor 3
	askMillis  = 5_000  // for the whole question and its answer
)

// Sizes of the buffers. A request of 512 bytes is at most 1536 when escaped; the
// rest is for what the environment says, of which AUTH_CLIENT_ID is the longest.
const (
	requestSize = 8 << 10
	answerSize  = 8 << 10
)

// door is one login. Its buffers are part of it, so that it can lie in static
// memory; pages that a login does not touch cost nothing.
type door struct {
	in, out, log int // 3, 4 and 2, but in tests
	readMillis   int64
	askMillis    int64

	question verify.Question
	kernel   kernel

	pipe    [pipeSize]byte
	request [requestSize]byte
	answer  [answerSize]byte
}

func newDoor(in, out, log int) *door {
	d := new(door)
	d.init(in, out, log)
	return d
}

func (d *door) init(in, out, log int) {
	d.in, d.out, d.log = in, out, log
	d.readMillis, d.askMillis = readMillis, askMillis
}

// env takes one entry of the environment. The names are those of
// checkpassword_setup_env in Dovecot's src/auth/db-checkpassword.c; AUTH_* are
// its %variables.
func (d *door) env(entry string) {
	for i := range len(entry) {
		if entry[i] == '=' {
			d.set(entry[:i], entry[i+1:])
			return
		}
	}
}

func (d *door) set(key, value string) {
	q := &d.question
	switch key {
	case "SERVICE":
		q.Service = value
	case "TCPREMOTEIP":
		q.RemoteIP = value
	case "TCPLOCALIP":
		q.LocalIP = value
	case "AUTH_REAL_RIP":
		q.RealIP = value
	case "AUTH_MECH":
		q.Mech = value
	case "AUTH_SECURED":
		q.Secured = value
	case "AUTH_SESSION":
		q.Session = value
	case "AUTH_CLIENT_ID":
		q.Agent = value
	case "AUTH_ORIG_USER":
		q.OrigUser = value
	case "MASTER_USER":
		q.Master = value
	case "AUTHORIZED":
		q.Lookup = true // whatever its value: never a reason to check a password
	}
}

// run is the whole program: read, ask, reply.
func (d *door) run(socket string) int {
	user, password, problem := d.readAll()
	if problem != "" {
		return d.fail(problem)
	}
	q := &d.question
	q.User, q.Door = user, "checkpassword"
	if !q.Lookup {
		q.Password = password
	}
	request := d.buildRequest()
	clear(d.pipe[:])
	if request == nil {
		return d.fail("the question is too long: more than 8 kB of environment")
	}
	a, problem := d.ask(socket, request)
	if problem != "" {
		return d.fail(problem)
	}
	return d.reply(a)
}

// reply maps the answer to an exit code, row by row as in the tests. A denied
// lookup of a known account cannot be told to Dovecot as a refusal; an internal
// failure at least stops what asked.
func (d *door) reply(a answer) int {
	switch a.verdict {
	case verify.Granted:
		return d.granted(a.tail)
	case verify.Denied:
		if !d.question.Lookup {
			return exitDenied
		}
		if len(a.tail) > 0 { // "unknown", ParseAnswer takes nothing else
			return exitLookupUnknown
		}
		return d.fail("policyserver refuses this lookup")
	case verify.Next:
		return d.fail(`login.main_password = "next" needs the Lua door (postern.lua)`)
	default:
		return d.fail("policyserver says that the login cannot be checked now; its own log says why")
	}
}

// granted hands the fields to Dovecot. Without any it still writes a separator,
// because Dovecot takes an empty descriptor 4 for a failure.
func (d *door) granted(fields []byte) int {
	if len(fields) == 0 {
		d.answer[0] = '\t'
		fields = d.answer[:1]
	}
	if !d.kernel.writeAll(d.out, fields) {
		return d.fail("cannot write to descriptor 4: is this started by Dovecot's checkpassword passdb?")
	}
	if d.question.Lookup {
		return exitLookupGranted
	}
	return exitGranted
}

// fail writes one line, which Dovecot's auth process logs, and says "internal
// failure". The line holds nothing that a client sent.
func (d *door) fail(problem string) int {
	line := append(d.answer[:0], "checkpassword: "...)
	line = append(line, problem[:min(len(problem), 400)]...)
	line = append(line, '\n')
	d.kernel.writeAll(d.log, line)
	return exitUnavailable
}
