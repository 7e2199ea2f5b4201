package main

import "unsafe"

// pipeSize is more than the 512 bytes that Dovecot ever sends
// (CHECKPASSWORD_MAX_REQUEST_LEN in src/auth/db-checkpassword.c), so that a
// longer request is seen as one.
const (
	pipeSize   = 1024
	maxRequest = 512
	drainMost  = 64 << 10
)

// readAll reads "user NUL password NUL NUL" and then whatever else lies in the
// pipe, so that Dovecot is never left writing to nobody: it would report a
// temporary failure instead of our exit code. It stops at the third NUL and
// does not wait for the end of the pipe, which other children started at the
// same time hold open.
func (d *door) readAll() (user string, password []byte, problem string) {
	end := d.kernel.now() + d.readMillis
	n, problem := d.readRequest(end)
	more := d.drain() // also after a request that is wrong
	extra := n < 0 || more
	if problem != "" {
		return "", nil, problem
	}
	if extra || n > maxRequest {
		return "", nil, "descriptor 3 holds more than one request"
	}
	return split(d.pipe[:n])
}

// readRequest reads up to the third NUL into d.pipe and returns how much it has
// read; n is negative if that was more than the request.
func (d *door) readRequest(end int64) (n int, problem string) {
	nuls, scanned := 0, 0
	for {
		for ; scanned < n; scanned++ {
			if d.pipe[scanned] != 0 {
				continue
			}
			if nuls++; nuls == 3 {
				return exactly(scanned+1, n), ""
			}
		}
		if n == len(d.pipe) {
			d.drainUntilNUL(nuls, end)
			return n, "descriptor 3 holds more than 512 bytes"
		}
		got := d.kernel.readBy(d.in, d.pipe[n:], end)
		if got <= 0 {
			return n, readProblem(got)
		}
		n += got
	}
}

func exactly(want, have int) int {
	if want != have {
		return -1
	}
	return have
}

func readProblem(got int) string {
	switch got {
	case 0:
		return "descriptor 3 ended before its third NUL"
	case timedOut:
		return "no complete request on descriptor 3 in time"
	}
	return "cannot read descriptor 3: is this started by Dovecot's checkpassword passdb?"
}

// drainUntilNUL reads the rest of a request that is too long.
func (d *door) drainUntilNUL(nuls int, end int64) {
	for total := 0; nuls < 3 && total < drainMost; {
		got := d.kernel.readBy(d.in, d.pipe[:], end)
		if got <= 0 {
			return
		}
		total += got
		for _, c := range d.pipe[:got] {
			if c == 0 {
				nuls++
			}
		}
	}
}

// drain throws away what lies in the pipe now, and reports whether there was any.
func (d *door) drain() bool {
	rest := d.request[:pipeSize]
	total := 0
	for total < drainMost {
		got := d.kernel.readBy(d.in, rest, 0)
		if got <= 0 {
			break
		}
		total += got
		clear(rest[:got])
	}
	return total > 0
}

// split takes a request apart. Dovecot leaves the timestamp empty; a NUL inside
// the password would put a part of it there. user shares its memory with b, like
// password; both are gone when b is wiped, after the question was built.
func split(b []byte) (user string, password []byte, problem string) {
	u := index(b, 0)
	p := u + 1 + index(b[u+1:], 0)
	if p+2 != len(b) {
		return "", nil, "descriptor 3 holds a timestamp or a NUL inside the password"
	}
	if u == 0 {
		return "", nil, "descriptor 3 holds no user name"
	}
	return unsafe.String(&b[0], u), b[u+1 : p], "" // #nosec G103 -- see above
}

// index is bytes.IndexByte for a byte that is there.
func index(b []byte, c byte) int {
	i := 0
	for b[i] != c {
		i++
	}
	return i
}
