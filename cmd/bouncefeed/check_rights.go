package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

const serviceUnit = "bouncefeed.service"

// sandboxKeys are what the unit says of who the service is and what it may see.
var sandboxKeys = []string{
	"User", "Group", "SupplementaryGroups", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectProc", "ProtectKernelTunables",
	"ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "TemporaryFileSystem", "BindPaths", "BindReadOnlyPaths", "LoadCredential", "SetCredential",
	"RestrictAddressFamilies", "Environment", "EnvironmentFile", "NoNewPrivileges",
}

// checkAsService has the check done as the service would do it, since root may read what the service may not. done is
// false where that can't be, or need not: then the check is ours.
func (a *app) checkAsService(cmd *cobra.Command) (done bool, err error) {
	if os.Geteuid() != 0 {
		return false, nil
	}
	say := cmd.ErrOrStderr()
	account, err := user.Lookup(serviceGroup)
	if err != nil || a.configPath != defaultConfig {
		fmt.Fprintln(say, "checking as root: the service may have fewer rights")
		return false, nil
	}
	self, err := os.Executable()
	if err != nil {
		return false, nil
	}
	args := []string{self, "check", "--online", "--config", a.configPath}
	if a.json {
		args = append(args, "--json")
	}
	if sandbox := unitSandbox(cmd.Context()); sandbox != nil {
		fmt.Fprintf(say, "checking with the rights and in the sandbox of %s\n", serviceUnit)
		args = append(append([]string{"systemd-run", "--quiet", "--pipe", "--wait", "--collect"}, sandbox...), args...)
		return true, runAs(cmd, nil, args)
	}
	credential, err := credentialOf(account)
	if err != nil {
		return false, nil
	}
	fmt.Fprintf(say, "checking with the rights of the user %s, not in the sandbox that systemd gives the service\n", account.Username)
	return true, runAs(cmd, credential, args)
}

// unitSandbox gives the unit's settings, drop-ins included, as arguments for systemd-run; nil: there is no such unit, or no
// systemd to ask.
func unitSandbox(ctx context.Context) []string {
	if _, err := exec.LookPath("systemd-run"); err != nil {
		return nil
	}
	out, err := exec.CommandContext(ctx, "systemctl", "cat", "--no-pager", serviceUnit).Output()
	if err != nil {
		return nil
	}
	return sandboxOf(string(out))
}

func sandboxOf(unit string) (args []string) {
	for line := range strings.Lines(unit) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && slices.Contains(sandboxKeys, key) {
			args = append(args, "--property="+key+"="+value)
		}
	}
	if args != nil { // what StateDirectory= and RuntimeDirectory= give the service
		args = append(args, "--property=ReadWritePaths=-/var/lib/bouncefeed -/run/bouncefeed")
	}
	return args
}

// credentialOf gives an account's rights, its groups included.
func credentialOf(account *user.User) (*syscall.Credential, error) {
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	named, groupErr := account.GroupIds()
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, name := range named {
		if g, err := strconv.ParseUint(name, 10, 32); err == nil {
			c.Groups = append(c.Groups, uint32(g))
		}
	}
	return c, errors.Join(err, gidErr, groupErr)
}

// runAs runs a command in our place: its output and its exit code are ours.
func runAs(cmd *cobra.Command, credential *syscall.Credential, args []string) error {
	child := exec.CommandContext(cmd.Context(), args[0], args[1:]...)
	child.Stdout, child.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
	child.Dir = "/"
	if credential != nil {
		child.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	}
	err := child.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return &exitError{exit.ExitCode(), ""} // it has said why
	}
	return err
}
