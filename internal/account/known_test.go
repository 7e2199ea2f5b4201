package account_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/policy"
)

var knownAt = time.Unix(1_800_000_000, 0).UTC()

// knowing makes an address one that the account knows, by IMAP.
func knowing(t *testing.T, a *account.Account, from string, at time.Time) {
	t.Helper()
	d, ok := account.NewKnownDevice(account.IMAP, netip.MustParseAddr(from), at)
	if !ok || !a.MayKnow(d) {
		t.Fatalf("%s may not be known", from)
	}
	a.State = a.Knowing(d)
}

// switchOn is what the desk does of it.
func switchOn(a *account.Account, at time.Time) {
	next := a.State.Clone()
	next.Epoch, next.Enrolled, next.Known = next.NextEpoch(at), true, nil
	next.Known = a.KnownFrom(next, at)
	a.State = next
}

// E13: whoever knows the password and logs in from everywhere makes an account remember
// sixteen places, the latest, and no more; what is stored reads back as it was.
func TestE13_KnownDevicesAreFew(t *testing.T) {
	var a account.Account
	for i := range 100 {
		knowing(t, &a, fmt.Sprintf("198.51.%d.1", i), knownAt.Add(time.Duration(i)*time.Minute))
	}
	body, err := account.Encode(a.State)
	if err != nil {
		t.Fatal(err)
	}
	if a.State, err = account.DecodeState(body); err != nil {
		t.Fatal(err)
	}
	if n := len(a.State.Known.Devices); n != 16 || len(body) > 1000 {
		t.Errorf("%d devices in %d bytes", n, len(body))
	}
	on := knownAt.Add(3 * time.Hour)
	switchOn(&a, on)
	eff := policy.Effective{KnownDeviceDays: 14}
	for from, want := range map[string]bool{"198.51.99.200": true, "198.51.84.1": true, "198.51.83.1": false, "198.51.0.1": false} {
		if got := a.Knows(account.IMAP, netip.MustParseAddr(from), eff, on); got != want {
			t.Errorf("%s: %v", from, got)
		}
	}
	if list, until := a.KnownDevices(eff, on); len(list) != 16 || !until.Equal(on.AddDate(0, 0, 14)) {
		t.Errorf("%d until %v", len(list), until)
	}
}

// What of the account, of policy and of the address makes the main password not enough.
func TestE13_KnownOnlyWhile(t *testing.T) {
	fourteen := policy.Effective{KnownDeviceDays: 14}
	for name, c := range map[string]struct {
		change func(*account.Account)
		eff    policy.Effective
		after  time.Duration
		want   bool
	}{
		"as it was":        {nil, fourteen, time.Hour, true},
		"longer by policy": {nil, policy.Effective{KnownDeviceDays: 30}, 20 * 24 * time.Hour, true},
		"over":             {nil, fourteen, 14 * 24 * time.Hour, false},
		"before":           {nil, fourteen, -time.Second, false},
		"policy 0":         {nil, policy.Effective{}, time.Hour, false},
		"policy negative":  {nil, policy.Effective{KnownDeviceDays: -1}, time.Hour, false},
		"service account":  {nil, policy.Effective{KnownDeviceDays: 14, ServiceAccount: true}, time.Hour, false},
		"disabled":         {func(a *account.Account) { a.Status = account.Disabled }, fourteen, time.Hour, false},
		"no factor":        {func(a *account.Account) { a.State.Enrolled = false }, fourteen, time.Hour, false},
		"must enrol":       {func(a *account.Account) { a.State.MustEnrol = true }, fourteen, time.Hour, false},
		"another epoch":    {func(a *account.Account) { a.State.Epoch++ }, fourteen, time.Hour, false},
		"another password": {func(a *account.Account) { a.PasswordChanged = knownAt.Add(-time.Hour) }, fourteen, time.Hour, false},
		"not switched on":  {func(a *account.Account) { a.State.Known.Since = time.Time{} }, fourteen, time.Hour, false},
		"damaged":          {func(a *account.Account) { a.State.Members = []account.Member{{Kind: account.KindTOTP, ID: "x"}} }, fourteen, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			var a account.Account
			knowing(t, &a, "192.0.2.7", knownAt)
			on := knownAt.Add(time.Minute)
			switchOn(&a, on)
			if c.change != nil {
				c.change(&a)
			}
			if got := a.Knows(account.IMAP, netip.MustParseAddr("192.0.2.8"), c.eff, on.Add(c.after)); got != c.want {
				t.Errorf("%v", got)
			}
			if list, until := a.KnownDevices(c.eff, on.Add(c.after)); (len(list) > 0) != c.want || until.IsZero() == c.want {
				t.Errorf("shown: %v until %v", list, until)
			}
		})
	}
}

