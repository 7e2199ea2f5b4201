package effect

// Actions of passes over all accounts.
const (
	Swept              Action = "swept"                // what was old or over was deleted; one line for a whole pass
	AppPasswordStopped Action = "app_password_stopped" // it has expired, or nobody used it for too long
	AccessTightened    Action = "access_tightened"     // by policy or directory: live sessions from before end
)
