package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"bouncefeed/internal/agent"
)

const (
	defaultConfig = "/etc/bouncefeed/config.yaml"
	serviceGroup  = "bouncefeed" // reads configuration and secrets
)

// write writes token and configuration, readable to root and the service alone. What an admin wrote before is not lost.
func (o *initOrder) write(draft []byte, token string, who asker) error {
	old, err := os.ReadFile(o.output)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return fmt.Errorf("look at %s: %w", o.output, err)
	case bytes.Equal(old, draft):
	case isDraft(old) || o.force || who.agrees(o.output+" is there already. Replace it? It is kept as "+o.output+".old."):
		if err := replaceFile(o.output+".old", old); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s is there already: nothing was written. Give another file with -o, or --force, which keeps the old one as %s.old", o.output, filepath.Base(o.output))
	}
	if token != "" {
		old, err := os.ReadFile(o.passwordFile)
		known := string(bytes.TrimSpace(old))
		if err == nil && known != "" && known != token && !o.force && !who.agrees(o.passwordFile+" holds another token. Replace it?") {
			return fmt.Errorf("%s holds another token: nothing was written. Remove it, or give --force", o.passwordFile)
		}
		if err := replaceFile(o.passwordFile, []byte(token+"\n")); err != nil {
			return err
		}
		fmt.Fprintln(who.out, "wrote", o.passwordFile)
	}
	if err := replaceFile(o.output, draft); err != nil {
		return err
	}
	fmt.Fprintln(who.out, "wrote", o.output)
	return nil
}

// isDraft says whether a configuration is one of init's that lacks listmonk's address still: the package brings one.
func isDraft(old []byte) bool {
	return bytes.HasPrefix(old, []byte(agent.DraftHead)) && bytes.Contains(old, []byte("\n    url: "+exampleURL+"\n"))
}

// replaceFile writes a file anew, whole or not at all: 0640 and of the service's group where root can give it to that,
// else 0600.
func replaceFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".bouncefeed-init-") // 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	defer f.Close()
	if gid, ok := groupID(serviceGroup); ok && os.Geteuid() == 0 {
		if err := errors.Join(f.Chown(0, gid), f.Chmod(0o640)); err != nil {
			return err
		}
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func groupID(name string) (gid int, ok bool) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	gid, err = strconv.Atoi(g.Gid)
	return gid, err == nil
}
