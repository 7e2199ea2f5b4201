package effect

// Actions of passes over all accounts.
const (
	Swept Action = "swept" // what was old or over was deleted; one line for a whole pass
)
