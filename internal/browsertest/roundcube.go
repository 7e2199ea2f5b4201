package browsertest

import (
	"fmt"
	"time"
)

// Webmail is a tab with a Roundcube, as its skin Elastic shows it.
type Webmail struct {
	*Tab
	// URL is Roundcube's address, with a / at the end.
	URL string
}

// Webmail is for a Roundcube at an address; it opens nothing.
func (tab *Tab) Webmail(url string) *Webmail { return &Webmail{tab, url} }

// SignIn opens the login page and sends a name and a password. What comes next is
// the inbox, the login page again or, with Postern's plug-in, a hosted page.
func (w *Webmail) SignIn(user, password string) {
	w.t.Helper()
	w.Go(w.URL)
	w.Fill("#rcmloginuser", user)
	w.Fill("#rcmloginpwd", password)
	w.Follow("#rcmloginsubmit")
}

// WaitInbox waits until the list of messages is there: somebody is signed in.
func (w *Webmail) WaitInbox() {
	w.t.Helper()
	w.WaitFor("#messagelist-content")
	w.waitIdle()
}

// waitIdle waits until no request is under way. Its end could otherwise undo in
// the session what the next page does there, which nobody is quick enough for.
func (w *Webmail) waitIdle() {
	w.t.Helper()
	w.wait("Roundcube's requests", `!window.rcmail || jQuery.active === 0 && !rcmail.busy`)
}

// WaitLogin waits until the login page is there, and returns what it complains
// about, if anything.
func (w *Webmail) WaitLogin() string {
	w.t.Helper()
	w.WaitFor("#rcmloginuser")
	return Eval[string](w.Tab, `document.querySelector("#messagestack")?.innerText.trim() ?? ""`)
}

// Task opens a page of Roundcube by the parameters of its address, such as
// "_task=settings", and waits until it is complete.
func (w *Webmail) Task(query string) int {
	w.t.Helper()
	status := w.Go(w.URL + "?" + query)
	w.waitIdle()
	return status
}

// Send writes a message, sends it, waits for Roundcube to say that it is sent, and
// until it has gone back to the inbox by itself: half a second later it would abort
// the way to another page.
func (w *Webmail) Send(to, subject, text string) {
	w.t.Helper()
	w.Task("_task=mail&_action=compose")
	w.Fill("#compose_to .recipient-input input", to)
	w.Fill("#compose-subject", subject)
	w.Fill("#composebody", text)
	w.Click("button.send")
	w.WaitText("#messagestack", "sent successfully")
	w.WaitInbox()
}

// Read waits until a message with a subject has come into the inbox, opens it and
// returns its text.
func (w *Webmail) Read(subject string) string {
	w.t.Helper()
	link := fmt.Sprintf(`[...document.querySelectorAll("#messagelist td.subject a")].find(a => a.innerText.includes(%q))?.href ?? ""`, subject)
	for end := time.Now().Add(patience); ; {
		w.Task("_task=mail&_mbox=INBOX")
		w.WaitInbox()
		if href := Eval[string](w.Tab, link); href != "" {
			w.Go(href)
			return w.Text("#messagebody")
		}
		if time.Now().After(end) {
			w.t.Fatalf("no message %q\n%s", subject, w.describe())
		}
	}
}

// Logout signs out by the button, and waits for the login page.
func (w *Webmail) Logout() {
	w.t.Helper()
	w.Task("_task=mail")
	w.Click("#taskmenu .logout")
	w.WaitLogin()
}
