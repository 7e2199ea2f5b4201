// Package harden keeps what a process holds in memory in there.
package harden

import "syscall"

// NoCoreFiles keeps passwords and keys out of core files, and from debuggers of
// the same user (prctl(2), PR_SET_DUMPABLE). That it may fail is no reason not to
// go on: it guards against a mistake elsewhere.
func NoCoreFiles() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0)
}
