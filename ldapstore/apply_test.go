package ldapstore

import (
	"context"
	"testing"
	"time"

	"postern/internal/account"
)

func TestApplyAddSwapRemove(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail := h.user(t, nil)
		a := h.find(t, mail)
		if a.HasHolder || a.StateRecord != nil || a.TwoFactor() {
			t.Fatalf("a fresh entry has records: %+v", a)
		}
		app := record(account.KindApp, "one")
		h.apply(t, a, account.Edit{Now: app})
		sound(t, a)
		if a.State.Generation != 1 || !a.State.Has(account.KindApp, app.ID) || app.Stored == nil {
			t.Errorf("after the first write: %+v", a.State)
		}
		// The account is refreshed in place: go on without a search.
		totp := record(account.KindTOTP, "two")
		h.apply(t, a, account.Edit{Now: totp}, account.Edit{Now: stateOf(t, account.State{Enrolled: true})})
		if !a.State.Enrolled || len(a.State.Members) != 2 || a.State.Generation != 2 {
			t.Errorf("after enrolling: %+v", a.State)
		}
		b := h.find(t, mail)
		sound(t, b)
		if string(b.StateRecord.Stored) != string(a.StateRecord.Stored) || !b.TwoFactor() {
			t.Error("what was written is not what is found")
		}
		h.swapAndRemove(t, b, app.ID)
		c, err := h.Read(context.Background(), b)
		if err != nil {
			t.Fatal(err)
		}
		sound(t, c)
		if len(c.Values(account.KindApp)) != 0 || c.State.Generation < 3 || !c.State.Enrolled {
			t.Errorf("after removing: %+v", c.State)
		}
	})
}

// swapAndRemove touches a record, makes it a tombstone and removes it.
func (h *harness) swapAndRemove(t *testing.T, a *account.Account, id string) {
	t.Helper()
	state := string(a.StateRecord.Stored)
	was, err := a.Record(account.KindApp, id)
	if err != nil {
		t.Fatal(err)
	}
	used := was
	used.Used = account.Use{At: time.Now(), Service: account.IMAP}
	h.apply(t, a, account.Edit{Was: &was, Now: &used})
	if string(a.StateRecord.Stored) != state {
		t.Error("a last use touched State")
	}
	ended := used
	ended.Ended = time.Now()
	h.apply(t, a, account.Edit{Was: &used, Now: &ended})
	if i := a.State.Find(account.KindApp, id); i < 0 || !a.State.Members[i].Ended {
		t.Error("State does not say that the record has ended")
	}
	got, err := a.Record(account.KindApp, id)
	if err != nil || got.Live(time.Now()) || got.Used.Service != account.IMAP {
		t.Errorf("tombstone: %+v, %v", got, err)
	}
	h.apply(t, a, account.Edit{Was: &got})
	sound(t, a)
}

func TestBind(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail := h.user(t, nil)
		a := h.find(t, mail)
		for range 3 {
			if err := h.Bind(context.Background(), a, account.SecretString("secret of "+mail)); err != nil {
				t.Fatal(err)
			}
			wantErr(t, h.Bind(context.Background(), a, account.SecretString("wrong")), account.ErrWrong)
		}
		wantErr(t, h.Bind(context.Background(), a, account.Secret{}), account.ErrWrong)
	})
}
