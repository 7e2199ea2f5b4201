package main

import "syscall"

func credential(uid int) *syscall.SysProcAttr {
	id := uint32(uid) // #nosec G115 -- a uid
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id, NoSetGroups: true}}
}
