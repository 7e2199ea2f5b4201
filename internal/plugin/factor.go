package plugin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	sdk "postern/plugin"
	"postern/plugin/factorpb"
)

// page is what Check needs of the page it is asked about: the host's own, with the
// plug-in's in it.
type page struct {
	Nonce  []byte    `cbor:"1,keyasint"` // of the first question: one proof for each
	State  []byte    `cbor:"2,keyasint,omitempty"`
	Prompt []byte    `cbor:"3,keyasint"` // to show it again
	Until  time.Time `cbor:"4,keyasint"`
	Steps  uint8     `cbor:"5,keyasint"`
	Record string    `cbor:"6,keyasint,omitempty"` // with Enrol: id of the new record
}

const maxSteps = 8 // questions after another

// Kind implements factor.Factor.
func (*Factor) Kind() account.Kind { return account.KindPlugin }

// Name implements factor.Factor.
func (f *Factor) Name() string { return factor.NamePlugin(f.config.Name) }

var purposes = map[factor.Purpose]sdk.Purpose{factor.Login: sdk.Login, factor.Enrol: sdk.Enrol, factor.Confirm: sdk.Confirm}

var errPurpose = errors.New("this factor is not for that purpose")

// request is what the plug-in is asked. Errors: account.ErrNoRecord where there must be
// a record and is none; account.ErrDamaged.
func (f *Factor) request(r *factor.Request) (*sdk.Request, error) {
	purpose, ok := purposes[r.Purpose]
	if !ok || r.Account == nil {
		return nil, errPurpose
	}
	q := &sdk.Request{
		Purpose: purpose, Now: r.Now, Language: r.Language, Session: fmt.Sprintf("%x", r.Session), Again: r.Again,
		Account: sdk.Account{ID: string(r.Account.ID), Name: r.Account.Name, Domain: r.Account.Domain},
	}
	records, err := r.Account.Records(account.KindPlugin)
	for i := range records {
		body, decodeErr := factor.DecodePlugin(records[i].Body)
		if decodeErr != nil {
			err = errors.Join(err, decodeErr)
		} else if body.Name == f.config.Name && records[i].Live(r.Now) {
			q.Records = append(q.Records, sdk.Record{ID: records[i].ID, Body: body.Body})
		}
	}
	switch {
	case len(q.Records) > 0 || r.Purpose == factor.Enrol:
		return q, nil
	case err != nil:
		return nil, err
	}
	return nil, fmt.Errorf("%s: %w", f.Name(), account.ErrNoRecord)
}

// Begin implements factor.Factor. Somebody who comes back to the same page gets the same
// question, unless another was asked for.
func (f *Factor) Begin(ctx context.Context, r factor.Request) (factor.Response, error) {
	q, err := f.request(&r)
	if err != nil {
		return factor.Response{}, err
	}
	key := keyOf(&r)
	if was, ok := f.begun.get(key, r.Now); ok && !r.Again {
		return was, nil
	}
	var answer *factorpb.Question
	err = f.call(ctx, func(ctx context.Context, c factorpb.FactorClient) (err error) {
		answer, err = c.Begin(ctx, q.ToWire())
		return err
	})
	if err != nil {
		return factor.Response{}, began(err)
	}
	p := page{Nonce: make([]byte, 16), Record: account.NewID()}
	rand.Read(p.Nonce) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
	response, err := f.ask(&p, sdk.QuestionFromWire(answer), r.Now)
	if err == nil {
		f.begun.put(key, response, r.Now, p.Until)
	}
	return response, err
}

// keyOf names a question that waits for an answer.
func keyOf(r *factor.Request) string {
	return fmt.Sprintf("%d %s %x", r.Purpose, r.Account.ID, r.Session)
}

// began is an error of Begin: only some can be said of no answer at all.
func began(err error) error {
	if errors.Is(err, sdk.ErrNoRecord) {
		return fmt.Errorf("%w: %w", account.ErrNoRecord, err)
	}
	return fmt.Errorf("%w: %w", factor.ErrUnavailable, err)
}

// ask turns a question of the plug-in into the page.
func (f *Factor) ask(p *page, q *sdk.Question, now time.Time) (factor.Response, error) {
	if len(q.State) > sdk.MaxState {
		return factor.Response{}, f.refuse("its state has %d bytes", len(q.State))
	}
	prompt, err := promptOf(&q.Prompt)
	if err != nil {
		return factor.Response{}, f.refuse("its question: %v", err)
	}
	life := q.Life
	if life <= 0 || life > sdk.MaxLife {
		life = sdk.MaxLife
	}
	p.State, p.Prompt, p.Until = q.State, prompt, now.Add(life)
	state, err := account.Encode(p)
	return factor.Response{Prompt: prompt, State: state}, err
}

// refuse is the error of an answer that no plug-in may give: it is no verdict.
func (f *Factor) refuse(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	f.log().Error("a plug-in answers what it may not", "error", clean(err.Error()))
	return fmt.Errorf("%w: %w", factor.ErrUnavailable, err)
}

// Resume implements factor.Resumer.
func (f *Factor) Resume(state []byte, now time.Time) (factor.Response, error) {
	p, err := openPage(state, now)
	return factor.Response{Prompt: p.Prompt, State: state}, err
}

