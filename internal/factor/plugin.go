package factor

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/policy"
)

// Plugin is the body of a plug-in factor's record: whose it is, what the plug-in stored,
// and which proofs were used.
type Plugin struct {
	Name string `cbor:"1,keyasint"` // of the plug-in, as the configuration has it
	Body []byte `cbor:"2,keyasint,omitempty"`
	// Spent are hashes of the last marks: the host's own protection against replay,
	// whatever the plug-in does about it.
	Spent [][]byte `cbor:"3,keyasint,omitempty"`
}

const (
	keptMarks = 16
	markHash  = 16 // bytes of a mark's hash that are kept
)

// NamePlugin is how policies and pages call a plug-in.
func NamePlugin(name string) string { return policy.MethodPlugin + name }

// DecodePlugin reads the body of a plug-in factor's record. Errors wrap
// account.ErrDamaged.
func DecodePlugin(body []byte) (Plugin, error) {
	var p Plugin
	err := account.Decode(body, &p)
	if err == nil && p.Name == "" {
		err = fmt.Errorf("plug-in factor: %w", account.ErrDamaged)
	}
	return p, err
}

// HashMark is how a mark is remembered.
func HashMark(mark []byte) []byte {
	sum := sha256.Sum256(mark)
	return sum[:markHash]
}

// HasSpent reports whether a proof with the mark of that hash was used.
func (p *Plugin) HasSpent(h []byte) bool {
	return slices.ContainsFunc(p.Spent, func(one []byte) bool { return bytes.Equal(one, h) })
}

// SpendPlugin is Spend for the record of any plug-in; proof.Mark is HashMark's. Errors:
// ErrSpent, account.ErrDamaged.
func SpendPlugin(r account.Record, proof Proof, now time.Time) (account.Record, error) {
	if !proof.of(&r) || len(proof.Mark) != markHash {
		return r, errProof
	}
	p, err := DecodePlugin(r.Body)
	if err != nil {
		return r, err
	}
	if p.HasSpent(proof.Mark) {
		return r, ErrSpent
	}
	p.Spent = append(slices.Clone(p.Spent), proof.Mark)
	p.Spent = p.Spent[max(0, len(p.Spent)-keptMarks):]
	r.Used.At = now
	r.Body, err = account.Encode(p)
	return r, err
}

// NameOf is the name of the factor that a record belongs to, as Factor.Name has it.
// Errors wrap account.ErrDamaged.
func NameOf(r *account.Record) (string, error) {
	switch r.Kind {
	case account.KindTOTP:
		return NameTOTP, nil
	case account.KindPasskey:
		return NamePasskey, nil
	case account.KindBackup:
		return NameBackup, nil
	case account.KindPlugin:
		p, err := DecodePlugin(r.Body)
		return NamePlugin(p.Name), err
	}
	return "", fmt.Errorf("%s is no factor: %w", r.Kind, account.ErrNoRecord)
}

// Has reports whether the account has a record of the factor. Those of plug-ins share a
// kind, so they are opened.
func Has(a *account.Account, f Factor) bool {
	if f.Kind() != account.KindPlugin {
		return len(a.Values(f.Kind())) > 0
	}
	records, _ := a.Records(account.KindPlugin) //nolint:errcheck // what cannot be read is nobody's
	return slices.ContainsFunc(records, func(r account.Record) bool {
		name, err := NameOf(&r)
		return err == nil && name == f.Name()
	})
}

// Resumer is a factor whose page can be shown again without beginning anew: a message
// was sent already.
type Resumer interface {
	// Resume is the Response of Begin, or of Check with ErrPending, that had this State.
	// Errors: ErrForm when it is too old.
	Resume(state []byte, now time.Time) (Response, error)
}

// Problems with the answer to a plug-in's question, besides those of codes.
const (
	FormOther   FormProblem = "not an answer"
	FormExpired FormProblem = "too late"
)

// PluginPrompt is a Response's Prompt of a plug-in: what its page shows, in plain text
// that was checked and cut.
type PluginPrompt struct {
	Title   string         `json:"title,omitempty"`
	Text    string         `json:"text,omitempty"`
	Field   *PluginField   `json:"field,omitempty"`
	Wait    int            `json:"wait,omitempty"` // seconds between two looks for an answer; 0: none
	Options []PluginOption `json:"options,omitempty"`
	Again   bool           `json:"again,omitempty"`
}

// PluginField is the field of a prompt.
type PluginField struct {
	Kind   string `json:"kind"` // text, code, tel, secret
	Label  string `json:"label,omitempty"`
	Hint   string `json:"hint,omitempty"`
	Digits int    `json:"digits,omitempty"` // of a code; 0: any
}

// PluginOption is one of several answers.
type PluginOption struct {
	ID    string `json:"id"`
	Label string `json:"label"`
}

// DecodePluginPrompt reads a Response's Prompt of a plug-in.
func DecodePluginPrompt(prompt []byte) (PluginPrompt, error) {
	var p PluginPrompt
	err := json.Unmarshal(prompt, &p)
	return p, err
}

// Form turns down what cannot be an answer, before the plug-in is asked; nil or a
// *FormError.
func (p *PluginPrompt) Form(answer string) error {
	switch {
	case len(p.Options) > 0:
		if !slices.ContainsFunc(p.Options, func(o PluginOption) bool { return o.ID == answer }) {
			return &FormError{Problem: FormOther}
		}
	case p.Field == nil:
	case p.Field.Kind == "code" && p.Field.Digits > 0:
		return numberForm(answer, []int{p.Field.Digits})
	case p.Field.Kind == "code" && answer == "":
		return &FormError{Problem: FormEmpty}
	case answer == "" || len([]rune(answer)) > maxAnswer:
		return &FormError{Problem: FormOther}
	}
	return nil
}

const maxAnswer = 256 // characters

// Compact is the answer without the blanks and dashes that people put into codes.
func (p *PluginPrompt) Compact(answer string) string {
	if p.Field != nil && p.Field.Kind == "code" {
		return compact(answer)
	}
	return answer
}

// Expired is the error of an answer that comes too late.
func Expired() error { return &FormError{Problem: FormExpired} }

// IsExpired reports whether an error is Expired's.
func IsExpired(err error) bool {
	var f *FormError
	return errors.As(err, &f) && f.Problem == FormExpired
}
