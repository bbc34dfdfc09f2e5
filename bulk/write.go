package bulk

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
)

// writer writes records as Read reads them.
type writer struct {
	columns []column
	csv     *csv.Writer // nil: JSON Lines
	json    *json.Encoder
	cells   []string
}

// newWriter writes the header, if the format has one.
func newWriter(w io.Writer, kind Kind, format Format) (*writer, error) {
	out := &writer{columns: columns(kind)}
	if format == JSONLines {
		out.json = json.NewEncoder(w)
		out.json.SetEscapeHTML(false)
		return out, nil
	}
	out.csv = csv.NewWriter(w)
	for _, c := range out.columns {
		out.cells = append(out.cells, c.name)
	}
	return out, out.csv.Write(out.cells)
}

func (w *writer) write(r Record) error {
	if w.csv != nil {
		for i, c := range w.columns {
			if w.cells[i] = c.cell(r); !c.number {
				w.cells[i] = guarded(w.cells[i])
			}
		}
		return w.csv.Write(w.cells)
	}
	switch {
	case r.Group != nil:
		return w.json.Encode(r.Group)
	case r.User != nil:
		return w.json.Encode(r.User)
	}
	return w.json.Encode(r.Contact)
}

func (w *writer) flush() error {
	if w.csv == nil {
		return nil
	}
	w.csv.Flush()
	if err := w.csv.Error(); err != nil {
		return fmt.Errorf("bulk: writing: %w", err)
	}
	return nil
}
