// Command checkpassword is Postern's door for Dovecot 2.3: the child that
// Dovecot's checkpassword passdb starts for every login.
//
//	passdb {
//	  driver = checkpassword
//	  args = /usr/lib/postern/checkpassword
//	  result_failure = return-fail
//	  result_internalfail = return-fail
//	}
//
// It decides nothing and knows no secret. It reads the user's name and password
// from file descriptor 3 (fd3.go), takes what else Dovecot knows about the login
// from the environment (door.go), asks policyserver's unix socket one question
// over HTTP/1.0 (ask.go), writes the answer's fields to descriptor 4 and exits
// with the code that Dovecot expects (door.go). Dovecot appends its own
// checkpassword-reply to the arguments; it is not executed, because that would
// cost more than everything else here.
//
// A login pays for this program's start, so on amd64 Linux it does not start
// Go's runtime at all: the linker is told to enter at early_amd64.s, and what
// runs from there neither allocates nor needs the heap. That is six times faster
// than an ordinary start, and lives within Dovecot's default_vsz_limit of 256 MB,
// in which a 64-bit Go runtime cannot start. Everything also works with an
// ordinary start; -check, -version, arm64 and tests have one. (386 and s390x,
// where Linux has no system call of its own for a socket, are not supported.)
//
// The rule for whatever door.run calls is therefore: no allocation, no map, no
// defer, no goroutine, no conversion to an interface, no variable that must be
// initialised at run time. TestDoorAllocatesNothing and TestEarlyStart hold it.
package main

import "os"

// version is set by the linker.
var version = "devel"

// defaultSocket is where policyserver listens.
const defaultSocket = "/run/postern/verify.sock"

const usage = `usage: checkpassword [-socket PATH] [REPLY-HELPER]
       checkpassword [-socket PATH] -check
       checkpassword -version
Dovecot 2.3 starts it: passdb { driver = checkpassword  args = PATH/checkpassword }
`

func main() {
	os.Exit(run(os.Args, os.Environ(), newDoor(3, 4, 2), os.Stdout))
}

// run is the program with an ordinary start.
func run(args, env []string, d *door, stdout *os.File) int {
	var c command
	for _, a := range args[1:] {
		c.arg(a)
	}
	switch c.finish() {
	case modeDoor:
		for _, e := range env {
			d.env(e)
		}
		d.harden()
		return d.run(c.socket)
	case modeCheck:
		return d.check(c.socket, stdout)
	case modeVersion:
		_, _ = stdout.WriteString("checkpassword " + version + "\n")
		return 0
	}
	return d.misused()
}

// misused complains, but not before Dovecot has got rid of the request: it would
// see EPIPE instead of our words.
func (d *door) misused() int {
	d.readAll()
	d.kernel.writeAll(d.log, append(d.answer[:0], usage...))
	return exitUnavailable
}

// mode is what the arguments ask for.
type mode uint8

const (
	modeDoor mode = iota
	modeCheck
	modeVersion
	modeUsage
)

// command is the argument parser. It takes one argument at a time, because
// before an ordinary start there is no slice of them.
type command struct {
	socket string
	mode   mode
	value  bool // the next argument is -socket's
	words  int
}

func (c *command) arg(a string) {
	switch {
	case a == "": // Dovecot splits at every blank, two together leave one of these
	case c.value:
		c.socket, c.value = a, false
	case a == "-socket" || a == "--socket":
		c.value = true
	case a == "-check" || a == "--check":
		c.mode = modeCheck
	case a == "-version" || a == "--version":
		c.mode = modeVersion
	case len(a) > 0 && a[0] == '-', c.words > 0:
		c.mode = modeUsage
	default:
		c.words++ // Dovecot's reply helper
	}
}

// finish checks the arguments as a whole.
func (c *command) finish() mode {
	if c.socket == "" && !c.value {
		c.socket = defaultSocket
	}
	if c.value || len(c.socket) >= maxSocketPath || c.socket[0] != '/' {
		c.mode = modeUsage
	}
	return c.mode
}
