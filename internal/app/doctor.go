package app

// Doctor names the account by which posternctl doctor tries the doors.
type Doctor struct {
	Canary             string `toml:"canary" doc:"Login name of an account that nobody uses; doctor gives it a factor and an app password for a minute. Empty: name one, or let doctor make one, on the command line."`
	CanaryPasswordFile string `toml:"canary_password_file" doc:"File with its main password (mode 0600 or 0640)."`
}

func (d *Doctor) problems(ps *problemList) {
	if (d.Canary == "") != (d.CanaryPasswordFile == "") {
		ps.add("doctor.canary and doctor.canary_password_file: both or neither")
	}
}
