package login

// text is the one catalogue of what a mail program shows its user. A refusal says
// why only where somebody has already proved to know the main password; everybody
// else reads the same sentence, so that a stranger learns neither whether a name
// exists nor whether it has two-factor login (ATTACKS 10).
func (s *Settings) text(r Reason) string {
	switch r {
	case AppPasswordRequired:
		if s.HelpURL == "" {
			return "This account uses two-step login. Mail programs need an app password."
		}
		return "This account uses two-step login. Create an app password at " + s.HelpURL
	case DirectoryDown, PolicyUnreadable, Busy:
		return "Your login cannot be checked at the moment. Please try again later."
	case Throttled:
		return "Too many failed logins. Please try again later."
	default:
		return "Login refused."
	}
}