// openPage reads the state of a page. Errors: those of factor.Expired, which cost no try.
func openPage(state []byte, now time.Time) (page, error) {
	var p page
	if len(state) == 0 || account.Decode(state, &p) != nil || !now.Before(p.Until) {
		return page{}, factor.Expired()
	}
	return p, nil
}

// Check implements factor.Factor.
func (f *Factor) Check(ctx context.Context, r factor.Request) (factor.Response, error) {
	p, err := openPage(r.State, r.Now)
	if err != nil {
		return factor.Response{}, err
	}
	q, err := f.request(&r)
	if err != nil {
		return factor.Response{}, err
	}
	prompt, err := factor.DecodePluginPrompt(p.Prompt)
	if err != nil {
		return factor.Response{}, err
	}
	q.State, q.Answer = p.State, prompt.Compact(r.Input[factor.InputCode])
	if err := prompt.Form(q.Answer); err != nil {
		return factor.Response{}, err
	}
	var answer *factorpb.Verdict
	err = f.call(ctx, func(ctx context.Context, c factorpb.FactorClient) (err error) {
		answer, err = c.Check(ctx, q.ToWire())
		return err
	})
	if err != nil {
		return factor.Response{}, checked(err)
	}
	v, err := sdk.VerdictFromWire(answer)
	if err != nil {
		return factor.Response{}, f.refuse("%w", err)
	}
	return f.verdict(&r, &p, v)
}

// checked maps what the plug-in says to what the factor says. Everything else, the
// connection's errors among it, could not be checked.
func checked(err error) error {
	for _, m := range []struct{ says, means error }{
		{sdk.ErrWrong, factor.ErrWrong}, {sdk.ErrPending, factor.ErrPending}, {sdk.ErrUsed, factor.ErrSpent},
		{sdk.ErrForm, &factor.FormError{Problem: factor.FormOther}}, {sdk.ErrExpired, factor.Expired()},
		{sdk.ErrNoRecord, account.ErrNoRecord},
	} {
		if errors.Is(err, m.says) {
			return m.means
		}
	}
	return fmt.Errorf("%w: %w", factor.ErrUnavailable, err)
}

// verdict is what the plug-in found, where it is about what was asked.
func (f *Factor) verdict(r *factor.Request, p *page, v *sdk.Verdict) (factor.Response, error) {
	enrols := r.Purpose == factor.Enrol
	switch {
	case v.Next != nil:
		return f.next(p, v.Next, r.Now)
	case v.Right != nil && !enrols:
		return f.right(r, p, v.Right)
	case v.Right == nil && enrols:
		return f.enrolled(r, p, v.Enrolled)
	}
	return factor.Response{}, f.refuse("its verdict is not of the question's purpose")
}

func (f *Factor) next(p *page, q *sdk.Question, now time.Time) (factor.Response, error) {
	if p.Steps++; p.Steps >= maxSteps {
		return factor.Response{}, f.refuse("it asks more than %d questions", maxSteps)
	}
	response, err := f.ask(p, q, now)
	if err != nil {
		return response, err
	}
	return response, factor.ErrPending
}

// right is the proof. Whose it is, the plug-in may leave out only if nobody can be in
// doubt.
func (f *Factor) right(r *factor.Request, p *page, right *sdk.Right) (factor.Response, error) {
	q, err := f.request(r)
	if err != nil {
		return factor.Response{}, err
	}
	id := right.Record
	if id == "" && len(q.Records) == 1 {
		id = q.Records[0].ID
	}
	known := false
	for _, one := range q.Records {
		known = known || one.ID == id
	}
	if !known || len(right.Mark) > sdk.MaxMark {
		return factor.Response{}, f.refuse("it proves a record that it was not asked about, or by a mark that is too long")
	}
	mark := factor.HashMark(append([]byte("question "), p.Nonce...))
	if len(right.Mark) > 0 {
		mark = factor.HashMark(append([]byte("mark "), right.Mark...))
	}
	record, err := r.Account.Record(account.KindPlugin, id)
	if err != nil {
		return factor.Response{}, err
	}
	if body, err := factor.DecodePlugin(record.Body); err != nil {
		return factor.Response{}, err
	} else if body.HasSpent(mark) {
		return factor.Response{}, factor.ErrSpent
	}
	f.begun.drop(keyOf(r))
	return factor.Response{Proof: factor.Proof{Kind: account.KindPlugin, ID: id, Mark: mark}}, nil
}

func (f *Factor) enrolled(r *factor.Request, p *page, body []byte) (factor.Response, error) {
	if len(body) == 0 || len(body) > sdk.MaxBody {
		return factor.Response{}, f.refuse("its record has %d bytes", len(body))
	}
	f.begun.drop(keyOf(r)) // the next one is another record
	encoded, err := account.Encode(factor.Plugin{Name: f.config.Name, Body: body})
	return factor.Response{
		Proof:  factor.Proof{Kind: account.KindPlugin, ID: p.Record, Mark: factor.HashMark(p.Nonce)},
		Record: account.Record{Kind: account.KindPlugin, ID: p.Record, Created: r.Now, Body: encoded},
	}, err
}

// Spend implements factor.Factor. It is the host's, so that no plug-in has to get it
// right.
func (*Factor) Spend(r account.Record, p factor.Proof, now time.Time) (account.Record, error) {
	return factor.SpendPlugin(r, p, now)
}
