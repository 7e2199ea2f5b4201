// Command demo is behind make demo, demo-up and demo-down: a whole mail server and
// webmail with Postern in front, on free loopback ports, and a walk through what
// Postern is for.
//
//	demo walk   start it, tell the story, stay until Ctrl-C
//	demo up     start it in the background; addresses are in build/demo/env
//	demo down   stop what up started
//
// The servers are those of the tests (package mailtest), configured by the same
// files below contrib/ that an administrator copies.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"postern/internal/mailtest"
)

const (
	stateDir  = "build/demo"
	binDir    = "bin"
	startTime = 3 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if os.Geteuid() != 0 && len(args) > 0 && args[0] != "down" {
		return errors.New("the servers must be started as root: Dovecot and Postfix change users")
	}
	switch strings.Join(args, " ") {
	case "walk":
		return walk(ctx)
	case "up":
		return up()
	case "serve":
		return serve(ctx)
	case "down":
		return down()
	}
	return errors.New("usage: demo walk|up|down")
}

// walk is make demo.
func walk(ctx context.Context) error {
	fmt.Println("Starting slapd, Dovecot, Postfix, nginx, Roundcube, policyserver and webhook on loopback ports …")
	site, err := start(ctx)
	if err != nil {
		return err
	}
	defer stopSite(site)
	if err := tell(ctx, site, os.Stdout); err != nil {
		return err
	}
	welcome(site, os.Stdout)
	fmt.Println("\nEverything runs until you press Ctrl-C.")
	<-ctx.Done()
	fmt.Println("\nStopping.")
	return nil
}

// up starts "demo serve" detached and waits until it is ready.
func up() error {
	if pid := running(); pid != 0 {
		return runsAlready(pid)
	}
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return err
	}
	_ = os.Remove(envFile())
	logPath := filepath.Join(stateDir, "log")
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "serve")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return awaitReady(ended, logPath)
}

func awaitReady(ended <-chan error, logPath string) error {
	deadline := time.After(startTime)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			text, _ := os.ReadFile(logPath)
			return fmt.Errorf("it did not start (%w):\n%s", err, text)
		case <-deadline:
			return errors.New("it did not start in time; see " + logPath)
		case <-tick.C:
			if _, err := os.Stat(envFile()); err == nil {
				text, err := os.ReadFile(welcomeFile())
				fmt.Printf("The demo runs.\n%s\nStop it with: make demo-down\n", text)
				return err
			}
		}
	}
}

// serve is the detached process.
func serve(ctx context.Context) error {
	site, err := start(ctx)
	if err != nil {
		return err
	}
	defer stopSite(site)
	<-ctx.Done()
	return nil
}

// down ends the process that up or walk left, by its pid, and waits for it.
func down() error {
	pid := running()
	if pid == 0 {
		forget() // of one that was killed
		fmt.Println("No demo is running.")
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	for range 600 {
		if running() == 0 {
			fmt.Println("The demo is stopped.")
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("process %d does not end", pid)
}

func runsAlready(pid int) error {
	return fmt.Errorf("one runs already (process %d); its addresses are in %s; stop it with: make demo-down", pid, envFile())
}

func envFile() string     { return filepath.Join(stateDir, "env") }
func welcomeFile() string { return filepath.Join(stateDir, "welcome") }

// start starts the servers and leaves pid, links and addresses in build/demo.
func start(ctx context.Context) (*mailtest.Site, error) {
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return nil, err
	}
	if err := begin(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	site, err := startSite(ctx)
	if err != nil {
		return nil, errors.Join(err, os.Remove(pidFile()))
	}
	if err := errors.Join(link(site), writeHeader(site), writeAdmin(site), writeWelcome(site), writeEnv(site)); err != nil {
		stopSite(site)
		return nil, err
	}
	return site, nil
}

// startSite starts the servers.
func startSite(ctx context.Context) (*mailtest.Site, error) {
	bin, err := filepath.Abs(binDir)
	if err != nil {
		return nil, err
	}
	o := options()
	o.Binaries = bin
	site, err := mailtest.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := furnish(ctx, site); err != nil {
		site.Stop()
		return nil, err
	}
	return site, nil
}

// options are the demo's servers.
func options() mailtest.Options {
	return mailtest.Options{
		EndSessions: true,
		Mails:       true,
		Settings:    mailtest.Settings{"admin": {"site_group": adminGroup}},
		Dovecot:     &mailtest.DovecotOptions{Version: mailtest.V23, Policy: true},
		Postfix:     &mailtest.PostfixOptions{},
		Webmail: &mailtest.WebmailOptions{
			Roundcube:    &mailtest.RoundcubeOptions{Version: mailtest.RC165},
			PluginConfig: "$config['postern_passkey_button'] = true;\n",
		},
	}
}

func stopSite(site *mailtest.Site) {
	site.Stop()
	forget()
}

// forget removes what says where a demo is.
func forget() {
	for _, name := range []string{"env", "welcome", "postern", "dovecot", "pid"} {
		_ = os.Remove(filepath.Join(stateDir, name))
	}
}

// link makes the servers' directories, which are short for their sockets' sake,
// reachable below build/demo.
func link(site *mailtest.Site) error {
	var errs []error
	for name, target := range map[string]string{"postern": site.Dir, "dovecot": site.Dovecot.Dir} {
		path := filepath.Join(stateDir, name)
		_ = os.Remove(path)
		errs = append(errs, os.Symlink(target, path))
	}
	return errors.Join(errs...)
}
