package effect

// Actions of the switch of the whole site (package siteswitch).
const (
	SiteOff Action = "site_off" // main passwords open everything, for everybody: an alarm
	SiteOn  Action = "site_on"
)
