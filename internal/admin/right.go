package admin

// Right is one thing that an administrator may do.
type Right uint8

// The closed set of rights.
const (
	SeeStatus         Right = iota + 1 // who has two-factor login, and what
	SeeAddresses                       // where credentials were used from
	SeePolicy                          // what levels set
	Reset                              // all methods off; the account must enrol anew
	EnrolToken                         // a new one-time token to enrol with
	Revoke                             // app passwords, sessions and devices, one or all
	RemoveFactor                       // a second factor
	EndSessions                        // sessions and trusted devices
	Provision                          // an authenticator or backup codes that the administrator has seen
	ShowCode                           // the current code of an authenticator
	CreateAppPassword                  // one that the administrator has seen
	Disable                            // switch two-factor login off
	SetPolicy                          // of an account or domain; of a class or the default: Site
	SetClass                           // of an account
	Bypass                             // let an account in without its second factor, for a while
	Bulk                               // the same for many accounts at once
	Explain                            // why a login was refused
	Erase                              // and export all that is kept about somebody
)

// rule is what a right needs. The zero value is a right that nobody has.
type rule struct {
	text  string
	least Role
	// looks: it changes nothing, so administrators above may be looked at.
	looks bool
	// notSelf: who may not be done it to by themselves.
	notSelf bool
	// noPanel: it would let a program into a mailbox (FEATURES E6).
	noPanel bool
}

var rules = map[Right]rule{
	SeeStatus:         {text: "see the status of accounts", least: Watcher, looks: true},
	SeeAddresses:      {text: "see addresses", least: Domain, looks: true},
	SeePolicy:         {text: "see policies", least: Domain, looks: true},
	Reset:             {text: "reset an account", least: HelpDesk, notSelf: true},
	EnrolToken:        {text: "make an enrolment token", least: HelpDesk, notSelf: true},
	Revoke:            {text: "revoke credentials", least: Domain},
	RemoveFactor:      {text: "remove a second factor", least: Domain, notSelf: true},
	EndSessions:       {text: "end sessions", least: Domain},
	Provision:         {text: "provision an authenticator", least: Domain, notSelf: true},
	ShowCode:          {text: "see a code", least: Domain, notSelf: true},
	CreateAppPassword: {text: "create an app password", least: Domain, notSelf: true},
	Disable:           {text: "switch two-factor login off", least: Domain, notSelf: true, noPanel: true},
	SetPolicy:         {text: "set policies", least: Domain, notSelf: true},
	SetClass:          {text: "set classes", least: Domain, notSelf: true},
	Bypass:            {text: "grant a bypass", least: Domain, notSelf: true},
	Bulk:              {text: "change many accounts at once", least: Domain},
	Explain:           {text: "see why a login was refused", least: Domain, looks: true},
	Erase:             {text: "export or erase what is kept", least: Site, notSelf: true, noPanel: true},
}

// String is the right in a sentence: "see addresses".
func (r Right) String() string {
	if text := rules[r].text; text != "" {
		return text
	}
	return "do this"
}
