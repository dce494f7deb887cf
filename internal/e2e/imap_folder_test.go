package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// plainReport has no Message-ID, Date or Received: only its content tells it from others.
const plainReport = `From: MAILER-DAEMON@mx.example.org
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; %s@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 user unknown

--b--
`

// putReport delivers a report on a recipient into a folder, as its owner's mail server does.
func putReport(t *testing.T, folder, name string) {
	t.Helper()
	file := filepath.Join(folder, "tmp", name)
	writeFile(t, file, fmt.Sprintf(plainReport, name))
	if err := os.Chown(file, daemonUID, daemonUID); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file, filepath.Join(folder, "new", name)); err != nil {
		t.Fatal(err)
	}
}

func makeFolder(t *testing.T, folder string) {
	t.Helper()
	for _, sub := range []string{"new", "cur", "tmp"} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := command("chown", "-R", fmt.Sprintf("%d:%d", daemonUID, daemonUID), folder); err != nil {
		t.Fatal(err)
	}
}

// waitReported waits for as many posts, and no more once the mailbox was looked at.
func waitReported(t *testing.T, d *daemon, n int) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%d are reported", n), func() bool { return len(d.receiver.Seen()) >= n })
	d.waitIdle(t)
	if got := len(d.receiver.Seen()); got != n {
		t.Errorf("%d posts, want %d", got, n)
	}
}

// TestIMAPReadOnly: the access list takes away the right to flag, and Dovecot says OK to STORE all the same. All is reported
// once, nothing is lost, and it is said.
func TestIMAPReadOnly(t *testing.T) {
	if !jailed(t, pop3Server) {
		return
	}
	acl := filepath.Join(dovecotDir, "acl")
	startDovecot(t, "mail_plugins = acl", "plugin {", "  acl = vfile:"+acl, "}")
	writeFile(t, acl, "INBOX owner lrw\n") // neither s, \Seen, nor t, \Deleted
	for _, after := range []string{"flag", "delete-reports"} {
		t.Run(after, func(t *testing.T) {
			d := newMailboxDaemon(t, startReceiver(t), "imap", "993", "any", false)
			file := filepath.Join(d.dir, "config.yaml")
			writeFile(t, file, strings.Replace(readFile(t, file), "after: delete-reports", "after: "+after, 1))
			before := len(mailsLeft(t))
			putReport(t, maildir, after+"-ann")
			d.start(t)
			waitReported(t, d, before+1)
			putReport(t, maildir, after+"-bea")
			waitReported(t, d, before+2)
			said := readFile(t, filepath.Join(d.dir, "stderr"))
			if !strings.Contains(said, "can't be cleared away") || strings.Count(said, "can't be cleared away") > 1 {
				t.Errorf("it is to be said once:\n%s", said)
			}
			if left := mailsLeft(t); len(left) != before+2 {
				t.Errorf("left:\n%s", describeMails(left))
			}
			d.stop(t)
		})
	}
}

// TestIMAPFolderMadeAnew: a folder is deleted and made again, so that its UIDs mean other messages. What is in it again is
// known by its content; what is new is reported.
func TestIMAPFolderMadeAnew(t *testing.T) {
	if !jailed(t, pop3Server) {
		return
	}
	startDovecot(t)
	folder := filepath.Join(maildir, ".Bounces")
	makeFolder(t, folder)
	d := newMailboxDaemon(t, startReceiver(t), "imap", "993", "any", false)
	file := filepath.Join(d.dir, "config.yaml")
	writeFile(t, file, strings.Replace(readFile(t, file), "after: delete-reports", "after: leave\n    folder: Bounces", 1))
	putReport(t, folder, "ann")
	putReport(t, folder, "bea")
	d.start(t)
	waitReported(t, d, 2)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	makeFolder(t, folder)
	putReport(t, folder, "cyd")
	putReport(t, folder, "ann")
	waitReported(t, d, 3)
	if said := readFile(t, filepath.Join(d.dir, "stderr")); !strings.Contains(said, "numbered the folder anew") {
		t.Errorf("it is to be said:\n%s", said)
	}
	d.stop(t)
}
