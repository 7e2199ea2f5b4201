package doveadm

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

type object map[string]any

// call is one command with its parameters. On the wire it is an array of three,
// the last of which is a tag that the answer repeats.
type call struct {
	name   string
	params object
}

// answer is Dovecot's to one call.
type answer struct {
	kind string // "doveadmResponse" or "error"
	what string // an error's kind, "exitCode" or "unknownMethod"
	exit int    // the exit code of a command that failed
	rows []row
}

// row is what a kick prints: 2.3 a name, 2.4 a number.
type row struct {
	Result string `json:"result"`
	Count  string `json:"count"`
}

const (
	exitNobody = 68      // EX_NOHOST, which doveadm says for "no such session"
	maxAnswer  = 1 << 20 // bytes; the list of commands has some 30 kB
)

func (a *answer) err() error {
	if a.kind == "doveadmResponse" {
		return nil
	}
	return fmt.Errorf("%s %s %d", a.kind, a.what, a.exit)
}

// kicked counts sessions, or names.
func (a *answer) kicked() (n int, names bool) {
	for _, r := range a.rows {
		if r.Result != "" {
			n, names = n+1, true
		}
		if c, err := strconv.Atoi(r.Count); err == nil {
			n += c
		}
	}
	return n, names
}

// post runs commands in order and returns their answers.
func (d *Client) post(ctx context.Context, calls []call) ([]answer, error) {
	list := make([]any, len(calls))
	for i, c := range calls {
		list[i] = []any{c.name, c.params, strconv.Itoa(i)}
	}
	body, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	var raw [][]json.RawMessage
	if err := d.do(ctx, http.MethodPost, body, &raw); err != nil {
		return nil, err
	}
	if len(raw) != len(calls) {
		return nil, fmt.Errorf("%s: %d answers to %d commands", d.url, len(raw), len(calls))
	}
	answers := make([]answer, len(raw))
	for i, r := range raw {
		if answers[i], err = readAnswer(r, strconv.Itoa(i)); err != nil {
			return nil, fmt.Errorf("%s: %w", d.url, err)
		}
	}
	return answers, nil
}

var errAnswer = errors.New("an answer that doveadm's API does not have")

// readAnswer reads one answer: kind, content, tag. When 2.3 prints several rows,
// only the first is in an array, the others stand beside it.
func readAnswer(r []json.RawMessage, tag string) (answer, error) {
	var (
		a   answer
		got string
	)
	if len(r) < 3 || json.Unmarshal(r[0], &a.kind) != nil || json.Unmarshal(r[len(r)-1], &got) != nil || got != tag {
		return a, errAnswer
	}
	for _, content := range r[1 : len(r)-1] {
		if err := a.add(content); err != nil {
			return a, err
		}
	}
	return a, nil
}

func (a *answer) add(content json.RawMessage) error {
	var rows []row
	if json.Unmarshal(content, &rows) == nil {
		a.rows = append(a.rows, rows...)
		return nil
	}
	var one struct {
		row
		Type string `json:"type"`
		Exit int    `json:"exitCode"`
	}
	if json.Unmarshal(content, &one) != nil {
		return errAnswer
	}
	a.what, a.exit = one.Type, one.Exit
	a.rows = append(a.rows, one.row)
	return nil
}

// commands lists what this Dovecot can be asked, with the names of the parameters.
func (d *Client) commands(ctx context.Context) (map[string]map[string]bool, error) {
	var list []struct {
		Command    string `json:"command"`
		Parameters []struct {
			Name string `json:"name"`
		} `json:"parameters"`
	}
	if err := d.do(ctx, http.MethodGet, nil, &list); err != nil {
		return nil, err
	}
	all := make(map[string]map[string]bool, len(list))
	for _, c := range list {
		all[c.Command] = make(map[string]bool)
		for _, p := range c.Parameters {
			all[c.Command][p.Name] = true
		}
	}
	return all, nil
}

// do makes one request and decodes its answer.
func (d *Client) do(ctx context.Context, method string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, d.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "X-Dovecot-API "+base64.StdEncoding.EncodeToString(d.key.Reveal()))
	req.Header.Set("Content-Type", "application/json")
	res, err := d.client.Do(req)
	if err != nil {
		return err // names the URL
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("%s: the key is not Dovecot's doveadm_api_key", d.url)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", d.url, res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", d.url, err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w: %w", d.url, errAnswer, err)
	}
	return nil
}
