package bulk

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"canopy/refusal"
)

// Format is how records are written down.
type Format string

// The formats.
const (
	CSV       Format = "CSV"
	JSONLines Format = "JSON_LINES"
)

// MaxRow is how long a row may be, in bytes. A longer one is not read into memory.
const MaxRow = 64 << 10

// Read returns the records of a file of one kind, in UTF-8 with or without a byte order mark. A row that cannot be
// understood comes as a bad record. The sequence ends with an error, a refusal, when what follows cannot be told apart:
// a header that does not fit, a row of CSV that is too long or whose quotes do not match; or when reading fails.
func Read(r io.Reader, kind Kind, format Format) iter.Seq2[Record, error] {
	in := bufio.NewReaderSize(r, MaxRow)
	if mark, _ := in.Peek(3); string(mark) == "\xEF\xBB\xBF" {
		_, _ = in.Discard(3)
	}
	switch {
	case columns(kind) == nil:
		return fail(refusal.BadInput("kind", "%q is not a kind of records.", kind))
	case format == CSV:
		return readCSV(in, kind)
	case format == JSONLines:
		return readJSON(in, kind)
	}
	return fail(refusal.BadInput("format", "%q is not a format.", format))
}

func fail(err error) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) { yield(Record{}, err) }
}

// empty returns a record of the kind with nothing in it.
func empty(kind Kind, line int) Record {
	r := Record{Line: line}
	switch kind {
	case Groups:
		r.Group = &Group{}
	case Users:
		r.User = &User{}
	case Contacts:
		r.Contact = &Contact{}
	}
	return r
}

// gauge lets a reader that knows no limit read so many bytes before it fails.
type gauge struct {
	r    io.Reader
	left int
}

var errTooLong = errors.New("too long")

func (g *gauge) Read(p []byte) (int, error) {
	if g.left <= 0 {
		return 0, errTooLong
	}
	n, err := g.r.Read(p)
	g.left -= n
	return n, err
}

func readCSV(in io.Reader, kind Kind) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		limit := &gauge{r: in}
		rows := csv.NewReader(limit)
		rows.ReuseRecord = true
		rows.FieldsPerRecord = -1
		line := 1 // where the next row begins
		next := func() ([]string, error) {
			limit.left = MaxRow
			cells, err := rows.Read()
			if err != nil {
				return nil, csvError(err, line)
			}
			last := len(cells) - 1
			line, _ = rows.FieldPos(last)
			line += strings.Count(cells[last], "\n") + 1
			return cells, nil
		}
		header, err := next()
		if errors.Is(err, io.EOF) {
			err = refusal.BadInput("data", "The file is empty. It begins with a row of the names of the columns: %s.", names(kind))
		}
		if err != nil {
			yield(Record{}, err)
			return
		}
		taking, err := match(kind, header)
		if err != nil {
			yield(Record{}, err)
			return
		}
		for {
			cells, err := next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Record{}, err)
				return
			}
			at, _ := rows.FieldPos(0)
			if !yield(fromCells(empty(kind, at), taking, cells), nil) {
				return
			}
		}
	}
}

// csvError says what is wrong with the row that begins at the line.
func csvError(err error, line int) error {
	var wrong *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.Is(err, errTooLong):
		return refusal.BadInput("data", "The row at line %d is longer than %d bytes. Is a quote missing?", line, MaxRow)
	case errors.As(err, &wrong):
		return refusal.BadInput("data", "The row at line %d cannot be read: %s. Put cells that have quotes in quotes, and double each quote within.",
			wrong.StartLine, wrong.Err)
	}
	return fmt.Errorf("bulk: reading: %w", err)
}

func names(kind Kind) string {
	var list []string
	for _, c := range columns(kind) {
		list = append(list, c.name)
	}
	return strings.Join(list, ", ")
}

