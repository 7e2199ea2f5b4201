package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/plugin"
	"postern/internal/web"
)

// openPlugins makes the factors of the configured plug-ins; nothing is started.
func openPlugins(cfg *app.Config, log *slog.Logger) ([]*plugin.Factor, error) {
	var list []*plugin.Factor
	for _, name := range cfg.PluginNames() {
		p := cfg.Plugin(name)
		f, err := plugin.New(plugin.Config{Name: name, Path: p.Path, SHA256: p.SHA256, Args: p.Args, ConfigFile: p.Config,
			User: p.User, Timeout: time.Duration(p.Timeout), StartTimeout: time.Duration(p.StartTimeout)}, plugin.Options{Log: log})
		if err != nil {
			return nil, fmt.Errorf("%s: plugins.%s: %w", cfg.Path(), name, err)
		}
		if p.User == "" {
			log.Warn("a plug-in runs as the webhook's own user, and can read what the webhook can; set plugins."+name+".user", "plugin", name)
		}
		list = append(list, f)
	}
	return list, nil
}

func factorsOf(list []*plugin.Factor) []factor.Factor {
	var all []factor.Factor
	for _, f := range list {
		all = append(all, f)
	}
	return all
}

// runPlugins keeps the plug-ins running until ctx ends; the function it returns waits
// for the end of their processes.
func runPlugins(ctx context.Context, list []*plugin.Factor) (wait func()) {
	var all sync.WaitGroup
	for _, f := range list {
		all.Go(func() { f.Run(ctx) })
	}
	return all.Wait
}

// checkPlugins starts each plug-in once, asks it who it is, and ends it.
func checkPlugins(ctx context.Context, cfg *app.Config) []error {
	list, err := openPlugins(cfg, slog.New(slog.DiscardHandler))
	errs := []error{err}
	for _, f := range list {
		if _, err := f.Try(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", cfg.Path(), f.Name(), err))
		}
	}
	return errs
}

// pluginTexts are what the plug-ins are called.
func pluginTexts(cfg *app.Config) map[string]web.PluginText {
	texts := make(map[string]web.PluginText)
	for name, p := range cfg.Plugins {
		texts[name] = web.PluginText{Label: p.Label, Hint: p.Hint}
	}
	return texts
}

// prompter is how a page gets the question of a method: begun, begun once more because
// somebody asked for it, or as it was.
type prompter struct {
	begin, again func(method string) (login.Prompt, error)
	resume       func(method, state string) (login.Prompt, error)
	wait         func(method string) string // path of the page that looks for an answer
}

// prompt is the question that the page shows. Built-in methods begin each time; a plug-in
// may have sent a message, so its question stays until somebody asks for another one.
func (t *turn) prompt(q *asked, from prompter) (login.Prompt, error) {
	switch {
	case q.next != nil:
		return *q.next, nil
	case !web.Method(q.method).Plugin():
	case q.again:
		return from.again(q.method)
	case q.answered:
		return from.resume(q.method, t.token.factor)
	}
	return from.begin(q.method)
}

// pluginPrompt is a plug-in's question on the page.
func (t *turn) pluginPrompt(data []byte, q *asked, wait string) (web.Prompt, error) {
	p, err := factor.DecodePluginPrompt(data)
	if err != nil {
		return web.Prompt{}, err
	}
	page := web.Prompt{Title: p.Title, Text: p.Text, Again: p.Again}
	if f := p.Field; f != nil {
		page.Kind, page.Label, page.Hint, page.Digits = f.Kind, f.Label, f.Hint, f.Digits
	}
	for _, o := range p.Options {
		page.Options = append(page.Options, web.PromptOption(o))
	}
	if p.Wait > 0 && wait != "" {
		page.Wait, page.Seconds = wait, p.Wait
		page.Again = page.Again || q.problem != nil // what was refused can be asked again
	}
	return page, nil
}

