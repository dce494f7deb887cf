package logs

import (
	"context"
	"errors"
	"os"
)

// Probe says whether the journal can be read by this user, and whether there is anything of a mail server in it.
func (j *journald) Probe(ctx context.Context) error {
	last, err := j.first(ctx, "--lines=1", j.ours())
	if err != nil {
		return err
	}
	if last == nil {
		return errors.New("the journal is empty, or this user may not read it: is systemd-journald running, is the user in the group systemd-journal?")
	}
	found, err := j.first(ctx, "--lines=1", j.matches())
	if err != nil || found != nil {
		return err
	}
	for _, path := range []string{"/var/log/mail.log", "/var/log/maillog", "/var/log/exim4/mainlog", "/var/log/exim/main.log"} {
		if _, err := os.Stat(path); err == nil {
			return errors.New("the journal holds nothing of a mail server, but there is " + path + ": use type: logfile with this path")
		}
	}
	return errors.New("the journal holds nothing of a mail server: does it log elsewhere (postconf maillog_file, Exim's mainlog)? Then use type: logfile")
}
