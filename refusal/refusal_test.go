package refusal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/refusal"
)

func TestForbiddenSaysWhatWhereAndWhatToDo(t *testing.T) {
	for _, r := range []*refusal.Refusal{
		refusal.Forbidden(authz.GroupsMove, "at this group"),
		refusal.Limit(refusal.Rank, authz.GroupsMove, "at this group", "They hold more.", "Ask somebody else."),
	} {
		if r.Code != refusal.ForbiddenCode || r.Permission != "GROUPS_MOVE" || r.Where != "at this group" ||
			r.Remedy == "" || !strings.HasSuffix(r.Message, " "+r.Remedy) {
			t.Errorf("got %+v", r)
		}
	}
}

// TestEveryForbiddenIsMadeByItsConstructors reads the source of everything: a FORBIDDEN that is put together by hand could
// lack what clients rely on, and so does one whose words are empty.
func TestEveryForbiddenIsMadeByItsConstructors(t *testing.T) {
	made := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == "generated"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" && called(n.Value) == "ForbiddenCode" && file.Name.Name != "refusal" {
					t.Errorf("%s puts a FORBIDDEN together by hand; use refusal.Forbidden or refusal.Limit", path)
				}
			case *ast.CallExpr:
				if name := called(n.Fun); name == "Forbidden" || name == "Limit" && file.Name.Name != "graph" {
					made++
					for i, arg := range n.Args {
						if text, ok := arg.(*ast.BasicLit); ok && text.Value == `""` && (name != "Limit" || i > 0) {
							t.Errorf("%s makes a FORBIDDEN with empty words", path)
						}
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil || made < 15 {
		t.Errorf("found %d places (%v)", made, err)
	}
}

// called is the last word of a name.
func called(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}
