package plugin

import (
	"fmt"
	"time"

	"postern/plugin/factorpb"
)

// The messages of factor.proto and the types of this package, both ways: each pair of
// functions in one place, so that nothing is forgotten in one of them.

// ToWire is the request as the plug-in gets it.
func (r *Request) ToWire() *factorpb.Request {
	p := &factorpb.Request{
		Purpose: factorpb.Purpose(r.Purpose),
		Account: &factorpb.Account{Id: r.Account.ID, Name: r.Account.Name, Domain: r.Account.Domain},
		Session: r.Session, Language: r.Language, Now: r.Now.Unix(), Again: r.Again, State: r.State, Answer: r.Answer,
	}
	for _, one := range r.Records {
		p.Records = append(p.Records, &factorpb.Record{Id: one.ID, Body: one.Body})
	}
	return p
}

func requestFromWire(p *factorpb.Request) *Request {
	r := &Request{
		Purpose: Purpose(p.GetPurpose()),
		Account: Account{ID: p.GetAccount().GetId(), Name: p.GetAccount().GetName(), Domain: p.GetAccount().GetDomain()},
		Session: p.GetSession(), Language: p.GetLanguage(), Now: time.Unix(p.GetNow(), 0), Again: p.GetAgain(),
		State: p.GetState(), Answer: p.GetAnswer(),
	}
	for _, one := range p.GetRecords() {
		r.Records = append(r.Records, Record{ID: one.GetId(), Body: one.GetBody()})
	}
	return r
}

func (q *Question) toWire() *factorpb.Question {
	if q == nil {
		return nil
	}
	p := &factorpb.Prompt{Title: q.Title, Text: q.Text, Again: q.Again}
	switch {
	case q.Field != nil:
		p.Ask = &factorpb.Prompt_Field{Field: &factorpb.Field{Kind: factorpb.Field_Kind(q.Field.Kind),
			Label: q.Field.Label, Hint: q.Field.Hint, Digits: uint32(max(0, q.Field.Digits))}}
	case len(q.Options) > 0:
		c := &factorpb.Choice{}
		for _, o := range q.Options {
			c.Options = append(c.Options, &factorpb.Option{Id: o.ID, Label: o.Label})
		}
		p.Ask = &factorpb.Prompt_Choice{Choice: c}
	case q.Wait > 0:
		p.Ask = &factorpb.Prompt_Wait{Wait: &factorpb.Wait{Seconds: uint32(q.Wait / time.Second)}}
	}
	return &factorpb.Question{Prompt: p, State: q.State, Seconds: uint32(max(0, q.Life/time.Second))}
}

// QuestionFromWire is what the plug-in asks, unchecked; never nil.
func QuestionFromWire(p *factorpb.Question) *Question {
	q := &Question{State: p.GetState(), Life: time.Duration(p.GetSeconds()) * time.Second}
	w := p.GetPrompt()
	q.Prompt = Prompt{Title: w.GetTitle(), Text: w.GetText(), Again: w.GetAgain()}
	if f := w.GetField(); f != nil {
		q.Field = &Field{Kind: FieldKind(f.GetKind()), Label: f.GetLabel(), Hint: f.GetHint(), Digits: int(f.GetDigits())}
	}
	if wait := w.GetWait(); wait != nil {
		q.Wait = max(time.Second, time.Duration(wait.GetSeconds())*time.Second)
	}
	for _, o := range w.GetChoice().GetOptions() {
		q.Options = append(q.Options, Option{ID: o.GetId(), Label: o.GetLabel()})
	}
	return q
}

func (v *Verdict) toWire() (*factorpb.Verdict, error) {
	switch {
	case v == nil:
	case v.Right != nil:
		return &factorpb.Verdict{Verdict: &factorpb.Verdict_Right{
			Right: &factorpb.Right{Record: v.Right.Record, Mark: v.Right.Mark}}}, nil
	case v.Next != nil:
		return &factorpb.Verdict{Verdict: &factorpb.Verdict_Next{Next: v.Next.toWire()}}, nil
	case v.Enrolled != nil:
		return &factorpb.Verdict{Verdict: &factorpb.Verdict_Enrolled{Enrolled: &factorpb.NewRecord{Body: v.Enrolled}}}, nil
	}
	return nil, fmt.Errorf("%w: Check found nothing and no error", ErrUnavailable)
}

// VerdictFromWire is what the plug-in found. One that says nothing is no verdict.
func VerdictFromWire(p *factorpb.Verdict) (*Verdict, error) {
	switch v := p.GetVerdict().(type) {
	case *factorpb.Verdict_Right:
		return &Verdict{Right: &Right{Record: v.Right.GetRecord(), Mark: v.Right.GetMark()}}, nil
	case *factorpb.Verdict_Enrolled:
		return &Verdict{Enrolled: v.Enrolled.GetBody()}, nil
	case *factorpb.Verdict_Next:
		return &Verdict{Next: QuestionFromWire(v.Next)}, nil
	}
	return nil, fmt.Errorf("%w: the plug-in's answer says nothing", ErrUnavailable)
}
