// Package browsertest drives a real Chromium in tests of what people see: the
// hosted pages and webmail.
//
// A test binary has one Chromium, started by the first test that asks for it.
// New gives a test a Browser of its own, that is a browser context: its cookies,
// its cache and its authenticators are nobody else's, so that one test may have
// the victim's and the attacker's. Every step fails the test itself, with the
// page's address, its text and a picture of it, when it has not succeeded in time;
// nothing has to be waited for by sleeping.
//
//	func TestMain(m *testing.M) { browsertest.Main(m) }
//
//	b := browsertest.New(t)
//	b.Go(site.Webmail.URL)
//	b.Fill("#rcmloginuser", "alice@example.test")
//	b.Follow("#rcmloginsubmit")
//	b.WaitFor("#code")
//	b.NoProblems()
//
// Every name below example.test leads to this machine, with certificates that
// need not be right; localhost does too; every other name does not exist.
//
// # Cookies on localhost
//
// This Chromium takes http://localhost:PORT for a secure context also where
// cookies are concerned: it accepts a cookie with the attribute Secure and the
// name prefix __Host- and sends it back, though the connection is not TLS
// (TestHostCookiesOnLocalhost). It does not for http://mail.example.test:PORT.
package browsertest
