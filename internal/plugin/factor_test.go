package plugin

import (
	"errors"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
)

// What the plug-in says is what the factor says, and what it cannot say is unavailable:
// neither wrong nor right.
func TestA15_VerdictsOfAPlugin(t *testing.T) {
	h := start(t)
	for answer, want := range map[string]error{
		"123456": nil, "000000": factor.ErrWrong, "000001": factor.ErrUnavailable, "000002": factor.ErrPending,
		"000005": factor.ErrUnavailable, "000006": factor.ErrUnavailable, "000007": factor.ErrForm, "000008": factor.ErrPending,
		"000009": factor.ErrUnavailable, "000010": factor.ErrUnavailable, "000011": account.ErrNoRecord, "000012": factor.ErrForm,
		"000013": factor.ErrSpent,
		// Not even asked: what cannot be a code of six digits costs no try.
		"": factor.ErrForm, "12345": factor.ErrForm, "1234567": factor.ErrForm, "12345a": factor.ErrForm, " 123 456": nil,
	} {
		if err := h.login("alice@example.test", answer); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", answer, err, want)
		}
	}
	if err := h.login("alice@example.test", "000000"); errors.Is(err, factor.ErrUnavailable) {
		t.Errorf("wrong is unavailable, too: %v", err)
	}
}

// A proof is of a record that the question was about, and good once.
func TestA15_ProofIsSpentOnce(t *testing.T) {
	h := start(t)
	a := owner(t, "alice@example.test", "one")
	r, _ := h.begin(asks(a, factor.Login))
	first, err := h.answer(r, "123456")
	must(t, err)
	if first.Proof.Kind != account.KindPlugin || first.Proof.ID != "own0" {
		t.Fatalf("%+v", first.Proof)
	}
	record, err := a.Record(account.KindPlugin, "own0")
	must(t, err)
	spent, err := h.Spend(record, first.Proof, noon)
	must(t, err)
	if _, err := h.Spend(spent, first.Proof, noon); !errors.Is(err, factor.ErrSpent) {
		t.Errorf("the same proof again: %v", err)
	}
	body, err := factor.DecodePlugin(spent.Body)
	if err != nil || body.Name != "test" || string(body.Body) != "one" || !spent.Used.At.Equal(noon) {
		t.Errorf("%+v %+v, %v", body, spent, err)
	}
	if _, err := h.Spend(record, factor.Proof{Kind: account.KindPlugin, ID: "foreign", Mark: first.Proof.Mark}, noon); err == nil {
		t.Error("the proof of another record is spent")
	}
	again := owner(t, "alice@example.test", "one")
	again.Attach(map[account.Kind][]account.Value{
		account.KindPlugin: {{ID: "own0", Stored: []byte("0")}}, account.KindState: {{ID: "state", Stored: []byte("1")}},
	}, shelf{spent, stateOf(t, "own0")})
	r.Account = again
	if _, err := h.answer(r, "123456"); !errors.Is(err, factor.ErrSpent) {
		t.Errorf("a code that was used: %v", err)
	}
}

func stateOf(t *testing.T, ids ...string) account.Record {
	t.Helper()
	s := account.State{Enrolled: true}
	for _, id := range ids {
		s.Members = append(s.Members, account.Member{Kind: account.KindPlugin, ID: id})
	}
	body, err := account.Encode(s)
	must(t, err)
	return account.Record{Kind: account.KindState, ID: "state", Body: body}
}

// With two records, the plug-in must say whose proof it is; one of another plug-in is
// none of it.
func TestA15_WhoseProof(t *testing.T) {
	h := start(t)
	r, _ := h.begin(asks(owner(t, "alice@example.test", "one", "two"), factor.Login))
	if _, err := h.answer(r, "123456"); !errors.Is(err, factor.ErrUnavailable) {
		t.Errorf("a proof of nobody knows what: %v", err)
	}
	if _, err := h.Begin(t.Context(), asks(owner(t, "alice@example.test"), factor.Login)); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("an account with the record of another plug-in only: %v", err)
	}
	if factor.Has(owner(t, "a@example.test"), h) || !factor.Has(owner(t, "a@example.test", "one"), h) {
		t.Error("who has the factor")
	}
}

