package authpolicy

import (
	"crypto/sha256"
	"encoding/hex"
)

// HashBits is auth_policy_hash_truncate in our snippets. With Dovecot's default of
// 12 bits one app password in 4096 would look like a main password refused before.
const HashBits = 32

// Hash is Dovecot's %{hashed_password}: SHA-256 over nonce, login, NUL and
// password, its first 32 bits in hex (src/auth/auth-policy.c,
// auth_policy_create_json).
func Hash(nonce []byte, login string, password []byte) string {
	h := sha256.New()
	h.Write(nonce)
	h.Write([]byte(login))
	h.Write([]byte{0})
	h.Write(password)
	return hex.EncodeToString(h.Sum(nil)[:HashBits/8])
}
