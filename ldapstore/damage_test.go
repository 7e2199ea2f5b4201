package ldapstore

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"postern/internal/account"
	"postern/internal/seal"
)

// enrolled makes a user with State, an authenticator and two app passwords.
func (h *harness) enrolled(t testing.TB) (mail string, a *account.Account) {
	t.Helper()
	mail = h.user(t, nil)
	a = h.find(t, mail)
	h.apply(t, a, account.Edit{Now: record(account.KindTOTP, "t")}, account.Edit{Now: record(account.KindApp, "a")},
		account.Edit{Now: record(account.KindApp, "b")}, account.Edit{Now: stateOf(t, account.State{Enrolled: true})})
	return mail, a
}

// set replaces the values of an attribute of the holder as the directory's root.
func (h *harness) set(t testing.TB, a *account.Account, k account.Kind, stored ...[]byte) {
	t.Helper()
	var text []string
	for _, s := range stored {
		text = append(text, string(s))
	}
	if err := h.slapd.SetAttr(a.Holder, k.Attribute(), text...); err != nil {
		t.Fatal(err)
	}
}

func stored(a *account.Account, k account.Kind) [][]byte {
	var all [][]byte
	for _, v := range a.Values(k) {
		all = append(all, v.Stored)
	}
	return all
}

func wantDamage(t testing.TB, a *account.Account) {
	t.Helper()
	wantErr(t, a.Damage(), account.ErrDamaged)
	if !a.TwoFactor() {
		t.Error("damage reads as: not enrolled")
	}
}

// TestAttack20_RecordsDeletedOrAdded: what State does not name is not believed,
// and what it names must be there.
func TestAttack20_RecordsDeletedOrAdded(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		t.Run("one app password deleted", func(t *testing.T) {
			mail, a := h.enrolled(t)
			h.set(t, a, account.KindApp, stored(a, account.KindApp)[0])
			wantDamage(t, h.find(t, mail))
		})
		t.Run("authenticator deleted", func(t *testing.T) {
			mail, a := h.enrolled(t)
			h.set(t, a, account.KindTOTP)
			wantDamage(t, h.find(t, mail))
		})
		t.Run("State deleted", func(t *testing.T) {
			mail, a := h.enrolled(t)
			h.set(t, a, account.KindState)
			wantDamage(t, h.find(t, mail))
		})
		t.Run("all deleted but the class or holder", func(t *testing.T) {
			mail, a := h.enrolled(t)
			for _, k := range account.Kinds {
				if len(a.Values(k)) > 0 {
					h.set(t, a, k)
				}
			}
			wantDamage(t, h.find(t, mail))
		})
		t.Run("a value added back after its removal", func(t *testing.T) {
			mail, a := h.enrolled(t)
			was, err := a.Record(account.KindApp, a.Values(account.KindApp)[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			h.apply(t, a, account.Edit{Was: &was})
			sound(t, h.find(t, mail))
			h.set(t, a, account.KindApp, append(stored(a, account.KindApp), was.Stored)...)
			b := h.find(t, mail)
			wantDamage(t, b)
			_, err = b.Record(account.KindApp, was.ID)
			wantErr(t, err, account.ErrDamaged)
			wantErr(t, h.Apply(context.Background(), b, account.Edit{Now: record(account.KindApp, "c")}), account.ErrDamaged)
		})
	})
}

// TestAttack21_CopiedOrEdited: a value is good in its own place only.
func TestAttack21_CopiedOrEdited(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		t.Run("copied to another account", func(t *testing.T) {
			_, thief := h.enrolled(t)
			mail, victim := h.enrolled(t)
			for _, k := range account.Kinds {
				if len(thief.Values(k)) > 0 {
					h.set(t, victim, k, stored(thief, k)...)
				}
			}
			b := h.find(t, mail)
			wantDamage(t, b)
			_, err := b.Record(account.KindApp, thief.Values(account.KindApp)[0].ID)
			wantErr(t, err, account.ErrDamaged)
		})
		t.Run("edited", func(t *testing.T) {
			mail, a := h.enrolled(t)
			for i, v := range stored(a, account.KindApp) {
				for _, at := range []int{8, len(v) / 2, len(v) - 1} {
					edited := bytes.Clone(v)
					edited[at] ^= 1
					h.set(t, a, account.KindApp, edited, stored(a, account.KindApp)[1-i])
					b := h.find(t, mail)
					if _, err := b.Record(account.KindApp, a.Values(account.KindApp)[i].ID); err == nil {
						t.Errorf("byte %d changed, and it opens", at)
					}
				}
			}
		})
		t.Run("State edited", func(t *testing.T) {
			mail, a := h.enrolled(t)
			edited := bytes.Clone(stored(a, account.KindState)[0])
			edited[len(edited)-1] ^= 1
			h.set(t, a, account.KindState, edited)
			wantDamage(t, h.find(t, mail))
		})
	})
}

// TestAttack22_Malformed: unknown version, unknown key, nonsense: denied, never
// "not enrolled".
func TestAttack22_Malformed(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail, a := h.enrolled(t)
		good := stored(a, account.KindState)[0]
		version := bytes.Clone(good)
		version[0] = 2
		key := bytes.Clone(good)
		key[1] ^= 1
		for what, v := range map[string][]byte{
			"unknown version": version, "unknown key": key, "one byte": {1}, "text": []byte("not sealed"),
			"cut off": good[:len(good)/2], "trailing": append(bytes.Clone(good), 0),
		} {
			t.Run(what, func(t *testing.T) {
				h.set(t, a, account.KindState, v)
				wantDamage(t, h.find(t, mail))
			})
			t.Run(what+" among others", func(t *testing.T) {
				h.set(t, a, account.KindState, good)
				h.set(t, a, account.KindDevice, v)
				wantDamage(t, h.find(t, mail))
				h.set(t, a, account.KindDevice)
				sound(t, h.find(t, mail))
			})
		}
	})
}

// TestForeignKeys: a ring without the key says so, and sees damage, not absence.
func TestForeignKeys(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail, _ := h.enrolled(t)
		other := &harness{openStore(t, h.slapd, newRing(t), func(c *Config) { c.Layout = h.cfg.Layout }), h.slapd, nil}
		a := other.find(t, mail)
		wantDamage(t, a)
		if err := a.Damage(); !errors.Is(err, seal.ErrNoKey) {
			t.Errorf("%v does not name the key", err)
		}
	})
}

// TestRepair: on a damaged account membership follows the State that the caller
// hands in, which replaces the one that is stored.
func TestRepair(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail, a := h.enrolled(t)
		h.set(t, a, account.KindState, []byte("spoilt"))
		b := h.find(t, mail)
		wantDamage(t, b)
		edits := []account.Edit{{
			Was: &account.Record{Kind: account.KindState, Stored: b.Values(account.KindState)[0].Stored},
			Now: stateOf(t, account.State{MustEnrol: true, Epoch: 9}),
		}}
		for _, k := range []account.Kind{account.KindApp, account.KindTOTP} {
			for _, v := range b.Values(k) {
				edits = append(edits, account.Edit{Was: &account.Record{Kind: k, ID: v.ID, Stored: v.Stored}})
			}
		}
		h.apply(t, b, edits...)
		sound(t, b)
		c := h.find(t, mail)
		sound(t, c)
		if !c.State.MustEnrol || c.State.Epoch != 9 || len(c.State.Members) != 0 {
			t.Errorf("%+v", c.State)
		}
	})
}