// An enrolment makes one record, whatever the plug-in stores in it.
func TestA15_Enrol(t *testing.T) {
	h := start(t)
	r, prompt := h.begin(asks(owner(t, "alice@example.test"), factor.Enrol))
	if prompt.Field == nil || prompt.Field.Label != "Test name" {
		t.Errorf("%+v", prompt)
	}
	done, err := h.answer(r, "Alice's")
	must(t, err)
	body, err := factor.DecodePlugin(done.Record.Body)
	if err != nil || body.Name != "test" || string(body.Body) != "Alice's" || done.Record.ID == "" || done.Record.Kind != account.KindPlugin {
		t.Errorf("%+v, %v", done.Record, err)
	}
	if again, err := h.answer(r, "Alice's"); err != nil || again.Record.ID != done.Record.ID {
		t.Errorf("the same page twice makes two records: %v", err)
	}
	if _, err := h.answer(r, strings.Repeat("x", 201)); !errors.Is(err, factor.ErrUnavailable) {
		t.Errorf("a record that is too long: %v", err)
	}
	if next, _ := h.begin(asks(r.Account, factor.Enrol)); string(next.State) == string(r.State) {
		t.Error("the next enrolment of the session would make the same record")
	}
}

// Who loads a page again gets the same question and no second message; who asks for
// another gets one. A question that is too old is not passed on.
func TestA15_OneMessageForOneQuestion(t *testing.T) {
	h := start(t)
	r := asks(owner(t, "alice@example.test", "one"), factor.Login)
	asked, first := h.begin(r)
	if _, same := h.begin(r); same.Text != first.Text || first.Text != "Nachricht: message 1" {
		t.Errorf("%q, then %q", first.Text, same.Text)
	}
	if resumed, err := h.Resume(asked.State, noon); err != nil || !strings.Contains(string(resumed.Prompt), first.Text) {
		t.Errorf("shown again: %s, %v", resumed.Prompt, err)
	}
	r.Again = true
	if _, other := h.begin(r); other.Text == first.Text {
		t.Error("asking again sends nothing")
	}
	r.Again, r.Session = false, []byte("two")
	if _, other := h.begin(r); other.Text == first.Text {
		t.Error("another login has the question of this one")
	}
	asked.Now = noon.Add(5 * time.Minute)
	if _, err := h.answer(asked, "123456"); !factor.IsExpired(err) {
		t.Errorf("after its life: %v", err)
	}
	if _, err := h.Resume(asked.State, asked.Now); !factor.IsExpired(err) {
		t.Errorf("shown after its life: %v", err)
	}
	asked.State = nil
	if _, err := h.answer(asked, "123456"); !factor.IsExpired(err) {
		t.Errorf("an answer to nothing: %v", err)
	}
}

// One more question (a challenge) keeps what the first one began; there is an end to it.
func TestA15_OneMoreQuestion(t *testing.T) {
	h := start(t)
	r, _ := h.begin(asks(owner(t, "alice@example.test", "one"), factor.Login))
	for i := range maxSteps {
		next, err := h.answer(r, "000008")
		if i == maxSteps-1 {
			if !errors.Is(err, factor.ErrUnavailable) {
				t.Errorf("question %d: %v", i, err)
			}
			break
		}
		if !errors.Is(err, factor.ErrPending) || !strings.Contains(string(next.Prompt), "and once more") {
			t.Fatalf("question %d: %s %v", i, next.Prompt, err)
		}
		r.State = next.State
		if i == 0 {
			if _, err := h.answer(r, "123456"); err != nil {
				t.Errorf("the second answer: %v", err)
			}
		}
	}
}

// Pages get plain text of a bounded length, and nothing else.
func TestA15_PromptIsPlainText(t *testing.T) {
	h := start(t)
	_, p := h.begin(asks(owner(t, "markup@example.test", "one"), factor.Login))
	if strings.ContainsAny(p.Title+p.Text, "\u202e\x00") || len([]rune(p.Title)) != 80 || len([]rune(p.Text)) > 400 || !strings.HasPrefix(p.Title, "<b>bold</b> ttt") {
		t.Errorf("%q %d", p.Title, len([]rune(p.Text)))
	}
	large := asks(owner(t, "largestate@example.test", "one"), factor.Login)
	large.Session = []byte("two")
	if _, err := h.Begin(t.Context(), large); !errors.Is(err, factor.ErrUnavailable) {
		t.Errorf("a state that does not fit into an address: %v", err)
	}
}
