package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commands are all that can be run.
func commands(cmd *cobra.Command) []*cobra.Command {
	var list []*cobra.Command
	for _, sub := range cmd.Commands() {
		if sub.HasSubCommands() {
			list = append(list, commands(sub)...)
		} else if sub.IsAvailableCommand() && sub.Name() != "help" {
			list = append(list, sub)
		}
	}
	return list
}

// FEATURES A7: each command's help has an example of it, which the command takes.
func TestA7_EveryCommandHasAnExample(t *testing.T) {
	root := (&ctl{}).root()
	for _, cmd := range commands(root) {
		path := cmd.CommandPath()
		own := 0
		for line := range strings.Lines(cmd.Example) {
			_, line, ok := strings.Cut(line, "posternctl ")
			if !ok {
				continue
			}
			args := words(line)
			found, rest, err := root.Find(flagsLast(args))
			if err == nil && found == cmd {
				own++
				err = found.ParseFlags(rest)
			}
			if err == nil {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: %q: %v", path, line, err)
			}
			found.Flags().VisitAll(func(f *pflag.Flag) { _ = f.Value.Set(f.DefValue) })
		}
		if own == 0 {
			t.Errorf("%s has no example", path)
		}
	}
	for path := range examples {
		if cmd, _, err := root.Find(strings.Fields(path)); err != nil || cmd.CommandPath() != "posternctl "+path {
			t.Errorf("there is an example of %q, and no such command", path)
		}
	}
}

// flagsLast puts the flags of every command behind its name, where cobra finds it.
func flagsLast(args []string) []string {
	if len(args) > 0 && args[0] == "--json" {
		return append(args[1:], args[0])
	}
	return args
}

// words splits a line as a shell does, as far as examples need it.
func words(line string) []string {
	line, _, _ = strings.Cut(line, " > ")
	var quote rune
	fields := strings.FieldsFunc(strings.TrimSpace(line), func(r rune) bool {
		switch {
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		case r == quote:
			quote = 0
		}
		return quote == 0 && r == ' '
	})
	for i, f := range fields {
		fields[i] = strings.Trim(f, `"'`)
	}
	return fields
}

// FEATURES A7: who calls a command wrongly is shown how that command is called.
func TestA7_WrongUsageShowsTheCommand(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"user", "show"}, "something is missing\nUsage: posternctl user show USER [flags]\nSee: posternctl user show --help\n"},
		{[]string{"user", "show", "a", "b"}, "2 arguments are too many\nUsage: posternctl user show USER"},
		{[]string{"admin", "show"}, "something is missing\nUsage: posternctl admin show USER"},
		{[]string{"admin", "list", "x"}, "1 arguments are too many\nUsage: posternctl admin list"},
		{[]string{"totp", "add", "--bogus", "a"}, "unknown flag: --bogus\nUsage: posternctl totp add USER"},
		{[]string{"explain", "alice@example.test", "--service", "impa"}, `--service: "impa" is none of imap,`},
		{nil, "name a command\nUsage: posternctl [flags]\nSee: posternctl --help\n"},
	} {
		var out, said bytes.Buffer
		code := run(t.Context(), append(c.args, "--config", "/nonexistent"), strings.NewReader(""), &out, &said)
		if code != exitUsage || !strings.Contains(said.String(), c.want) || out.Len() > 0 {
			t.Errorf("%v: %d, %s%s", c.args, code, said.String(), out.String())
		}
	}
}
