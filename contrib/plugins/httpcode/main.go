// Command httpcode is a plug-in factor that sends one-time codes through an HTTP gateway:
// text messages, Matrix, ntfy, or whatever takes a request. Its one argument is its
// configuration file; docs/guides/plugins.md says what stands in it.
//
// The code is made here, of the system's random numbers. What travels through the browser
// is its hash with a salt, sealed by the webhook; the code itself is in the message alone.
package main

import "postern/plugin"

// version is set by the linker.
var version = "dev"

func main() { plugin.Main(plugin.Info{Name: "httpcode", Version: version}, open) }
