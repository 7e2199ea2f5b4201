package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/big"
	"strings"
	"time"

	"postern/plugin"
)

// life is how long a code is good: shorter than anybody needs to steal a telephone,
// longer than a slow message takes.
const life = 5 * time.Minute

// factor is the plug-in. What it stores is the address.
type factor struct {
	config    config
	templates *templates
	gateway   *gateway
	limit     *limit
}

var _ plugin.Factor = (*factor)(nil)

func newFactor(c config, t *templates) *factor {
	return &factor{config: c, templates: t, gateway: newGateway(c, t), limit: &limit{perHour: c.PerHour}}
}

// state is what the next answer needs. The code is in it as a hash only.
type state struct {
	Record  string `json:"r,omitempty"`
	Address string `json:"a,omitempty"` // with Enrol
	Salt    []byte `json:"s,omitempty"`
	Hash    []byte `json:"h,omitempty"` // empty: the answer chooses where the code goes
	Until   int64  `json:"u,omitempty"`
}

// Begin implements plugin.Factor: it sends a code, or asks where to.
func (f *factor) Begin(ctx context.Context, r *plugin.Request) (*plugin.Question, error) {
	switch {
	case r.Purpose == plugin.Enrol:
		return f.askAddress(r)
	case len(r.Records) == 0:
		return nil, plugin.ErrNoRecord
	case len(r.Records) == 1:
		return f.send(ctx, r, state{Record: r.Records[0].ID}, string(r.Records[0].Body))
	}
	q, err := question(state{}, say(r, textWhere))
	for _, one := range r.Records[:min(len(r.Records), plugin.MaxOptions)] {
		q.Options = append(q.Options, plugin.Option{ID: one.ID, Label: masked(string(one.Body))})
	}
	return q, err
}

func question(s state, text string) (*plugin.Question, error) {
	encoded, err := json.Marshal(s)
	return &plugin.Question{Prompt: plugin.Prompt{Text: text}, State: encoded, Life: life}, err
}

func (f *factor) askAddress(r *plugin.Request) (*plugin.Question, error) {
	q, err := question(state{}, say(r, textAddress))
	q.Field = &plugin.Field{Kind: plugin.Tel, Label: say(r, textTel), Hint: say(r, textTelHint)}
	if f.config.Address != "tel" {
		q.Field = &plugin.Field{Label: say(r, textPlace)}
	}
	if label := say(r, f.config.Label); label != "" {
		q.Field.Label = label
	}
	return q, err
}

// send sends a code to the address, and asks for it.
func (f *factor) send(ctx context.Context, r *plugin.Request, s state, address string) (*plugin.Question, error) {
	if !f.limit.take(r.Now, "account "+r.Account.ID, "address "+address) {
		log.Printf("account %s: more than %d messages in an hour; none is sent", r.Account.ID, f.config.PerHour)
		return nil, fmt.Errorf("%w: too many messages", plugin.ErrUnavailable)
	}
	code, err := newCode(f.config.Digits)
	if err != nil {
		return nil, err
	}
	m := message{Address: address, User: r.Account.Name, Code: code, Minutes: int(life / time.Minute)}
	if err := f.gateway.send(ctx, r.Language, m); err != nil {
		return nil, fmt.Errorf("%w: %w", plugin.ErrUnavailable, err)
	}
	s.Salt = make([]byte, 16)
	rand.Read(s.Salt) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
	s.Hash, s.Until = hash(s.Salt, code), r.Now.Add(life).Unix()
	q, err := question(s, fmt.Sprintf(say(r, textSent), masked(address)))
	q.Field = &plugin.Field{Kind: plugin.Code, Label: say(r, textCode), Digits: f.config.Digits}
	q.Again = true
	return q, err
}

func newCode(digits int) (string, error) {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	n, err := rand.Int(rand.Reader, limit)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%0*d", digits, n), nil
}

func hash(salt []byte, code string) []byte {
	sum := sha256.Sum256(append(append([]byte(nil), salt...), code...))
	return sum[:]
}

// Check implements plugin.Factor.
func (f *factor) Check(ctx context.Context, r *plugin.Request) (*plugin.Verdict, error) {
	var s state
	if err := json.Unmarshal(r.State, &s); err != nil {
		return nil, plugin.ErrExpired
	}
	if len(s.Hash) == 0 {
		return f.chosen(ctx, r)
	}
	if r.Now.Unix() >= s.Until {
		return nil, plugin.ErrExpired
	}
	if subtle.ConstantTimeCompare(hash(s.Salt, r.Answer), s.Hash) != 1 {
		return nil, plugin.ErrWrong
	}
	if r.Purpose == plugin.Enrol {
		return &plugin.Verdict{Enrolled: []byte(s.Address)}, nil
	}
	return &plugin.Verdict{Right: &plugin.Right{Record: s.Record, Mark: s.Salt}}, nil // each code is good once
}

// chosen sends the code to where somebody chose: to a record's address, or a new one.
func (f *factor) chosen(ctx context.Context, r *plugin.Request) (*plugin.Verdict, error) {
	var q *plugin.Question
	err := plugin.ErrForm
	if r.Purpose == plugin.Enrol {
		address := strings.TrimSpace(r.Answer)
		if f.config.Address == "tel" {
			address = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", "/", "").Replace(address)
		}
		if f.templates.pattern.MatchString(address) && len(address) <= 200 {
			q, err = f.send(ctx, r, state{Address: address}, address)
		}
	} else {
		for _, one := range r.Records {
			if one.ID == r.Answer {
				q, err = f.send(ctx, r, state{Record: one.ID}, string(one.Body))
			}
		}
	}
	if err != nil && !errors.Is(err, plugin.ErrForm) {
		return nil, err
	}
	if q == nil {
		return nil, plugin.ErrForm
	}
	return &plugin.Verdict{Next: q}, nil
}

// masked is an address as a page may show it before anybody has proved anything.
func masked(address string) string {
	runes := []rune(address)
	if len(runes) <= 6 {
		return "…"
	}
	return string(runes[:3]) + "…" + string(runes[len(runes)-2:])
}