// over is the page of a question that is too old: nothing is sent before somebody asks.
func (t *turn) questionOver(q *asked) web.Prompt {
	if q.problem == nil {
		q.problem = &web.Problem{Code: web.CodeExpired}
	}
	q.status = http.StatusUnprocessableEntity
	return web.Prompt{Over: true}
}

// waits is the query of a page that looks for an answer by itself.
func (t *turn) waits(method string, q *asked, more ...string) []string {
	query := append([]string{web.FieldMethod, method, web.FieldQuestion, t.token.factor}, more...)
	if q.trust {
		query = append(query, web.FieldTrust, web.Yes)
	}
	return query
}

// waited reads such a query: what a form would have posted.
func (t *turn) waited() asked {
	query := t.r.URL.Query()
	t.token.factor = query.Get(web.FieldQuestion)
	return asked{method: query.Get(web.FieldMethod), trust: query.Get(web.FieldTrust) == web.Yes, answered: true}
}

// signInWait looks whether a plug-in has an answer.
func (t *turn) signInWait() {
	q := t.waited()
	if !web.Method(q.method).Plugin() {
		t.redirect(t.path(web.PathSignIn, web.FieldToken, t.token.page))
		return
	}
	t.answerSignIn(q)
}

// confirmWait is signInWait for the owner who is asked again.
func (t *turn) confirmWait() {
	o := t.owner()
	if o == nil {
		return
	}
	q, next := t.waited(), t.next(t.r.URL.Query().Get(web.FieldNext))
	if !web.Method(q.method).Plugin() || !o.Account.TwoFactor() {
		t.redirect(t.path(web.PathConfirm, web.FieldNext, next))
		return
	}
	t.answerConfirm(o, q, next)
}

// pending adds to q what comes next: one more question, or the same page again. On a
// page that looks by itself, no answer yet is no problem.
func (t *turn) pending(a login.Answer, q *asked) {
	if a.Reason != login.FactorPending {
		return
	}
	q.next = a.Next
	if q.next != nil || t.r.Method != http.MethodPost {
		q.status, q.problem = http.StatusOK, nil
	}
}

// enrolPluginPost checks an answer of a plug-in that is being added.
func (t *turn) enrolPluginPost() {
	if method := web.Method(t.field(web.FieldMethod)); method.Plugin() {
		t.enrolAnswer(method)
		return
	}
	t.enrolChosen()
}

// enrolPluginPage shows what the plug-in asks: a question of its own, or the last again.
func (t *turn) enrolPluginPage(en *enrolling, f enrolForm) {
	q := asked{method: f.method, status: f.status, problem: f.problem}
	page := &web.EnrolPlugin{Duty: t.duty(en), Method: web.Method(f.method), Name: f.name, More: en.more,
		Cancel: t.cancel(en), Apps: en.newToApps()}
	data := []byte(f.options)
	if f.options == "" {
		p, err := t.s.signIn.EnrolResume(en.Enrolee, f.method, t.token.factor)
		switch {
		case login.TooOld(err):
			page.Prompt = t.questionOver(&q)
		case err != nil:
			t.choose(en, http.StatusConflict, &web.Problem{Code: web.FormOld})
			return
		}
		data = p.Data
	}
	if !page.Prompt.Over {
		var err error
		if page.Prompt, err = t.pluginPrompt(data, &q, ""); err != nil {
			t.unavailable(err)
			return
		}
	}
	page.Common = t.enrolCommon(en, q.problem)
	t.show(q.status, page)
}

// pluginDisabled reports whether wrong tries have switched the plug-ins off.
func pluginDisabled(disabled []string) bool {
	return slices.ContainsFunc(disabled, func(m string) bool { return web.Method(m).Plugin() })
}

// nextQuestion shows one more question of an enrolment.
func (t *turn) nextQuestion(en *enrolling, f enrolForm, a login.Answer) bool {
	if a.Outcome != account.Denied || a.Reason != login.FactorPending || a.Next == nil {
		return false
	}
	t.token.factor = a.Next.State
	f.options, f.status, f.problem = string(a.Next.Data), http.StatusOK, nil
	t.enrolPage(en, f)
	return true
}
