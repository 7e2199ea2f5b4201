package main

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// check asks policyserver whether it lives and whether this user may ask it, and
// says in one line what is wrong if not: administrators run it as the user of
// Dovecot's auth process.
func (d *door) check(socket string, stdout *os.File) int {
	problem := d.probe(socket)
	if problem == "" {
		_, _ = stdout.WriteString("checkpassword: policyserver answers " + whoAmI() + " on " + socket + "\n")
		return 0
	}
	if why := permission(socket); why != "" {
		problem = why
	}
	return d.fail(socket + ": " + problem)
}

// probe sends two questions that have no verdict: a form without a user is
// refused as malformed, but only to those who may ask.
func (d *door) probe(socket string) string {
	status, problem := d.status(socket, "GET /livez HTTP/1.0\r\n\r\n")
	if problem == "" && status != 200 {
		problem = "policyserver answers /livez with status " + strconv.Itoa(status)
	}
	if problem != "" {
		return problem
	}
	status, problem = d.status(socket, headStart+"0\r\n\r\n")
	switch {
	case problem != "":
		return problem
	case status == 401:
		return notWelcome + " (this is " + whoAmI() + ")"
	case status != 400:
		return "policyserver answers an empty question with status " + strconv.Itoa(status)
	}
	return ""
}

// status sends a request and returns the status of the response.
func (d *door) status(socket, request string) (status int, problem string) {
	end := d.kernel.now() + d.askMillis
	fd, problem := d.kernel.dial(socket, d.askMillis)
	if problem != "" {
		return 0, problem
	}
	defer d.kernel.close(fd)
	if !d.kernel.sendAll(fd, append(d.request[:0], request...)) {
		return 0, "policyserver closed the connection"
	}
	r, problem := d.readResponse(fd, end)
	return r.status, problem
}

// permission finds what keeps this user away from the socket: the first
// directory that may not be searched, or the socket itself.
func permission(socket string) string {
	const search, readWrite = 1, 6
	for _, path := range append(parents(socket), socket) {
		mode := uint32(search)
		if path == socket {
			mode = readWrite
		}
		if syscall.Access(path, mode) == syscall.EACCES {
			return "permission denied for " + whoAmI() + " at " + describe(path)
		}
	}
	return ""
}

// parents are the directories above path, outermost first.
func parents(path string) []string {
	dir := filepath.Dir(path)
	if dir == path {
		return nil
	}
	return append(parents(dir), dir)
}

func whoAmI() string {
	return "uid " + strconv.Itoa(os.Getuid()) + ", gid " + strconv.Itoa(os.Getgid())
}

// describe says who may use path.
func describe(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return path
	}
	text := path + " (" + info.Mode().String()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		text += ", uid " + strconv.Itoa(int(st.Uid)) + ", gid " + strconv.Itoa(int(st.Gid))
	}
	return text + "): put Dovecot's auth user into that group"
}
