package main

import (
	"github.com/spf13/cobra"

	"postern/internal/app"
)

func (c *ctl) configCommand() *cobra.Command {
	return group("config", "The configuration file", &cobra.Command{
		Use: "reference", Short: "Print the commented reference configuration", Args: between(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if c.json {
				return c.print(object{"reference": string(app.Reference())})
			}
			_, err := c.out.Write(app.Reference())
			return err
		}})
}
