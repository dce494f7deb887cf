package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every message at warning or above stands in the runbook with its meaning and its remedy, and nothing else does.
func TestRunbookHasEveryMessage(t *testing.T) {
	t.Parallel()
	messages := loggedMessages(t)
	text, err := os.ReadFile("runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	parts := strings.Split(string(text), "\n### ")
	for _, part := range parts[1:] {
		title, body, _ := strings.Cut(part, "\n")
		told[strings.Trim(title, "`")] = body
	}
	for message, place := range messages {
		body, there := told[message]
		switch {
		case !there:
			t.Errorf("docs/runbook.md lacks a part for what %s logs:\n### `%s`", place, message)
		case !strings.Contains(body, "\nDo: "):
			t.Errorf("docs/runbook.md does not say what to do about %q", message)
		}
	}
	for message := range told {
		if _, logged := messages[message]; !logged {
			t.Errorf("docs/runbook.md has %q, which nothing logs", message)
		}
	}
	if len(messages) < 30 {
		t.Errorf("only %d messages found", len(messages))
	}
}

// loggedMessages are the messages of all calls of slog's Warn and Error with where they stand; of one that is put together,
// what is certain at its beginning.
func loggedMessages(t *testing.T) map[string]string {
	found := map[string]string{}
	for _, root := range []string{"cmd", "internal", "inputs", "outputs", "parsers"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && slices.Contains([]string{"e2e", "testdata", "parsertest", "inputtest"}, d.Name()) {
				if err == nil {
					err = fs.SkipDir
				}
				return err
			}
			if d.IsDir() {
				messagesIn(t, path, found)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// logger is what a *slog.Logger is called.
var logger = regexp.MustCompile(`(?i)log$`)

func messagesIn(t *testing.T, dir string, found map[string]string) {
	files := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*ast.File
	consts := map[string]ast.Expr{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
		for _, decl := range file.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				v := spec.(*ast.ValueSpec)
				for i, value := range v.Values {
					consts[v.Names[i].Name] = value
				}
			}
		}
	}
	for _, file := range parsed {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && len(call.Args) > 0 && (sel.Sel.Name == "Warn" || sel.Sel.Name == "Error") && logger.MatchString(nameOf(sel.X)) {
				if text, _ := literal(call.Args[0], consts); text != "" {
					found[strings.TrimSpace(text)] = files.Position(call.Pos()).String()
				} else {
					t.Errorf("%s: what it logs can't be told", files.Position(call.Pos()))
				}
			}
			return true
		})
	}
}

func nameOf(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	}
	return ""
}

// literal is the text of an expression; whole is false if more follows that is not certain.
func literal(x ast.Expr, consts map[string]ast.Expr) (text string, whole bool) {
	switch x := x.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(x.Value)
		return text, err == nil
	case *ast.Ident:
		if value, ok := consts[x.Name]; ok {
			return literal(value, consts)
		}
	case *ast.BinaryExpr:
		left, whole := literal(x.X, consts)
		if !whole {
			return left, false
		}
		right, whole := literal(x.Y, consts)
		return left + right, whole
	}
	return "", false
}
