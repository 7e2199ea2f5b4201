package desk

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/session"
)

// withheld stands in exportNames for what credentials are checked by, and what only has a
// meaning together with that.
const withheld = ""

// exportNames says how each field of what is kept sealed is called in an export. A field
// that is not here is a mistake, which a test finds.
var exportNames = map[reflect.Type]map[string]string{
	reflect.TypeFor[account.State](): {
		"Enrolled": "enrolled", "MustEnrol": "must_enrol", "Generation": "generation", "Epoch": "epoch", "Failures": "failures",
		"FailedAt": "failed_at", "GraceStart": "grace_start", "EnrolUntil": "token_expires", "PasswordSeen": "password_seen", "Access": "access",
		"EnrolHash": withheld, "Handle": withheld,
		"Members":  withheld,                                         // the records, which are exported
		"MainUses": withheld, "History": withheld, "Known": withheld, // as main_password_uses, history and known_devices
		"Browsers": withheld, "Bypass": withheld, // as known_browsers (their number) and bypass
	},
	reflect.TypeFor[factor.TOTP]():        {"Secret": withheld, "Algorithm": "algorithm", "Digits": "digits", "Period": "period", "Last": "last_step"},
	reflect.TypeFor[factor.BackupCodes](): {"Salt": withheld, "Left": withheld, "Used": withheld, "Memory": "argon2_memory", "Passes": "argon2_passes"},
	reflect.TypeFor[factor.Plugin]():      {"Name": "plugin", "Body": withheld, "Spent": withheld},
	reflect.TypeFor[factor.AppPassword](): {"Verifier": withheld, "Services": "services", "Networks": "networks", "Fetched": "profile_fetched"},
	reflect.TypeFor[factor.Passkey](): {
		"Credential": "credential", "PublicKey": withheld, "SignCount": "sign_count", "Flags": "flags", "Transports": "transports", "AAGUID": "aaguid",
		"RPID": "rp_id", "UVInitialized": "uv_initialized", "Roaming": "roaming", "Passwordless": "passwordless", "Spent": withheld,
	},
	reflect.TypeFor[session.Session](): {"Epoch": "epoch", "Client": "client", "Strong": "strong", "Via": "via", "Links": withheld},
	reflect.TypeFor[session.Device]():  {"Epoch": "epoch", "Via": "via"},
}

// ExportFields are the fields of a body that may be exported, by name, ready for JSON.
func ExportFields(body any) map[string]any {
	v := reflect.ValueOf(body)
	all := make(map[string]any)
	for name, as := range exportNames[v.Type()] {
		f := v.FieldByName(name)
		if as == withheld || !f.IsValid() || f.IsZero() {
			continue
		}
		all[as] = exported(f.Interface())
	}
	return all
}

// exported is a value as JSON shows it to people.
func exported(v any) any {
	switch v := v.(type) {
	case []byte:
		return hex.EncodeToString(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case map[account.Kind]uint:
		return byWord(v)
	case map[account.Kind]time.Time:
		return byWord(v)
	}
	return v
}

func byWord[T any](m map[account.Kind]T) map[string]T {
	all := make(map[string]T, len(m))
	for k, v := range m {
		all[k.Word()] = v
	}
	return all
}

// bodyOf decodes the body of a record by its kind.
func bodyOf(r *account.Record) (any, error) {
	switch r.Kind {
	case account.KindTOTP:
		return asBody(factor.DecodeTOTP(r.Body))
	case account.KindPasskey:
		return asBody(factor.DecodePasskey(r.Body))
	case account.KindBackup:
		return asBody(factor.DecodeBackupCodes(r.Body))
	case account.KindPlugin:
		return asBody(factor.DecodePlugin(r.Body))
	case account.KindApp:
		return asBody(factor.DecodeAppPassword(r.Body))
	case account.KindDevice:
		return asBody(session.DecodeDevice(r.Body))
	case account.KindSession:
		return asBody(session.Decode(r.Body))
	}
	return nil, fmt.Errorf("%v has no body", r.Kind)
}

func asBody[T any](v T, err error) (any, error) { return v, err }
