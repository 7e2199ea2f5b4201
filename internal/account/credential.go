package account

// words are how credentials are named in events, sessions and on pages.
var words = map[Kind]string{
	KindTOTP: "totp", KindPasskey: "passkey", KindBackup: "backup", KindPlugin: "plugin",
	KindApp: "app", KindDevice: "device", KindSession: "session",
}

// Credential names a credential as events and sessions do: "totp:ID", "device:ID".
func Credential(k Kind, id string) string { return words[k] + ":" + id }

// Word is the kind's name in Credential: totp, passkey, backup, plugin, app, device,
// session.
func (k Kind) Word() string { return words[k] }
