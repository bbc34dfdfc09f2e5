package main

import (
	"fmt"
	"strings"
)

// report is the table of all that was measured, as Markdown.
type report struct{ text strings.Builder }

func (r *report) String() string { return r.text.String() }

func (r *report) add(dialect string, rows []row) {
	name := map[string]string{sqlite: "SQLite", postgres: "PostgreSQL"}[dialect]
	fmt.Fprintf(&r.text, "\n### %s\n\n| figure | layer | size | Canopy | floor | ratio | target | |\n|---|---|---|---:|---:|---:|---:|---|\n", name)
	for _, w := range rows {
		if w.note != "" {
			fmt.Fprintf(&r.text, "| %s | %s | %s | %s | | | | |\n", w.figure, w.layer, w.size, w.note)
			continue
		}
		target := ""
		if w.target > 0 {
			target = fmt.Sprintf("%s %.4g", map[bool]string{false: "≤", true: "≥"}[w.atLeast], w.target)
		}
		fmt.Fprintf(&r.text, "| %s | %s | %s | %s | %s | %.2f | %s | %s |\n", w.figure, w.layer, w.size, w.real, w.floor, w.found, target, w.verdict())
	}
}
