// Command bom writes what has to be said of what a built bouncefeed holds: Debian's copyright file (DEP-5) with the
// licence of every module that is linked in, and a bill of materials (CycloneDX 1.5, JSON). What is linked in, the
// binary says itself (debug/buildinfo); the texts are those of the module cache. A licence that it does not know, or
// that may not be linked in here, is an error.
//
//	bom -binary dist/bouncefeed -copyright FILE -sbom FILE
package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// module is one that is linked in, with its licence.
type module struct {
	path, version, sum string
	licence            string // as DEP-5 calls it; several joined by "-and-"
	text               string // without its copyright lines
	copyright          []string
}

func main() {
	binary := flag.String("binary", "dist/bouncefeed", "the built `program`")
	version := flag.String("version", "0", "its version")
	home := flag.String("home", "", "the `URL` its source is at")
	copyright := flag.String("copyright", "", "where to write the copyright `file`")
	sbom := flag.String("sbom", "", "where to write the bill of materials")
	flag.Parse()
	if err := run(*binary, *version, *home, *copyright, *sbom); err != nil {
		fmt.Fprintln(os.Stderr, "bom:", err)
		os.Exit(1)
	}
}

func run(binary, version, home, copyright, sbom string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	modules, err := linked(info)
	if err != nil {
		return err
	}
	if copyright != "" {
		if err := os.WriteFile(copyright, dep5(home, modules), 0o644); err != nil {
			return err
		}
	}
	if sbom == "" {
		return nil
	}
	data, err := cycloneDX(info, version, modules)
	if err != nil {
		return err
	}
	return os.WriteFile(sbom, data, 0o644)
}

// linked is Go's library and every module in the binary, in order, with their licences.
func linked(info *buildinfo.BuildInfo) ([]module, error) {
	goroot, err := command("go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	std := module{path: "std", version: strings.TrimPrefix(info.GoVersion, "go")}
	licence := filepath.Join(goroot, "LICENSE")
	if _, err := os.Stat(licence); err != nil { // as Debian packages Go
		licence = "/usr/share/doc/golang-go/copyright"
	}
	if err := std.read(licence); err != nil {
		return nil, err
	}
	modules := []module{std}
	var wrong error
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		m, err := fromCache(dep)
		wrong = errors.Join(wrong, err)
		modules = append(modules, m)
	}
	return modules, wrong
}

func fromCache(dep *debug.Module) (module, error) {
	m := module{path: dep.Path, version: dep.Version, sum: dep.Sum}
	dir, err := command("go", "list", "-m", "-f", "{{.Dir}}", dep.Path)
	if err != nil || dir == "" { // vendored: go list has no directory
		dir = filepath.Join("vendor", dep.Path)
	}
	files, err := filepath.Glob(filepath.Join(dir, "LICENSE*"))
	if err != nil || len(files) == 0 {
		return m, fmt.Errorf("%s %s: no licence in %s", dep.Path, dep.Version, dir)
	}
	return m, m.read(files[0])
}

func command(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	return strings.TrimSpace(string(out)), err
}

// copyrightLine is "Copyright (c) 2013 The Go Authors. All rights reserved."
var copyrightLine = regexp.MustCompile(`(?i)^\s*(?:portions )?copyright (?:\(c\)|©)?\s*(\d{4}.*?|The [A-Z].*?)\.?(?:\s*all rights reserved\.?)?\s*$`)

// apache is the whole text, which Debian has already.
var apache = regexp.MustCompile(`(?s)[ \t]*Apache License\n[ \t]*Version 2\.0.*?END OF TERMS AND CONDITIONS(\n\s*APPENDIX:.*?limitations under the License\.)?`)

// licences are recognised by a sentence of theirs; a file may hold several. Those without one here may not be linked in.
var licences = []struct{ spdx, says string }{
	{"Apache-2.0", "Apache License Version 2.0"},
	{"MPL-2.0", "Mozilla Public License"},
	{"BSD-3-clause", "Neither the name of"},
	{"BSD-2-clause", "Redistributions in binary form must reproduce"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software"},
	{"Expat", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
}

func (m *module) read(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s %s: %w", m.path, m.version, err)
	}
	var rest []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n\t ")
		if found := copyrightLine.FindStringSubmatch(line); found != nil && !strings.Contains(line, "[yyyy]") {
			m.copyright = append(m.copyright, found[1])
			continue
		}
		rest = append(rest, line)
	}
	m.text = strings.Trim(apache.ReplaceAllString(strings.Join(rest, "\n"),
		"The Apache License, Version 2.0: /usr/share/common-licenses/Apache-2.0"), "\n")
	words := strings.Join(strings.Fields(string(data)), " ")
	for _, l := range licences {
		if !strings.Contains(words, l.says) || l.spdx == "BSD-2-clause" && strings.Contains(m.licence, "BSD-3-clause") {
			continue
		}
		if m.licence != "" {
			m.licence += "-and-"
		}
		m.licence += l.spdx
	}
	if m.licence == "" {
		return fmt.Errorf("%s %s: unknown licence in %s", m.path, m.version, file)
	}
	if len(m.copyright) == 0 {
		m.copyright = []string{"its authors, see https://" + m.path}
	}
	return nil
}

