package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
)

func newSupport(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "support",
		Short: "write a bundle for whoever is to help",
		Long: `Writes one .tar.gz with what is needed to help from afar: versions, the configuration without comments and secrets, its
mistakes, the daemon's status and counters, the unit, the rights of its files, and the last lines it logged. Mail
addresses, Message-IDs and subscribers' UUIDs in all of it are masked: the same one is the same word within a bundle.
Domains and host names stay. It holds no mail and no line of a mail log. Look through it before you send it.` + "\n" + exitHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			socket, err := a.controlSocket(cmd)
			if err != nil {
				socket = config.Default().Control.Socket
			}
			b := &bundle{mask: agent.Masker{Key: []byte(rand.Text())}, at: time.Now()}
			b.collect(cmd.Context(), a, socket)
			if output == "" {
				output = "bouncefeed-support-" + b.at.UTC().Format("20060102T150405") + ".tar.gz"
			}
			if err := b.write(cmd, output); err != nil {
				return fmt.Errorf("write the bundle: %w", err)
			}
			for _, f := range b.files {
				fmt.Fprintf(cmd.ErrOrStderr(), "%-14s %s\n", f.name, size(int64(len(f.text))))
			}
			if output != "-" {
				fmt.Fprintf(cmd.ErrOrStderr(), "written to %s: look through it before you send it\n", output)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "file", "o", "", "the `file` to write; - is standard output")
	return a.socketFlag(cmd)
}

// bundle is what is collected, each file of it masked.
type bundle struct {
	mask  agent.Masker
	at    time.Time
	files []bundled
}

type bundled struct{ name, text string }

const maxBundled = 2 << 20 // of one file, in bytes

func (b *bundle) add(name, text string, err error) {
	if err != nil {
		text += "\n(" + err.Error() + ")\n"
	}
	if len(text) > maxBundled {
		text = text[len(text)-maxBundled:]
	}
	b.files = append(b.files, bundled{name, b.mask.Mask(text)})
}

func (b *bundle) collect(ctx context.Context, a *app, socket string) {
	b.add("version.txt", versions(), nil)
	own, err := os.ReadFile(a.configPath)
	b.add("config.yaml", string(config.Redacted(own)), err)
	cfg, err := config.Load(a.configPath)
	if cfg != nil {
		err = config.Join(a.configPath, err, agent.Check(cfg, a.configPath, version, slog.New(slog.DiscardHandler)))
	}
	said := "no mistakes\n"
	if err != nil {
		said = describe(err) + "\n"
	}
	b.add("check.txt", said, nil)
	status := ""
	err = agent.Calls.Status.Each(ctx, socket, control.None{}, nil, func(st agent.Status, raw json.RawMessage) error {
		var whole bytes.Buffer
		err := json.Indent(&whole, raw, "", " ")
		status = statusText(&st, b.at) + "\n" + whole.String() + "\n"
		return err
	})
	b.add("status.txt", status, err)
	unit, err := output(ctx, "systemctl", "cat", "bouncefeed.service")
	state, serr := output(ctx, "systemctl", "status", "--no-pager", "--lines=0", "bouncefeed.service")
	b.add("unit.txt", unit+"\n"+state, errors.Join(err, serr))
	logged, err := output(ctx, "journalctl", "--unit=bouncefeed.service", "--lines=500", "--no-pager", "--output=short-iso")
	b.add("log.txt", logged, err)
	b.add("files.txt", rights(a.configPath, cfg), nil)
}

func versions() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bouncefeed %s (%s, %s)\n", version, runtime.Version(), runtime.GOARCH)
	for _, file := range []string{"/proc/version", "/etc/os-release"} {
		text, err := os.ReadFile(file)
		fmt.Fprintf(&b, "\n%s:\n%s", file, text)
		if err != nil {
			fmt.Fprintf(&b, "(%v)\n", err)
		}
	}
	return b.String()
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if _, ended := errors.AsType[*exec.ExitError](err); ended { // of a unit that does not run
		err = nil
	}
	return string(out), err
}

// rights are those of the files that the service needs.
func rights(configPath string, cfg *config.Config) string {
	dirs := []string{filepath.Dir(configPath)}
	if cfg != nil {
		dirs = append(dirs, filepath.Dir(cfg.Queue.Path), filepath.Dir(cfg.Control.Socket))
	}
	var b strings.Builder
	for _, dir := range dirs {
		fmt.Fprintf(&b, "%s\n", dir)
		files, err := os.ReadDir(dir)
		if err != nil {
			fmt.Fprintf(&b, "  (%v)\n", err)
		}
		for i, f := range files {
			if i == 200 {
				b.WriteString("  …\n")
				break
			}
			if info, err := f.Info(); err == nil {
				fmt.Fprintf(&b, "  %s %10d %s %s\n", info.Mode(), info.Size(), info.ModTime().UTC().Format(time.RFC3339), f.Name())
			}
		}
	}
	return b.String()
}

// write never replaces a file, and lets nobody else read it.
func (b *bundle) write(cmd *cobra.Command, path string) (err error) {
	w := cmd.OutOrStdout()
	if path != "-" {
		f, ferr := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if ferr != nil {
			return ferr
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		w = f
	}
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, f := range b.files {
		head := &tar.Header{Name: "bouncefeed-support/" + f.name, Mode: 0o600, Size: int64(len(f.text)), ModTime: b.at}
		if err := t.WriteHeader(head); err != nil {
			return err
		}
		if _, err := io.WriteString(t, f.text); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}
