package main

import "unsafe"

// earlyDoor is the one login of a process without a heap.
var earlyDoor door

// early is the entry point, in early_amd64.s. Only the linker uses it, and only
// it uses boot.
func early()

var _, _ = early, boot

// boot runs the door without Go's runtime, and returns its exit code. A negative
// result asks for an ordinary start. stack is what the kernel left there: the
// number of arguments, pointers to them, nil, pointers to the environment, nil
// (System V ABI, AMD64 supplement, section 3.4.1). A mistake in here, such as an
// index out of range, ends the process by a signal, which Dovecot takes for an
// internal failure.
func boot(stack unsafe.Pointer) int {
	argc := *(*int)(stack)
	p := (**byte)(unsafe.Add(stack, 8))
	if argc < 1 {
		return -1
	}
	var c command
	for range argc - 1 {
		p = after(p)
		c.arg(goString(*p))
	}
	d := &earlyDoor
	d.init(3, 4, 2)
	d.kernel.raw = true
	switch c.finish() {
	case modeUsage:
		return d.misused()
	case modeCheck, modeVersion:
		return -1
	}
	p = after(p) // the nil after the arguments
	for p = after(p); *p != nil; p = after(p) {
		d.env(goString(*p))
	}
	d.harden()
	return d.run(c.socket)
}

// after is the next pointer on the kernel's stack.
func after(p **byte) **byte {
	return (**byte)(unsafe.Add(unsafe.Pointer(p), 8)) // #nosec G103 -- ends at the kernel's nil
}

// goString is a C string, shared, not copied.
func goString(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 { // #nosec G103 -- ends at the NUL
		n++
	}
	return unsafe.String(p, n) // #nosec G103 -- the kernel's memory stays
}
