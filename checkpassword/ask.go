package main

import "postern/internal/verify"

// answer is what policyserver said: ParseAnswer's words with the tail for
// Dovecot, which lies in door.answer.
type answer struct {
	verdict verify.Verdict
	tail    []byte
}

const notWelcome = "policyserver refuses this user: add the one that Dovecot's auth process runs as to policyserver.socket_users"

const (
	headSize  = 256
	headStart = "POST " + verifyPath + " HTTP/1.0\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
	verifyPath = "/verify"
)

// buildRequest writes the request into d.request: the form first, then the head
// directly before it, because the head says how long the form is. It is nil if
// there is not enough room.
func (d *door) buildRequest() []byte {
	if verify.MaxForm(&d.question) > len(d.request)-headSize {
		return nil
	}
	form := verify.AppendForm(d.request[headSize:headSize], &d.question)
	head := append(d.request[:0], headStart...)
	head = appendInt(head, len(form))
	head = append(head, "\r\n\r\n"...)
	start := headSize - len(head)
	copy(d.request[start:headSize], head)
	return d.request[start : headSize+len(form)]
}

// ask sends the request and reads the answer, all before one deadline. The
// request, which holds the password, is wiped as soon as it is sent.
func (d *door) ask(socket string, request []byte) (a answer, problem string) {
	end := d.kernel.now() + d.askMillis
	fd, problem := d.kernel.dial(socket, d.askMillis)
	if problem != "" {
		return a, problem
	}
	sent := d.kernel.sendAll(fd, request)
	clear(request)
	if !sent {
		return a, "policyserver closed the connection"
	}
	r, problem := d.readResponse(fd, end)
	d.kernel.close(fd)
	if problem != "" {
		return a, problem
	}
	return accept(r)
}

// accept reads the daemon's words. Access takes both the word and status 200,
// so that no proxy's error page nor half a change of ours can grant anything.
func accept(r response) (a answer, problem string) {
	switch r.status {
	case 200, 403, 503:
	case 401:
		return a, notWelcome
	default:
		return a, "policyserver answers with an unexpected status"
	}
	v, tail, err := verify.ParseAnswer(r.body)
	if err != nil || v == verify.Granted && r.status != 200 {
		return a, "policyserver's answer is malformed: is this socket its own?"
	}
	return answer{v, tail}, ""
}

// readResponse reads until the response is complete by its Content-Length. It
// does not wait for the connection's end.
func (d *door) readResponse(fd int, end int64) (r response, problem string) {
	n := 0
	for n < len(d.answer) {
		got := d.kernel.readBy(fd, d.answer[n:], end)
		switch {
		case got == timedOut:
			return r, "policyserver did not answer in time"
		case got <= 0:
			return r, "policyserver closed the connection before its answer was complete"
		}
		n += got
		switch r = parseResponse(d.answer[:n]); r.state {
		case complete:
			return r, ""
		case broken:
			return r, "policyserver's answer is malformed: is this socket its own?"
		}
	}
	return r, "policyserver's answer is too long"
}

func appendInt(dst []byte, n int) []byte {
	var digits [20]byte
	i := len(digits)
	for {
		i--
		digits[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return append(dst, digits[i:]...)
		}
	}
}
