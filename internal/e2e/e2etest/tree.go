package e2etest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tree is the directory of a Debian that packaging/test-root.sh has prepared; it is nobody's to write to. Kinds:
// servers, which has all that the tests run, prometheus, bookworm and trixie.
func Tree(kind string) (string, error) {
	if os.Geteuid() != 0 {
		return "", errors.New("not root: no namespaces, no servers")
	}
	script, err := inRepository("packaging/test-root.sh")
	if err != nil {
		return "", err
	}
	out, err := exec.Command(script, "--where", kind).Output()
	if err != nil {
		return "", fmt.Errorf("no Debian is prepared here: packaging/test-root.sh %s does it", kind)
	}
	return strings.TrimSpace(string(out)), nil
}

// inRepository is the path of one of our files, wherever in the repository this runs.
func inRepository(name string) (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, name), nil
		}
		if dir == filepath.Dir(dir) {
			err = errors.New("this runs outside of the repository")
		}
	}
	return "", err
}

// Program is a program of the machine's, or else a script in dir that runs the one of the servers' tree, with that
// tree's libraries: "/usr/bin/journalctl".
func Program(dir, path string) (string, error) { return ProgramOf("servers", dir, path) }

// ProgramOf is Program for another kind of tree.
func ProgramOf(kind, dir, path string) (string, error) {
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	tree, err := Tree(kind)
	if err != nil {
		return "", fmt.Errorf("%s is not installed, and %w", path, err)
	}
	loaders, err := filepath.Glob(tree + "/lib*/ld-linux-*.so.*") // lib64 on amd64, lib on arm64
	if err != nil || len(loaders) == 0 {
		return "", fmt.Errorf("%s has no dynamic loader", tree)
	}
	libraries, err := filepath.Glob(tree + "/usr/lib/*-linux-gnu*")
	if err != nil {
		return "", err
	}
	for _, l := range libraries {
		libraries = append(libraries, l+"/systemd")
	}
	script := filepath.Join(dir, filepath.Base(path))
	text := fmt.Sprintf("#!/bin/sh\nexec %s --library-path %s %s \"$@\"\n", loaders[0], strings.Join(libraries, ":"), tree+path)
	return script, os.WriteFile(script, []byte(text), 0o755)
}
