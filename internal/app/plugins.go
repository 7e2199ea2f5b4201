package app

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"postern/internal/policy"
)

// Plugin configures one plug-in factor. Package plugin, which only the webhook contains,
// makes a process of it.
type Plugin struct {
	Path         string            `toml:"path" doc:"The program, which only root can write."`
	SHA256       string            `toml:"sha256" doc:"What sha256sum prints for it. Another file is not started."`
	Args         []string          `toml:"args" doc:"Arguments. Everybody on the host can read them: no secrets."`
	Config       string            `toml:"config" doc:"The plug-in's own configuration, given as its last argument; its user must be able to read it, and nobody else should. Empty: none."`
	User         string            `toml:"user" doc:"System user that it runs as, one that may nothing else. Empty: the webhook's own, which can read the webhook's keys."`
	Timeout      Duration          `toml:"timeout" doc:"For one question to it. Empty: 5s."`
	StartTimeout Duration          `toml:"start_timeout" doc:"For its start. Empty: 5s."`
	Label        map[string]string `toml:"label" doc:"What users call it, by language: en, de, es, fr, ru. Without the page's language: en's. Empty: NAME."`
	Hint         map[string]string `toml:"hint" doc:"A sentence about it where users choose what to add, by language."`
}

const (
	defaultPluginTime = Duration(5 * time.Second)
	maxPlugins        = 16
)

// PluginNames are those of the plug-ins, in the order in which pages offer them.
func (c *Config) PluginNames() []string { return slices.Sorted(maps.Keys(c.Plugins)) }

// Plugin is a plug-in's configuration with what it leaves to defaults.
func (c *Config) Plugin(name string) Plugin {
	p := c.Plugins[name]
	if p.Timeout == 0 {
		p.Timeout = defaultPluginTime
	}
	if p.StartTimeout == 0 {
		p.StartTimeout = defaultPluginTime
	}
	return p
}

var (
	sha256Hex = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	pageLangs = []string{"en", "de", "es", "fr", "ru"}
)

func (c *Config) pluginProblems(ps *problemList) {
	if len(c.Plugins) > maxPlugins {
		ps.add("plugins: more than %d", maxPlugins)
	}
	for name := range c.Plugins {
		p := c.Plugin(name)
		key := "plugins." + name
		if policy.ValidateMethod(policy.MethodPlugin+name) != nil || strings.ContainsAny(name, ".*") {
			ps.add("%s: a plug-in's name has letters, digits, - and _", key)
		}
		p.problems(key, ps)
	}
}

func (p *Plugin) problems(key string, ps *problemList) {
	ps.absolute(key+".path", p.Path)
	if !sha256Hex.MatchString(p.SHA256) {
		ps.add("%s.sha256: needed, 64 hexadecimal digits: sha256sum %s", key, p.Path)
	}
	if p.Config != "" {
		ps.absolute(key+".config", p.Config)
	}
	if p.User == "root" || p.User == "0" {
		ps.add("%s.user: root is none that may nothing", key)
	}
	ps.between(key+".timeout", p.Timeout, 100*time.Millisecond, 10*time.Second)
	ps.between(key+".start_timeout", p.StartTimeout, 100*time.Millisecond, 30*time.Second)
	for table, texts := range map[string]map[string]string{"label": p.Label, "hint": p.Hint} {
		for lang, text := range texts {
			ps.oneOf(fmt.Sprintf("%s.%s", key, table), lang, pageLangs...)
			if text == "" || len([]rune(text)) > 200 {
				ps.add("%s.%s.%s: 1 to 200 characters", key, table, lang)
			}
		}
	}
}
