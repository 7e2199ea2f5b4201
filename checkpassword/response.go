package main

// response is an HTTP response as far as it has come.
type response struct {
	state  state
	status int
	body   []byte
}

type state uint8

const (
	incomplete state = iota
	complete
	broken
)

// parseResponse reads an HTTP/1.x response with exactly one Content-Length and
// nothing after the body (RFC 9112 sections 4 and 6.2). policyserver sends no
// other; a body that ends with the connection could have been cut off.
func parseResponse(b []byte) response {
	line, rest, ok := cutLine(b)
	if !ok {
		return response{state: incomplete}
	}
	status := statusOf(line)
	length := -1
	for {
		line, rest, ok = cutLine(rest)
		switch {
		case !ok:
			return response{state: incomplete}
		case len(line) == 0:
			return bodyOf(status, length, rest)
		}
		if !header(line, &length) {
			return response{state: broken}
		}
	}
}

func bodyOf(status, length int, rest []byte) response {
	switch {
	case status == 0 || length < 0 || len(rest) > length:
		return response{state: broken}
	case len(rest) < length:
		return response{state: incomplete}
	}
	return response{state: complete, status: status, body: rest}
}

// cutLine returns the line before the first CRLF.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	for i := 1; i < len(b); i++ {
		if b[i-1] == '\r' && b[i] == '\n' {
			return b[:i-1], b[i+1:], true
		}
	}
	return nil, b, false
}

// statusOf reads "HTTP/1.0 200 OK"; 0 is an error.
func statusOf(line []byte) int {
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' ||
		len(line) > 12 && line[12] != ' ' {
		return 0
	}
	return max(0, number(line[9:12]))
}

// header reads one header line. Anything but Content-Length is skipped, save
// Transfer-Encoding, which would make the length mean something else.
func header(line []byte, length *int) bool {
	if after, ok := cutFold(line, "transfer-encoding:"); ok {
		return after == nil
	}
	after, ok := cutFold(line, "content-length:")
	if !ok {
		return true
	}
	for len(after) > 0 && after[0] == ' ' {
		after = after[1:]
	}
	repeated := *length >= 0
	*length = number(after)
	return !repeated && *length >= 0
}

// cutFold is bytes.CutPrefix that ignores case; prefix is lower case.
func cutFold(b []byte, prefix string) (after []byte, ok bool) {
	if len(b) < len(prefix) {
		return nil, false
	}
	for i := range len(prefix) {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != prefix[i] {
			return nil, false
		}
	}
	return b[len(prefix):], true
}

// number reads up to five digits; -1 is an error.
func number(b []byte) int {
	if len(b) == 0 || len(b) > 5 {
		return -1
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}