// match finds the column of each cell of the header.
func match(kind Kind, header []string) ([]column, error) {
	all := columns(kind)
	taking := make([]column, len(header))
	for i, name := range header {
		name = strings.TrimSpace(name)
		at := slices.IndexFunc(all, func(c column) bool { return c.name == name })
		if at < 0 {
			return nil, refusal.BadInput("data", "There is no column %q. The columns are: %s.", name, names(kind))
		}
		if slices.ContainsFunc(taking[:i], func(c column) bool { return c.name == name }) {
			return nil, refusal.BadInput("data", "The column %q is there twice.", name)
		}
		taking[i] = all[at]
	}
	for _, c := range all {
		if c.required && !slices.ContainsFunc(taking, func(t column) bool { return t.name == c.name }) {
			return nil, refusal.BadInput("data", "The column %q is missing. The columns are: %s.", c.name, names(kind))
		}
	}
	return taking, nil
}

func fromCells(r Record, taking []column, cells []string) Record {
	if len(cells) != len(taking) {
		r.Bad = refusal.BadInput("", "The row has %d cells, and the header %d.", len(cells), len(taking))
		return r
	}
	for i, c := range taking {
		cell := strings.Clone(cells[i]) // the reader uses its memory again
		if !c.number {
			cell = bare(cell)
		}
		if c.required && strings.TrimSpace(cell) == "" {
			r.Bad = refusal.BadInput(c.name, "The cell is empty. Fill it in.")
			return r
		}
		if err := c.take(r, cell); err != nil {
			r.Bad = err
			return r
		}
	}
	return r
}

func readJSON(in *bufio.Reader, kind Kind) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for line := 1; ; line++ {
			text, err := in.ReadSlice('\n')
			long := errors.Is(err, bufio.ErrBufferFull)
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = in.ReadSlice('\n')
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Record{}, fmt.Errorf("bulk: reading: %w", err))
				return
			}
			ended := err != nil
			if long {
				bad := Record{Line: line, Bad: refusal.BadInput("", "The row is longer than %d bytes.", MaxRow)}
				if !yield(bad, nil) || ended {
					return
				}
				continue
			}
			if text = bytes.TrimSpace(text); len(text) > 0 && !yield(fromJSON(empty(kind, line), text), nil) || ended {
				return
			}
		}
	}
}

func fromJSON(r Record, text []byte) Record {
	var into any = r.Contact
	switch {
	case r.Group != nil:
		into = r.Group
	case r.User != nil:
		into = r.User
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	switch {
	case err != nil:
		r.Bad = notSuch(err)
	case r.Group != nil && r.Group.Path == nil:
		r.Bad = refusal.BadInput("path", "The path is missing. Give a list of names.")
	case r.User != nil && r.User.Home == nil:
		r.Bad = refusal.BadInput("home", "The home group is missing. Give its path, [] for the root.")
	case r.Contact != nil && r.Contact.Group == nil:
		r.Bad = refusal.BadInput("group", "The group is missing. Give its path, [] for the root.")
	}
	return r
}

// notSuch says why a row is not such an object, in words of JSON and not of this program.
func notSuch(err error) *refusal.Refusal {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field == "":
		return refusal.BadInput("", "The row is not an object. Write {…}, one in each line.")
	case errors.As(err, &wrong):
		return refusal.BadInput(wrong.Field, "The value cannot be a %s. The documentation of imports says what it is.", wrong.Value)
	}
	return refusal.BadInput("", "The row is not such an object: %s.", strings.TrimPrefix(err.Error(), "json: "))
}

// formula are the characters with which a cell begins that a spreadsheet would take for a formula.
const formula = "=+-@\t\r"

// guarded puts an apostrophe before a cell that a spreadsheet would take for a formula, and before one that has such
// apostrophes already, so that bare takes off what was put there and nothing else.
func guarded(cell string) string {
	if rest := strings.TrimLeft(cell, "'"); rest != "" && strings.ContainsRune(formula, rune(rest[0])) {
		return "'" + cell
	}
	return cell
}

func bare(cell string) string {
	if rest := strings.TrimLeft(cell, "'"); len(rest) < len(cell) && rest != "" && strings.ContainsRune(formula, rune(rest[0])) {
		return cell[1:]
	}
	return cell
}
