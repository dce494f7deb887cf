package agent

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bouncefeed/internal/event"
)

// counterWords are all words under which the code counts what it refuses or ignores: the first argument of every
// event.Refuse, whys written out, and constants that are named like them.
func counterWords(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	constants := map[string]string{}
	var asked []struct{ name, place string }
	walk := func(path string) {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		literal := func(e ast.Expr) (string, bool) {
			l, ok := e.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING {
				return "", false
			}
			s, err := strconv.Unquote(l.Value)
			return s, err == nil
		}
		use := func(e ast.Expr) {
			place := set.Position(e.Pos()).String()
			if s, ok := literal(e); ok {
				found[s] = place
			} else if id, ok := e.(*ast.Ident); ok {
				asked = append(asked, struct{ name, place string }{id.Name, place})
			} else if sel, ok := e.(*ast.SelectorExpr); ok {
				asked = append(asked, struct{ name, place string }{sel.Sel.Name, place})
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if i < len(n.Values) {
						if s, ok := literal(n.Values[i]); ok {
							constants[name.Name] = s
						}
					}
				}
			case *ast.CallExpr:
				called := ""
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok {
					called = sel.Sel.Name
				} else if id, ok := n.Fun.(*ast.Ident); ok {
					called = id.Name
				}
				if slices.Contains([]string{"Refuse", "RefusedAs", "IgnoredAs", "ignore", "Refused"}, called) && len(n.Args) > 0 {
					use(n.Args[0])
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Why" {
					use(n.Value)
				}
			}
			return true
		})
	}
	for _, dir := range []string{"parsers", "inputs", "internal/agent", "internal/event", "internal/queue", "internal/address"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(filepath.Dir(path), "test") {
				walk(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range asked {
		if s := constants[a.name]; s != "" {
			found[s] = a.place
		}
	}
	for name, s := range constants { // those that are handed on in a variable
		for _, prefix := range []string{"Why", "why", "ignored", "refused"} {
			if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z' {
				found[s] = name
			}
		}
	}
	maps.DeleteFunc(found, func(word, _ string) bool { return strings.Trim(word, "abcdefghijklmnopqrstuvwxyz_") != "" })
	return found
}

// The glossary has every word that the code counts under, and none beside.
func TestEveryWordIsExplained(t *testing.T) {
	t.Parallel()
	used := counterWords(t)
	for _, e := range []event.Type{event.Delivered, event.Delayed, event.Autoreply, event.Challenge, event.MDN, event.AuthFailureReport, event.NotSpamReport,
		event.Ordinary, event.CopyFailed, event.Foreign, event.Forgotten} {
		used[string(e)] = "event.Type"
	}
	if len(used) < 25 {
		t.Fatalf("only %d words were found in the code", len(used))
	}
	explained := map[string]bool{}
	for _, w := range Words {
		if explained[w.Word] || w.Means == "" || w.Refused && w.Remedy == "" {
			t.Errorf("%s stands there twice, or without meaning or remedy", w.Word)
		}
		explained[w.Word] = true
		if used[w.Word] == "" {
			t.Errorf("nothing is counted as %s any more", w.Word)
		}
	}
	for word, place := range used {
		if !explained[word] {
			t.Errorf("%s (%s) is not among Words: add it, with its meaning and remedy", word, place)
		}
	}
	if !slices.IsSortedFunc(Words, func(a, b Word) int {
		if a.Refused != b.Refused {
			return map[bool]int{false: -1, true: 1}[a.Refused]
		}
		return strings.Compare(a.Word, b.Word)
	}) {
		t.Error("ignored, then refused, each in the order of the alphabet")
	}
}
