package effect

// Actions about keys.
const (
	KeysChanged Action = "keys_changed" // a key was added, activated or retired, or records sealed anew
	Rebound     Action = "rebound"      // an account's records, to its new key after a restore
)
