package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// spaceTries is how often checkpassword is started: with too little room, Go's runtime
// dies sometimes, not always.
const spaceTries = 10

// addressSpace: vsz_limit of service auth is RLIMIT_AS of checkpassword. Whether it can
// live in that depends on processor, linker and version; so it is started.
func (e *examination) addressSpace(ctx context.Context, p *passdb) {
	text := e.dovecot.one("service", "auth").get("vsz_limit", "")
	limit, ok := size(text)
	if text == "" || text == "18446744073709551615 B" {
		text = e.dovecot.get("default_vsz_limit", "256M")
		limit, ok = size(text)
	}
	switch {
	case !ok:
		e.unchecked("vsz-limit", "service auth", "vsz_limit "+text+" is no size")
		return
	case e.Root != "":
		e.unchecked("vsz-limit", "service auth", "checkpassword of another root directory was not started")
		return
	}
	for range spaceTries {
		died, err := startWithin(ctx, limit, strings.Fields(p.get("args", "")))
		if err != nil {
			e.unchecked("vsz-limit", "service auth", "checkpassword could not be tried: "+err.Error())
			return
		}
		if died != "" {
			e.wrong("vsz-limit", "service auth", fmt.Sprintf("vsz_limit of service auth is %d MB, in which checkpassword does not live (%s): Dovecot takes that for a temporary failure of every login", limit>>20, died))
			return
		}
	}
	e.ok("vsz-limit", "service auth", fmt.Sprintf("checkpassword starts within its vsz_limit, %s: %d times of %d", roomOf(limit), spaceTries, spaceTries))
}

func roomOf(limit uint64) string {
	if limit == 0 {
		return "which is none"
	}
	return fmt.Sprintf("%d MB", limit>>20)
}

// Exit codes of checkpassword after a lookup (checkpassword/door.go): whoever says one of
// these has lived.
const (
	lookupUnknown     = 3
	lookupDenied      = 1
	lookupUnavailable = 111
)

// startWithin starts checkpassword as Dovecot does, for a lookup of nobody: no password,
// nothing is counted. died says how it ended, if not by an answer.
func startWithin(ctx context.Context, limit uint64, args []string) (died string, err error) {
	if len(args) == 0 {
		return "", errors.New("the passdb has no args")
	}
	if _, err := os.Stat(args[0]); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	room := "unlimited"
	if limit != 0 {
		room = strconv.FormatUint(limit>>10, 10)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `ulimit -v "$0" && exec "$@"`, room}, args...)...)
	cmd.Env = []string{"AUTHORIZED=1", "CREDENTIALS_LOOKUP=1", "SERVICE=doveadm", "AUTH_USER=" + probeName, "AUTH_ORIG_USER=" + probeName}
	request, err := piped(probeName + "\x00\x00\x00")
	if err != nil {
		return "", err
	}
	defer request.Close()
	reply, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	defer reply.Close()
	cmd.ExtraFiles = []*os.File{request, reply} // descriptors 3 and 4
	var said bytes.Buffer
	cmd.Stderr = &said
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", errors.New("it says that nobody is somebody")
	case !errors.As(err, &exit):
		return "", err
	case exit.ExitCode() == lookupUnknown, exit.ExitCode() == lookupDenied, exit.ExitCode() == lookupUnavailable:
		return "", nil
	}
	line, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
	return strings.TrimSpace(exit.String() + " " + line), nil
}

// piped is a descriptor from which text can be read; it fits into a pipe.
func piped(text string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	_, err = w.WriteString(text)
	return r, err
}
