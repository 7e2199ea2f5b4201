package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"postern/plugin"
)

// factor is the plug-in. What it stores is the name that the RADIUS server knows.
type factor struct {
	config config
	client *client
}

var _ plugin.Factor = (*factor)(nil)

// state is what the next answer needs.
type state struct {
	User      string `json:"u,omitempty"` // empty: the answer is the user's name
	Record    string `json:"r,omitempty"`
	Challenge []byte `json:"c,omitempty"` // State of an Access-Challenge
}

// Begin implements plugin.Factor.
func (f *factor) Begin(_ context.Context, r *plugin.Request) (*plugin.Question, error) {
	if r.Purpose != plugin.Enrol {
		if len(r.Records) == 0 {
			return nil, plugin.ErrNoRecord
		}
		one := r.Records[0] // enrolled more than once, it would be the same server all the same
		return f.askCode(r, state{User: string(one.Body), Record: one.ID}, "")
	}
	switch f.config.User {
	case "asked":
		q, err := with(state{}, say(r, textUser))
		q.Field = &plugin.Field{Label: say(r, textName)}
		return q, err
	case "local":
		local, _, _ := strings.Cut(r.Account.Name, "@")
		return f.askCode(r, state{User: local}, "")
	}
	return f.askCode(r, state{User: r.Account.Name}, "")
}

// with is a question with a state.
func with(s state, text string) (*plugin.Question, error) {
	encoded, err := json.Marshal(s)
	return &plugin.Question{Prompt: plugin.Prompt{Text: text}, State: encoded}, err
}

// askCode asks for the code; text is the server's own, if it has one.
func (f *factor) askCode(r *plugin.Request, s state, text string) (*plugin.Question, error) {
	if text == "" {
		text = f.config.Text[r.Language]
	}
	if text == "" {
		text = say(r, textCode)
	}
	q, err := with(s, text)
	q.Field = &plugin.Field{Kind: plugin.Code, Label: say(r, textLabel), Digits: f.config.Digits}
	if s.Challenge != nil {
		q.Field.Digits = 0
	}
	return q, err
}

// Check implements plugin.Factor.
func (f *factor) Check(ctx context.Context, r *plugin.Request) (*plugin.Verdict, error) {
	var s state
	if err := json.Unmarshal(r.State, &s); err != nil {
		return nil, plugin.ErrExpired
	}
	if r.Answer == "" {
		return nil, plugin.ErrForm
	}
	if s.User == "" {
		if r.Purpose != plugin.Enrol {
			return nil, plugin.ErrExpired
		}
		next, err := f.askCode(r, state{User: r.Answer}, "")
		return &plugin.Verdict{Next: next}, err
	}
	reply, err := f.client.ask(ctx, question{user: s.User, password: r.Answer, state: s.Challenge})
	if err != nil {
		return nil, err
	}
	return f.verdict(r, s, reply)
}

// verdict is what the server says.
func (f *factor) verdict(r *plugin.Request, s state, reply *radius.Packet) (*plugin.Verdict, error) {
	switch reply.Code {
	case radius.CodeAccessReject:
		return nil, plugin.ErrWrong
	case radius.CodeAccessChallenge:
		s.Challenge = rfc2865.State_Get(reply)
		if s.Challenge == nil {
			return nil, fmt.Errorf("%w: a challenge without State", plugin.ErrUnavailable)
		}
		next, err := f.askCode(r, s, rfc2865.ReplyMessage_GetString(reply))
		return &plugin.Verdict{Next: next}, err
	case radius.CodeAccessAccept:
		if r.Purpose == plugin.Enrol {
			return &plugin.Verdict{Enrolled: []byte(s.User)}, nil
		}
		right := &plugin.Right{Record: s.Record}
		if !f.config.Reusable {
			sum := sha256.Sum256([]byte(r.Answer))
			right.Mark = sum[:]
		}
		return &plugin.Verdict{Right: right}, nil
	}
	return nil, fmt.Errorf("%w: the server answers with packet code %d", plugin.ErrUnavailable, reply.Code)
}

// text is one of the plug-in's own, by language.
type text map[string]string

var (
	textCode = text{"en": "Enter the code of your token.", "de": "Geben Sie den Code Ihres Tokens ein.", "fr": "Saisissez le code de votre jeton.",
		"es": "Introduce el código de tu token.", "ru": "Введите код вашего токена."}
	textLabel = text{"en": "Code", "de": "Code", "fr": "Code", "es": "Código", "ru": "Код"}
	textUser  = text{"en": "What is your token’s user name?", "de": "Wie heißt der Benutzer Ihres Tokens?", "fr": "Quel est le nom d’utilisateur de votre jeton ?",
		"es": "¿Cuál es el nombre de usuario de tu token?", "ru": "Какое имя пользователя у вашего токена?"}
	textName = text{"en": "User name", "de": "Benutzername", "fr": "Nom d’utilisateur", "es": "Nombre de usuario", "ru": "Имя пользователя"}
)

func say(r *plugin.Request, t text) string {
	if s := t[r.Language]; s != "" {
		return s
	}
	return t["en"]
}
