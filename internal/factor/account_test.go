package factor

import (
	"strconv"
	"testing"

	"postern/internal/account"
	"postern/internal/policy"
)

// shelf opens "sealed" values that are the index of a record; "spoiled" is none. What
// sealing holds is tested in package seal.
type shelf []account.Record

func (s shelf) Open(_ account.ID, _ account.Kind, stored []byte) (account.Record, error) {
	i, err := strconv.Atoi(string(stored))
	if err != nil {
		return account.Record{}, account.ErrDamaged
	}
	r := s[i]
	r.Stored = stored
	return r, nil
}

// spoiled stands for a record that cannot be read.
var spoiled = []byte("spoiled")

// accountWith is an enrolled account with these records; one whose Stored is spoiled
// cannot be read.
func accountWith(t testing.TB, records ...account.Record) *account.Account {
	t.Helper()
	state := account.State{Enrolled: true}
	values := make(map[account.Kind][]account.Value)
	for i, r := range records {
		stored := []byte(strconv.Itoa(i))
		if r.Stored != nil {
			stored = r.Stored
		}
		state.Members = append(state.Members, account.Member{Kind: r.Kind, ID: r.ID})
		values[r.Kind] = append(values[r.Kind], account.Value{ID: r.ID, Stored: stored})
	}
	body := encoded(t, state)
	values[account.KindState] = []account.Value{{ID: "state", Stored: []byte(strconv.Itoa(len(records)))}}
	a := &account.Account{ID: "k", HasHolder: true}
	a.Attach(values, append(shelf(records), account.Record{Kind: account.KindState, ID: "state", Body: body}))
	if err := a.Damage(); err != nil {
		t.Fatal(err)
	}
	return a
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	b, err := account.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func builtin(t testing.TB) policy.Effective {
	t.Helper()
	eff, err := policy.Layers(nil).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	return eff
}

// ask is a question about an account at noon.
func ask(t testing.TB, p Purpose, a *account.Account, code string) Request {
	t.Helper()
	return Request{Purpose: p, Account: a, Policy: builtin(t), Now: noon, Input: map[string]string{InputCode: code}}
}
