// Package docs holds what is written for those who work on bouncefeed to the code that it names.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A page names a file or a directory of the tree in backquotes, by its path from the root: `parsers/parsers.go`. A name
// with parentheses, `Parse()` or `sink.Commit()`, is a function of the file named last before it.
var (
	quoted   = regexp.MustCompile("`([^`\n]+)`")
	treePath = regexp.MustCompile(`^(cmd|docs|inputs|internal|outputs|packaging|parsers|systemd|tools)(/[\w.-]+)*/?$`)
	function = regexp.MustCompile(`^(\w+\.)?\w+\(\)$`)
	fenced   = regexp.MustCompile("(?ms)^```.*?^```$")
)

// TestPagesNameWhatExists: every file, directory and function that a page names is there.
func TestPagesNameWhatExists(t *testing.T) {
	for page, least := range map[string]int{"docs/architecture.md": 40, "CONTRIBUTING.md": 10, "README.md": 3} {
		t.Run(page, func(t *testing.T) {
			checked := check(t, page)
			if checked < least {
				t.Errorf("only %d names of files and functions found: is this test blind?", checked)
			}
		})
	}
}

// check checks a page and says how many names it found.
func check(t *testing.T, page string) (checked int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", page))
	if err != nil {
		t.Fatal(err)
	}
	file := ""
	for _, m := range quoted.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
		switch name := m[1]; {
		case treePath.MatchString(name):
			checked++
			if _, err := os.Stat(filepath.Join("..", name)); err != nil {
				t.Errorf("%s names %s: %v", page, name, err)
			} else if strings.HasSuffix(name, ".go") {
				file = name
			}
		case function.MatchString(name):
			checked++
			if file == "" {
				t.Errorf("%s names %s before any file", page, name)
			} else if all := functions(t, file); !slices.Contains(all, strings.TrimSuffix(name, "()")) {
				t.Errorf("%s names %s, which %s does not declare: it has %q", page, name, file, all)
			}
		}
	}
	return checked
}

// functions lists what a file declares, methods as Type.Name.
func functions(t *testing.T, file string) (names []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", file), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := f.Name.Name
		if f.Recv != nil {
			name = receiver(f.Recv.List[0].Type) + "." + name
		}
		names = append(names, name)
	}
	return names
}

// receiver is the name of a method's type, without * and type parameters.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// TestWalksAreShort: a page that nobody reads to its end helps nobody.
func TestWalksAreShort(t *testing.T) {
	const most = 70
	text, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	walks := 0
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		title, _, _ := strings.Cut(section, "\n")
		if lines := strings.Count(section, "\n"); lines > most {
			t.Errorf("%q has %d lines, at most %d are wanted", title, lines, most)
		}
		if strings.Contains(title, "to its POST") {
			walks++
		}
	}
	if walks != 3 {
		t.Errorf("%d walks, want those of a line, a mail and a request", walks)
	}
}