// A password of which nobody can say when it was changed, or that was changed in the
// same second, or on the same day where the directory knows days, is known nowhere.
func TestE13_KnownAfterThePassword(t *testing.T) {
	for name, changed := range map[string]time.Time{"sometime": account.Sometime(), "the same second": knownAt, "later that day": knownAt.Add(time.Hour)} {
		a := account.Account{PasswordChanged: changed}
		d, _ := account.NewKnownDevice(account.IMAP, netip.MustParseAddr("192.0.2.7"), knownAt)
		if a.MayKnow(d) {
			t.Errorf("%s: is written down", name)
		}
		a.State = a.Knowing(d)
		switchOn(&a, knownAt.Add(2*time.Hour))
		if a.Knows(account.IMAP, netip.MustParseAddr("192.0.2.7"), policy.Effective{KnownDeviceDays: 14}, knownAt.Add(3*time.Hour)) {
			t.Errorf("%s: is known", name)
		}
	}
}

func TestE13_NoDevice(t *testing.T) {
	for _, text := range []string{"127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "169.254.1.1", "fe80::1%eth0", "224.0.0.1", "ff02::1", "255.255.255.255"} {
		if d, ok := account.NewKnownDevice(account.IMAP, netip.MustParseAddr(text), knownAt); ok {
			t.Errorf("%s is %v", text, d.Network)
		}
	}
	if _, ok := account.NewKnownDevice(account.IMAP, netip.Addr{}, knownAt); ok {
		t.Error("nowhere is a device")
	}
	for _, s := range []account.Service{account.DAV, account.Doveadm, "webmail", "", "lmtp"} {
		if _, ok := account.NewKnownDevice(s, netip.MustParseAddr("192.0.2.7"), knownAt); ok {
			t.Errorf("%q has devices", s)
		}
	}
	for from, want := range map[string]string{"192.0.2.7": "192.0.2.0/24", "::ffff:192.0.2.7": "192.0.2.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "10.1.2.3": "10.1.2.0/24"} {
		if d, ok := account.NewKnownDevice(account.IMAP, netip.MustParseAddr(from), knownAt); !ok || d.Network.String() != want {
			t.Errorf("%s is %v", from, d.Network)
		}
	}
}

// What can never count again is dropped with the next change.
func TestE13_KnownIsStale(t *testing.T) {
	k := &account.Known{Since: knownAt}
	for after, want := range map[time.Duration]bool{0: false, 90 * 24 * time.Hour: false, 90*24*time.Hour + 1: true} {
		if k.Stale(knownAt.Add(after)) != want {
			t.Errorf("after %v: %v", after, !want)
		}
	}
	if (&account.Known{}).Stale(knownAt) || (*account.Known)(nil).Stale(knownAt) {
		t.Error("what has not begun is stale")
	}
}

// What was seen before a reset, or before a change of the password, does not come back
// with the first place that is seen after it.
func TestE13_KnownInOneEpoch(t *testing.T) {
	for name, change := range map[string]func(*account.Account){
		"another epoch":    func(a *account.Account) { a.State.Epoch++ },
		"another password": func(a *account.Account) { a.PasswordChanged = knownAt.Add(-time.Hour) },
	} {
		var a account.Account
		knowing(t, &a, "192.0.2.7", knownAt)
		change(&a)
		knowing(t, &a, "198.51.100.7", knownAt.Add(time.Minute))
		switchOn(&a, knownAt.Add(time.Hour))
		eff, at := policy.Effective{KnownDeviceDays: 14}, knownAt.Add(2*time.Hour)
		if a.Knows(account.IMAP, netip.MustParseAddr("192.0.2.7"), eff, at) || !a.Knows(account.IMAP, netip.MustParseAddr("198.51.100.7"), eff, at) {
			t.Errorf("%s: %+v", name, a.State.Known)
		}
	}
}

// MayKnow asks for one write a day, and for none once there is two-factor login.
func TestE13_MayKnow(t *testing.T) {
	var a account.Account
	knowing(t, &a, "192.0.2.7", knownAt)
	for after, want := range map[time.Duration]bool{0: false, 23 * time.Hour: false, -23 * time.Hour: false, 25 * time.Hour: true, -25 * time.Hour: true} {
		d, _ := account.NewKnownDevice(account.IMAP, netip.MustParseAddr("192.0.2.99"), knownAt.Add(after))
		if got := a.MayKnow(d); got != want {
			t.Errorf("%v later: %v", after, got)
		}
	}
	other, _ := account.NewKnownDevice(account.POP3, netip.MustParseAddr("192.0.2.7"), knownAt)
	for name, c := range map[string]struct {
		state account.State
		want  bool
	}{"off": {account.State{}, true}, "on": {account.State{Enrolled: true}, false}, "after a reset": {account.State{MustEnrol: true}, false}} {
		b := account.Account{State: c.state}
		if b.MayKnow(other) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}
