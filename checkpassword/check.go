package main

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// check asks policyserver whether it lives, and says in one line what is wrong
// if it cannot: administrators run it as the user of Dovecot's auth process.
func (d *door) check(socket string, stdout *os.File) int {
	request := append(d.request[:0], "GET /livez HTTP/1.0\r\n\r\n"...)
	problem := d.live(socket, request)
	if problem == "" {
		_, _ = stdout.WriteString("checkpassword: policyserver answers on " + socket + "\n")
		return 0
	}
	if why := permission(socket); why != "" {
		problem = why
	}
	return d.fail(socket + ": " + problem)
}

// live is ask for a question that has no verdict.
func (d *door) live(socket string, request []byte) string {
	end := d.kernel.now() + d.askMillis
	fd, problem := d.kernel.dial(socket, d.askMillis)
	if problem != "" {
		return problem
	}
	if !d.kernel.sendAll(fd, request) {
		return "policyserver closed the connection"
	}
	r, problem := d.readResponse(fd, end)
	d.kernel.close(fd)
	if problem == "" && r.status != 200 {
		problem = "policyserver answers /livez with status " + strconv.Itoa(r.status)
	}
	return problem
}

// permission finds what keeps this user away from the socket: the first
// directory that may not be searched, or the socket itself.
func permission(socket string) string {
	const search, readWrite = 1, 6
	path := "/"
	for _, dir := range append(parents(socket), socket) {
		path = dir
		mode := uint32(search)
		if dir == socket {
			mode = readWrite
		}
		if syscall.Access(dir, mode) == syscall.EACCES {
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
