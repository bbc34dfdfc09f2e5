// Package architecture holds the test of who may import whom.
package architecture

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed is the import table of docs/architecture.md: for each package of Canopy, what of Canopy it may import. A
// package that is not listed fails the test, so the table is complete.
var allowed = map[string][]string{
	"authz":             {},
	"refusal":           {},
	"relay":             {},
	"internal/fold":     {},
	"internal/optional": {},
	"internal/mask":     {},
	"ent":               {},
	"internal/hours":    {},
	"ent/schema":        {"authz", "internal/hours"},
	"ent/migrations":    {},
	"ent/rule":          {"authz", "refusal", "tree", "ent/generated"},
	"tree":              {"ent/generated"},
	"store":             {"authz", "refusal", "ent/generated", "ent/rule", "ent/migrations"},
	"live":              {"authz", "refusal", "tree", "store", "ent/generated"},
	"audit":             {"authz", "relay", "ent/generated", "internal/mask"},
	"timers":            {},
	"directory":         {"authz", "refusal", "relay", "audit", "live", "timers", "tree", "store", "ent/generated", "ent/rule", "internal/fold", "internal/hours", "internal/optional"},
	"desk":              {"authz", "refusal", "relay", "audit", "live", "timers", "tree", "store", "ent/generated", "ent/rule", "internal/fold", "internal/hours", "internal/mask", "internal/optional"},
	"doctor":            {"authz", "relay", "tree", "store", "ent/generated", "internal/fold"},
	"bulk":              {"authz", "refusal", "relay", "audit", "tree", "store", "directory", "desk", "ent/generated", "ent/rule", "internal/fold", "internal/mask", "internal/optional"},
	"graph":             {"authz", "refusal", "relay", "audit", "live", "tree", "store", "directory", "desk", "bulk", "ent/generated", "ent/rule", "graph/bind", "graph/model", "graph/generated", "internal/fold", "internal/hours", "internal/mask", "internal/optional"},
	"graph/bind":        {"authz", "refusal", "relay", "directory", "desk", "ent/generated"},
	"graph/model":       {"authz", "bulk", "relay", "ent/generated", "graph/bind"},
	"graph/generated":   {"authz", "bulk", "relay", "directory", "desk", "graph/bind", "graph/model", "ent/generated"},
	"web":               {},
	"server":            {"authz", "refusal", "audit", "store", "directory", "desk", "graph", "web", "internal/fold"},
	"demo":              {"authz", "audit", "tree", "store", "directory", "desk", "relay", "ent/generated", "internal/fold", "internal/optional"},
	"generate":          {"authz", "bulk"},
	"cmd/canopy":        {"*"},
	"bench":             {"*"},
	"internal/testdb":   {"*"},
	"internal/prove":    {},

	"internal/architecture": {},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestNobodyImportsWhatTheyMayNot(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "canopy/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		check(t, p)
	}
}

func check(t *testing.T, p listed) {
	name := strings.TrimPrefix(p.ImportPath, "canopy/")
	if strings.HasPrefix(name, "ent/generated") {
		return // written by Ent; it imports ent/schema and relay by its templates
	}
	may, known := allowed[name]
	if !known {
		t.Errorf("%s is not in the import table: add it here and to docs/architecture.md", name)
		return
	}
	for _, i := range p.Imports {
		of, ours := strings.CutPrefix(i, "canopy/")
		if !ours || slices.Contains(may, "*") {
			continue
		}
		if strings.HasPrefix(of, "ent/generated") {
			of = "ent/generated"
		}
		if !slices.Contains(may, of) {
			t.Errorf("%s imports %s, which the import table does not allow", name, of)
		}
	}
	if name == "authz" {
		for _, i := range p.Imports {
			if strings.Contains(strings.Split(i, "/")[0], ".") {
				t.Errorf("authz imports %s: it may import the standard library only", i)
			}
		}
	}
}
