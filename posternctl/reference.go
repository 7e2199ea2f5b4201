package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// referenceCommand prints docs/reference/commands.md, of which the manual page is
// made, too.
func (c *ctl) referenceCommand() *cobra.Command {
	return &cobra.Command{Use: "reference", Short: "Print the reference of all commands as Markdown", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root := cmd.Root()
			fmt.Fprintf(c.out, "# posternctl: every command\n\n%s\n\n## Flags of every command\n\n", root.Long)
			flagList(c.out, root.PersistentFlags())
			fmt.Fprint(c.out, "\nWithout a command:\n\n")
			flagList(c.out, root.LocalNonPersistentFlags())
			writeCommands(c.out, root)
			return nil
		}}
}

// writeCommands writes what can be run below cmd, in cobra's order, by name.
func writeCommands(w io.Writer, cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() || sub.Name() == "help" || sub.Name() == "completion" {
			continue
		}
		if !sub.HasAvailableSubCommands() {
			writeCommand(w, sub)
		}
		writeCommands(w, sub)
	}
}

func writeCommand(w io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(w, "\n## %s\n\n```\n%s\n```\n\n", cmd.CommandPath(), cmd.UseLine())
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(w, "%s\n", asMarkdown(text))
	if cmd.HasAvailableLocalFlags() {
		fmt.Fprintln(w)
		flagList(w, cmd.LocalNonPersistentFlags())
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, "\n```\n%s\n```\n", unindent(cmd.Example))
	}
}

// asMarkdown keeps the lines of a help text that are set in columns as they are.
func asMarkdown(text string) string {
	var b strings.Builder
	block := false
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		if indented := strings.HasPrefix(line, " "); indented != block {
			b.WriteString(map[bool]string{true: "\n```\n", false: "```\n\n"}[indented])
			block = indented
		}
		b.WriteString(line)
	}
	if block {
		b.WriteString("```\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

func unindent(text string) string {
	return strings.TrimSpace(strings.ReplaceAll("\n"+text, "\n  ", "\n"))
}

func flagList(w io.Writer, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		fmt.Fprintf(w, "- `%s`: %s%s\n", name, usage, defaultText(f))
	})
}

func defaultText(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "false", "0", "0s", "[]":
		return ""
	}
	return " (default " + strings.Trim(f.DefValue, "[]") + ")"
}
