package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// A demo holds a lock on its pid file as long as it lives, however it ends: so
// that there is one at a time, and none is taken for another process that has its
// number by now.

func pidFile() string { return filepath.Join(stateDir, "pid") }

// begin takes the lock, which the end of this process gives back, and writes the
// pid. An os.File would give it back as soon as nobody refers to it.
func begin() error {
	fd, err := syscall.Open(pidFile(), syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("%s: %w", pidFile(), err)
	}
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid := running()
		return errors.Join(runsAlready(pid), syscall.Close(fd))
	}
	if err := syscall.Ftruncate(fd, 0); err != nil {
		return err
	}
	_, err = syscall.Write(fd, fmt.Appendln(nil, os.Getpid()))
	return err
}

// running is the pid of a demo that runs; 0: none does.
func running() int {
	f, err := os.Open(pidFile())
	if err != nil {
		return 0
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return 0
	}
	pid := 0
	if _, err := fmt.Fscan(f, &pid); err != nil {
		return 0
	}
	return pid
}
