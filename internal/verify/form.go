package verify

// The fields of the form, in the order in which doors write them.
const (
	keyUser     = "user"
	keyPassword = "password"
	keyService  = "service"
	keyMech     = "mech"
	keyRemoteIP = "remote_ip"
	keyRealIP   = "real_ip"
	keyLocalIP  = "local_ip"
	keySession  = "session"
	keyAgent    = "agent"
	keyMaster   = "master"
	keyOrigUser = "orig_user"
	keySecured  = "secured"
	keyLookup   = "lookup"
	keyDoor     = "door"
)

// AppendForm appends q as application/x-www-form-urlencoded. Empty fields are
// left out, except user. Where dst has room (MaxForm tells how much) it allocates
// nothing: checkpassword calls it before there is a heap, and no copy of the
// password is left behind.
func AppendForm(dst []byte, q *Question) []byte {
	dst = append(dst, keyUser+"="...)
	dst = appendEscaped(dst, q.User)
	dst = appendPair(dst, keyPassword, q.Password)
	dst = appendPair(dst, keyService, q.Service)
	dst = appendPair(dst, keyMech, q.Mech)
	dst = appendPair(dst, keyRemoteIP, q.RemoteIP)
	dst = appendPair(dst, keyRealIP, q.RealIP)
	dst = appendPair(dst, keyLocalIP, q.LocalIP)
	dst = appendPair(dst, keySession, q.Session)
	dst = appendPair(dst, keyAgent, q.Agent)
	dst = appendPair(dst, keyMaster, q.Master)
	dst = appendPair(dst, keyOrigUser, q.OrigUser)
	dst = appendPair(dst, keySecured, q.Secured)
	if q.Lookup {
		dst = append(dst, "&"+keyLookup+"=1"...)
	}
	return appendPair(dst, keyDoor, q.Door)
}

// MaxForm is at most what AppendForm appends for q.
func MaxForm(q *Question) int {
	const keys = 256 // all keys with their = and &
	return keys + 3*(len(q.User)+len(q.Password)+len(q.Service)+len(q.Mech)+len(q.RemoteIP)+
		len(q.RealIP)+len(q.LocalIP)+len(q.Session)+len(q.Agent)+len(q.Master)+
		len(q.OrigUser)+len(q.Secured)+len(q.Door))
}

func appendPair[T string | []byte](dst []byte, key string, value T) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = append(dst, '&')
	dst = append(dst, key...)
	dst = append(dst, '=')
	return appendEscaped(dst, value)
}

func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if unreserved(c) {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', hex[c>>4], hex[c&15])
	}
	return dst
}

// unreserved as in RFC 3986 section 2.3.
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// ParseForm reads a form strictly: unknown and repeated keys and broken escapes
// are errors, so that two readers can never see two different questions.
func ParseForm(body []byte, q *Question) error {
	seen := make(map[string]bool, 14)
	for len(body) > 0 {
		var pair []byte
		pair, body, _ = cut(body, '&')
		rawKey, rawValue, _ := cut(pair, '=')
		key := string(rawKey)
		if seen[key] {
			return ErrMalformed
		}
		seen[key] = true
		value, ok := unescape(rawValue)
		if !ok || !q.set(key, value) {
			return ErrMalformed
		}
	}
	if !seen[keyUser] {
		return ErrMalformed
	}
	return nil
}

func (q *Question) set(key string, value []byte) bool {
	switch key {
	case keyPassword:
		q.Password = value
	case keyLookup:
		q.Lookup = string(value) == "1"
		return q.Lookup || string(value) == "0"
	default:
		field := q.text(key)
		if field == nil {
			return false
		}
		*field = string(value)
	}
	return true
}

// text is the field of a key, or nil.
func (q *Question) text(key string) *string {
	switch key {
	case keyUser:
		return &q.User
	case keyService:
		return &q.Service
	case keyMech:
		return &q.Mech
	case keyRemoteIP:
		return &q.RemoteIP
	case keyRealIP:
		return &q.RealIP
	case keyLocalIP:
		return &q.LocalIP
	case keySession:
		return &q.Session
	case keyAgent:
		return &q.Agent
	case keyMaster:
		return &q.Master
	case keyOrigUser:
		return &q.OrigUser
	case keySecured:
		return &q.Secured
	case keyDoor:
		return &q.Door
	}
	return nil
}

func unescape(b []byte) ([]byte, bool) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '+':
			out = append(out, ' ')
		case '%':
			if i+2 >= len(b) {
				return nil, false
			}
			hi, ok1 := unhex(b[i+1])
			lo, ok2 := unhex(b[i+2])
			if !ok1 || !ok2 {
				return nil, false
			}
			out = append(out, hi<<4|lo)
			i += 2
		default:
			out = append(out, b[i])
		}
	}
	return out, true
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