const dep5Head = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: bouncefeed
Source: %s
Comment: One static program: the modules below are linked in, in source form
 they are at the addresses given.

Files: *
Copyright: 2026 The bouncefeed authors
License: Apache-2.0
`

// inBase are the licences whose text Debian keeps.
var inBase = map[string]string{"Apache-2.0": "Apache-2.0", "MPL-2.0": "MPL-2.0"}

// dep5 is Debian's machine-readable copyright file.
func dep5(home string, modules []module) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, dep5Head, home)
	texts := map[string]string{} // by name in this file
	for i, m := range modules {
		name := m.licence
		// Licences of one kind differ in whom they name: each wording has a name of its own.
		for n := 1; inBase[m.licence] == "" && texts[name] != "" && squeeze(texts[name]) != squeeze(m.text); n++ {
			name = fmt.Sprintf("%s-%d", m.licence, n)
		}
		texts[name] = m.text
		where, files := "https://"+m.path, "vendor/"+m.path+"/*"
		if m.path == "std" {
			where, files = "https://go.dev", "go/*"
		}
		fmt.Fprintf(&b, "\nFiles: %s\nCopyright: %s\nLicense: %s\nComment: %s %s, %s\n",
			files, strings.Join(m.copyright, "\n "), name, m.path, m.version, where)
		modules[i].text = ""
	}
	names := make([]string, 0, len(texts)+1)
	for name := range texts {
		names = append(names, name)
	}
	if texts["Apache-2.0"] == "" {
		names = append(names, "Apache-2.0")
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "\nLicense: %s\n", name)
		if base := inBase[name]; base != "" {
			fmt.Fprintf(&b, " On Debian systems, the complete text of this licence is in\n /usr/share/common-licenses/%s.\n", base)
			continue
		}
		for line := range strings.SplitSeq(texts[name], "\n") {
			if line = strings.TrimRight(line, " "); line == "" {
				line = "."
			}
			fmt.Fprintf(&b, " %s\n", line)
		}
	}
	return b.Bytes()
}

func squeeze(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// cycloneDX is the bill of materials. The same binary gives the same bytes.
func cycloneDX(info *buildinfo.BuildInfo, version string, modules []module) ([]byte, error) {
	type licence struct {
		Licence map[string]string `json:"license"`
	}
	type component struct {
		Type     string    `json:"type"`
		Ref      string    `json:"bom-ref"`
		Name     string    `json:"name"`
		Version  string    `json:"version"`
		Purl     string    `json:"purl"`
		Licences []licence `json:"licenses"`
		// Hashes would say SHA-256 of an archive; go.sum's are of another kind.
		Properties []map[string]string `json:"properties,omitempty"`
	}
	spdx := map[string]string{"Expat": "MIT", "BSD-3-clause": "BSD-3-Clause", "BSD-2-clause": "BSD-2-Clause"}
	of := func(name, version, licenceName string) component {
		var ids []licence
		for part := range strings.SplitSeq(licenceName, "-and-") {
			ids = append(ids, licence{map[string]string{"id": cmp.Or(spdx[part], part)}})
		}
		purl := "pkg:golang/" + name + "@" + version
		return component{Type: "library", Ref: purl, Name: name, Version: version, Purl: purl, Licences: ids}
	}
	self := of("bouncefeed", version, "Apache-2.0")
	self.Type = "application"
	self.Properties = []map[string]string{{"name": "GOARCH", "value": setting(info, "GOARCH")}, {"name": "GOOS", "value": setting(info, "GOOS")}}
	components, refs := []component{}, []string{}
	for _, m := range modules {
		c := of(m.path, m.version, m.licence)
		if m.sum != "" {
			c.Properties = []map[string]string{{"name": "go.sum", "value": m.sum}}
		}
		components, refs = append(components, c), append(refs, c.Ref)
	}
	out, err := json.MarshalIndent(map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
		"metadata":     map[string]any{"component": self},
		"components":   components,
		"dependencies": []any{map[string]any{"ref": self.Ref, "dependsOn": refs}},
	}, "", " ")
	return append(out, '\n'), err
}

func setting(info *buildinfo.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return "unknown"
}
