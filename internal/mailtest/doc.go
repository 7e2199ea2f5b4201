// Package mailtest starts real servers for tests and for the demo: a directory
// (slapd, 389 Directory Server), Dovecot 2.3, Dovecot 2.4 in a Debian 13 root,
// Postfix, and Postern's policyserver in front of them; for webmail Postern's
// webhook, Roundcube of Debian 12 and 13, and nginx before both. Package browsertest
// has the browser.
//
// Everything listens on free loopback ports, keeps its files in one short
// directory below /tmp (a unix socket's path has room for 108 bytes), and is
// stopped by process id, also should this process die without stopping them.
//
// A Site is one mail server with its directory. Start makes one without a
// testing.T, which is what the demo uses; New is the same for a test and fails
// it where a component is missing: tests never skip. Slapd answers in a tenth of
// a second and may be had alone by StartSlapd. Tests of one package that can live
// with each other's users share a site through Main and Shared.
//
// What is loaded into the servers are the files below contrib/, with only paths,
// ports and names replaced: what the documentation shows is what was tested.
package mailtest
