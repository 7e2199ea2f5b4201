package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/authpolicy"
	"postern/internal/secretfile"
)

// policySettings are auth_policy_* of 2.3, which 2.4 prints as a block of its own.
func (d *dovecot) policySettings() map[string]string {
	all := map[string]string{}
	for k, v := range d.settings {
		if name, ok := strings.CutPrefix(k, "auth_policy_"); ok {
			all[name] = v
		}
	}
	for k, v := range d.one("auth_policy", "").settings {
		all[k] = v
	}
	return all
}

// policyAttributes are the attributes of the questions, by name.
func (d *dovecot) policyAttributes() map[string]string {
	all := map[string]string{}
	for _, b := range []*block{d.one("auth_policy", "").one("request_attributes", ""), d.one("auth_policy_request_attributes", "")} {
		for k, v := range b.settings {
			all[k] = v
		}
	}
	text, ok := d.settings["auth_policy_request_attributes"]
	if !ok && len(all) == 0 {
		text = "login=%{requested_username} pwhash=%{hashed_password} remote=%{rip} device_id=%{client_id} protocol=%s session_id=%{session}"
	}
	for _, pair := range strings.Fields(text) {
		k, v, _ := strings.Cut(pair, "=")
		all[k] = v
	}
	return all
}

// authPolicy looks at the second net behind the passdbs.
func (e *examination) authPolicy(ctx context.Context) {
	if e.dovecot == nil {
		return
	}
	p := e.dovecot.policySettings()
	if p["server_url"] == "" {
		e.noPolicy()
		return
	}
	if e.policyAnswers(ctx, p) {
		e.ok("policy", p["server_url"], "policyserver answers Dovecot's questions")
	}
	e.policyQuestions()
	e.policyHash(p)
	e.policyTimes(p)
}

// noPolicy: with a passdb of the site's own, nothing else stops what it lets in.
func (e *examination) noPolicy() {
	const text = "Dovecot asks policyserver no questions: guessing is not throttled by address, mail programs are not told why they are refused"
	if slices.ContainsFunc(e.dovecot.passdbs(), func(p passdb) bool { return !p.ours }) {
		e.wrong("policy", "auth_policy_server_url", text+", and nothing stops what another passdb lets in")
		return
	}
	e.warn("policy", "auth_policy_server_url", text)
}

// probeName is nobody's: the first question about it looks nothing up.
const probeName = "postern-doctor@invalid"

// policyAnswers asks as Dovecot would, with the key in Dovecot's configuration.
func (e *examination) policyAnswers(ctx context.Context, p map[string]string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	url := strings.TrimSuffix(p["server_url"], "?") + "?command=allow"
	body := `{"device_id":"","login":"` + probeName + `","protocol":"imap","pwhash":"00","remote":"127.0.0.1","session_id":"doctor"}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		e.wrong("policy", p["server_url"], "is not an address")
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	name, key, _ := strings.Cut(p["server_api_header"], ":")
	if name != "" && !strings.Contains(key, "hidden") {
		req.Header.Set(strings.TrimSpace(name), strings.TrimSpace(key))
	}
	began := e.Now()
	res, err := probeClient().Do(req)
	if err != nil {
		e.wrong("policy", p["server_url"], "policyserver does not answer there: "+cause(err))
		return false
	}
	defer res.Body.Close()
	e.httpClock(p["server_url"], res, began)
	switch {
	case res.StatusCode == http.StatusOK:
		return true
	case res.StatusCode == http.StatusUnauthorized:
		e.wrong("policy-key", "auth_policy_server_api_header", "policyserver refuses the key in Dovecot's configuration: its questions are not answered, and nothing is refused")
	default:
		e.wrong("policy", p["server_url"], "whoever answers there is not policyserver: "+res.Status)
	}
	return false
}

// policyQuestions: what policyserver must be told.
func (e *examination) policyQuestions() {
	has := e.dovecot.policyAttributes()
	var missing []string
	for _, name := range []string{"login", "pwhash", "remote", "real_remote", "protocol", "session_id", "mech", "master"} {
		if has[name] == "" {
			missing = append(missing, name)
		}
	}
	switch {
	case !strings.Contains(has["cred_id"], "cred_id"):
		e.wrong("policy-cred-id", "auth_policy_request_attributes", "cred_id is missing: the second question cannot tell Postern's grants from others', so users with two-factor login are refused even with their app passwords")
	default:
		e.ok("policy-cred-id", "", "the second question carries what Postern's passdb granted")
	}
	if len(missing) > 0 {
		e.wrong("policy-attributes", "auth_policy_request_attributes", "not sent: "+strings.Join(missing, ", "))
		return
	}
	e.ok("policy-attributes", "", "the questions carry all that policyserver needs")
}

// policyHash: by the hash policyserver knows a main password again that it refused.
func (e *examination) policyHash(p map[string]string) {
	if got := p["hash_mech"]; got != "" && got != "sha256" {
		e.wrong("policy-hash", "auth_policy_hash_mech", "is "+got+", not sha256: mail programs are never told why they are refused")
	}
	if bits := valueOr(p["hash_truncate"], "12"); bits != strconv.Itoa(authpolicy.HashBits) {
		e.wrong("policy-hash", "auth_policy_hash_truncate", fmt.Sprintf("is %s, not %d: mail programs are never told why they are refused", bits, authpolicy.HashBits))
	} else {
		e.ok("policy-hash", "auth_policy_hash_truncate", "fits")
	}
	file := e.Config.Policyserver.HashNonceFile
	nonce := p["hash_nonce"]
	switch want, err := secretfile.ReadLine(file); {
	case file == "":
		e.warn("policy-nonce", "policyserver.hash_nonce_file", "is not set: mail programs are not told that they need an app password")
	case err != nil:
		e.unchecked("policy-nonce", file, err.Error())
	case nonce == "" || strings.HasPrefix(nonce, "# hidden"):
		e.unchecked("policy-nonce", "auth_policy_hash_nonce", "the output of doveconf hides it: doveconf -n -P shows it")
	case nonce != string(want):
		e.wrong("policy-nonce", "auth_policy_hash_nonce", "differs from policyserver.hash_nonce_file: mail programs are never told why they are refused")
	default:
		e.ok("policy-nonce", "auth_policy_hash_nonce", "fits policyserver's")
	}
}

func valueOr(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func isNo(s string) bool { return strings.EqualFold(s, "no") }

// policyTimes: when Dovecot asks, and what it does without an answer.
func (e *examination) policyTimes(p map[string]string) {
	fine := true
	for _, name := range []string{"check_before_auth", "check_after_auth", "report_after_auth"} {
		if isNo(p[name]) {
			fine = false
			e.wrong("policy-times", "auth_policy_"+name, "is no")
		}
	}
	if strings.EqualFold(p["reject_on_fail"], "yes") {
		fine = false
		e.warn("policy-times", "auth_policy_reject_on_fail", "is yes: a restart of policyserver tells everybody \"wrong password\"")
	}
	if fine {
		e.ok("policy-times", "", "Dovecot asks before and after each login, and reports it")
	}
}

// probeTime bounds one question to a daemon.
const probeTime = 5 * time.Second

func probeClient() *http.Client {
	return &http.Client{Timeout: probeTime, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// cause is the innermost text of an error, without the address that stands before.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
