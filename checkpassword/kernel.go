package main

import (
	"syscall"
	"unsafe"
)

// kernel makes the system calls. It holds the structures that they point to,
// because door lies in static memory and a local variable might have to be
// allocated.
type kernel struct {
	// raw means that there is no Go runtime, whose scheduler an ordinary system
	// call would tell.
	raw  bool
	time syscall.Timespec
	poll pollfd
	addr syscall.RawSockaddrUnix
	tv   syscall.Timeval
	lim  syscall.Rlimit
}

// pollfd is struct pollfd of poll(2).
type pollfd struct {
	fd      int32
	events  int16
	revents int16
}

const (
	pollIn        = 0x1
	timedOut      = -int(syscall.ETIMEDOUT) // what readBy says at its deadline
	maxSocketPath = 108                     // sun_path with its NUL, unix(7)

	prSetDumpable = 4   // prctl(2)
	clockMono     = 1   // clock_gettime(2)
	sysCloseRange = 436 // close_range(2), the same number on every processor
)

// call makes one system call with three arguments; the result is negative if it
// failed.
//
//go:uintptrescapes
func (k *kernel) call(trap, a, b, c uintptr) int {
	return k.call6(trap, a, b, c, 0, 0)
}

// call6 is call with five arguments, for setsockopt and sendto.
//
//go:uintptrescapes
func (k *kernel) call6(trap, a, b, c, d, e uintptr) int {
	var r uintptr
	var errno syscall.Errno
	if k.raw {
		r, _, errno = syscall.RawSyscall6(trap, a, b, c, d, e, 0)
	} else {
		r, _, errno = syscall.Syscall6(trap, a, b, c, d, e, 0)
	}
	if errno != 0 {
		return -int(errno)
	}
	return int(r)
}

// now is a steady clock in milliseconds.
func (k *kernel) now() int64 {
	k.call(syscall.SYS_CLOCK_GETTIME, clockMono, uintptr(unsafe.Pointer(&k.time)), 0) // #nosec G103 -- for the kernel
	return int64(k.time.Sec)*1000 + int64(k.time.Nsec)/1_000_000
}

// readBy reads what is there, waiting until end at most. It returns 0 at the
// end of the input, timedOut, or another negative number.
func (k *kernel) readBy(fd int, b []byte, end int64) int {
	for {
		switch r := k.wait(fd, end); {
		case r == -int(syscall.EINTR):
			continue
		case r == 0:
			return timedOut
		case r < 0:
			return r
		}
		r := k.call(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))) // #nosec G103 -- for the kernel
		if r != -int(syscall.EINTR) {
			return r
		}
	}
}

// wait waits until fd can be read, or end. An end of 0 asks about this moment.
func (k *kernel) wait(fd int, end int64) int {
	var left int64
	if end != 0 {
		left = max(0, end-k.now())
	}
	k.poll = pollfd{fd: int32(fd), events: pollIn} // #nosec G115 -- a descriptor
	k.time = syscall.NsecToTimespec(left * 1_000_000)
	return k.call6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&k.poll)), 1, // #nosec G103 -- for the kernel
		uintptr(unsafe.Pointer(&k.time)), 0, 0) // #nosec G103 -- for the kernel
}

// writeAll writes b to a pipe or file.
func (k *kernel) writeAll(fd int, b []byte) bool {
	for len(b) > 0 {
		n := k.call(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))) // #nosec G103 -- for the kernel
		if n == -int(syscall.EINTR) {
			continue
		}
		if n <= 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// sendAll writes b to a socket, without SIGPIPE. dial has bounded its time.
func (k *kernel) sendAll(fd int, b []byte) bool {
	for len(b) > 0 {
		n := k.call6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), // #nosec G103 -- for the kernel
			syscall.MSG_NOSIGNAL, 0)
		if n == -int(syscall.EINTR) {
			continue
		}
		if n <= 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// dial connects to a unix socket. SO_SNDTIMEO also bounds a connect that has to
// wait because the daemon does not accept (unix_stream_connect in Linux).
func (k *kernel) dial(path string, millis int64) (fd int, problem string) {
	fd = k.call(syscall.SYS_SOCKET, syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if fd < 0 {
		return fd, "cannot make a socket: too many open files?"
	}
	k.tv = syscall.NsecToTimeval(millis * 1_000_000)
	k.call6(syscall.SYS_SETSOCKOPT, uintptr(fd), syscall.SOL_SOCKET, syscall.SO_SNDTIMEO,
		uintptr(unsafe.Pointer(&k.tv)), unsafe.Sizeof(k.tv)) // #nosec G103 -- for the kernel
	k.addr.Family = syscall.AF_UNIX
	for i := range len(path) {
		k.addr.Path[i] = int8(path[i]) // #nosec G115 -- C's char
	}
	size := unsafe.Offsetof(k.addr.Path) + uintptr(len(path)) + 1
	for {
		r := k.call(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&k.addr)), size) // #nosec G103 -- for the kernel
		if r == 0 {
			return fd, ""
		}
		if r != -int(syscall.EINTR) {
			k.close(fd)
			return -1, dialProblem(syscall.Errno(-r)) // #nosec G115 -- an errno
		}
	}
}

// dialProblem says in one line what to do.
func dialProblem(e syscall.Errno) string {
	switch e {
	case syscall.ENOENT:
		return "policyserver's socket does not exist: is policyserver running, is -socket right?"
	case syscall.EACCES:
		return "policyserver's socket may not be used by this user: run checkpassword -check as Dovecot's auth user"
	case syscall.ECONNREFUSED:
		return "nobody listens on policyserver's socket: is policyserver running?"
	case syscall.EAGAIN, syscall.EINPROGRESS:
		return "policyserver does not accept connections"
	}
	return "cannot connect to policyserver's socket: run checkpassword -check as Dovecot's auth user"
}

func (k *kernel) close(fd int) { k.call(syscall.SYS_CLOSE, uintptr(fd), 0, 0) }

// harden gives up what a login does not need: the descriptors inherited from
// Dovecot's auth process, its client sockets among them, and any way in which
// the password could reach a core file or a debugger of the same user. After an
// ordinary start some of those descriptors are the Go runtime's own, and stay.
func (d *door) harden() {
	k := &d.kernel
	if k.raw {
		k.call(sysCloseRange, 5, 1<<31-1, 0)
	}
	k.call6(syscall.SYS_PRLIMIT64, 0, syscall.RLIMIT_CORE, uintptr(unsafe.Pointer(&k.lim)), 0, 0) // #nosec G103 -- for the kernel
	k.call(syscall.SYS_PRCTL, prSetDumpable, 0, 0)
}
