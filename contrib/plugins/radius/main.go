// Command radius is a plug-in factor that asks a RADIUS server (RFC 2865): tokens of
// privacyIDEA, FreeRADIUS, NPS, or behind a proxy such as Duo's. Its one argument is its
// configuration file; docs/guides/plugins.md says what stands in it.
//
// Every request carries a Message-Authenticator (RFC 2869, section 5.14), and no reply
// without a right one is believed: without it, who sits between could turn a rejection
// into an acceptance (CVE-2024-3596, "BlastRADIUS"). A server that does not answer is
// unavailable, and the next one is asked; only an Access-Reject is "wrong".
package main

import "postern/plugin"

// version is set by the linker.
var version = "dev"

func main() { plugin.Main(plugin.Info{Name: "radius", Version: version}, open) }
