package web

import (
	"time"

	"postern/internal/account"
)

// AppList is the list of app passwords in Security.
type AppList struct {
	Allowed bool
	Max     int // 0: no limit
	List    []AppRow
}

// Full reports that no more can be made.
func (l AppList) Full() bool { return l.Max > 0 && l.live() >= l.Max }

// live counts those that work.
func (l AppList) live() (n int) {
	for _, a := range l.List {
		if !a.Expired && !a.Unused {
			n++
		}
	}
	return n
}

// Renewable reports that an app password may be made to work again.
func (l AppList) Renewable(a AppRow) bool { return (a.Expired || a.Unused) && l.Allowed && !l.Full() }

// AppRow is one app password.
type AppRow struct {
	Credential  // Used: zero: never
	Services    []account.Service
	Networks    []string  // empty: any
	Expires     time.Time // zero: never
	UsedService account.Service
	UsedFrom    string
	Flagged     bool // made before the main password was changed: look at it
	Expired     bool // it does not work any more
	Unused      bool // nor does it, because nobody used it
}

// AppNew is the form for a new app password.
type AppNew struct {
	Common
	Name     string
	Suggest  []string          // names to choose from
	Services []account.Service // that can be chosen
	Chosen   []account.Service
	Networks string // as typed
	Expires  int    // days; 0: never
	Terms    []int  // choices for Expires
}

func (*AppNew) view() (string, string) { return "appnew", "appnew_title" }

// AppCreated shows a new app password, once. Render it as the answer to a POST.
type AppCreated struct {
	Common
	Name     string
	Login    string
	Password account.Secret
	Services []account.Service
	Expires  time.Time
	QR       account.Secret // what the QR code behind a click holds; empty: none
	Servers  []Server       // settings to type in by hand
	Profile  string         // path of the page with a one-time Apple profile; empty: none
	Address  account.Secret // the same as a whole address, as a QR code for a telephone
}

func (*AppCreated) view() (string, string) { return "appcreated", "appcreated_title" }

// Profile is where a device fetches its profile, once. Whoever has the address may.
type Profile struct {
	Common
	Name  string // of the app password
	Login string
}

func (*Profile) view() (string, string) { return "profile", "profile_title" }

// Server is one line of a mail program's settings.
type Server struct {
	Service  account.Service
	Host     string
	Port     int
	StartTLS bool // else TLS from the beginning
}
