// Command bench measures Canopy against a floor: the same rows by plain database/sql with prepared statements, on the
// same database and in the same run. docs/benchmarks.md says what is measured, what each floor is and how to read the
// table that it prints.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"time"

	"github.com/alecthomas/kong"
)

type options struct {
	Dir         string        `default:".bench" help:"Where the data sets are kept."`
	Sizes       []string      `default:"1k,100k,1M" help:"Sizes to measure at, by the number of groups, smallest first."`
	Postgres    string        `placeholder:"URL" help:"Address of a PostgreSQL server; without it only SQLite is measured."`
	SQLite      bool          `name:"sqlite" default:"true" negatable:"" help:"Measure SQLite."`
	Only        string        `placeholder:"REGEXP" help:"Only the figures whose name matches."`
	Patience    time.Duration `default:"3s" help:"How long to measure one figure at most."`
	Handwritten string        `placeholder:"FILE" hidden:"" help:"Only serve this file, by the server that is written by hand."`
	Report      string        `placeholder:"FILE" help:"Write the table to this file too, as Markdown."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
	var o options
	kong.Parse(&o, kong.Name("bench"), kong.Description("Measure Canopy; see docs/benchmarks.md."), kong.DefaultEnvars("BENCH"))
	do := func() error { return run(ctx, o, os.Stdout, os.Stderr) }
	if o.Handwritten != "" {
		do = func() error { return serveHandwritten(ctx, o.Handwritten) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures and writes the report.
func run(ctx context.Context, o options, out, progress io.Writer) error {
	var sizes []size
	for _, name := range o.Sizes {
		s, err := sizeOf(name)
		if err != nil {
			return err
		}
		sizes = append(sizes, s)
	}
	only, err := regexp.Compile(o.Only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	cellar := cellar{folder: o.Dir, server: o.Postgres, progress: progress}
	var dialects []string
	if o.SQLite {
		dialects = append(dialects, sqlite)
	}
	if o.Postgres != "" {
		dialects = append(dialects, postgres)
	}
	report := &report{}
	for _, dialect := range dialects {
		s := measuring{sizes: sizes, dialect: dialect, only: only, watch: stopwatch{rounds: 61, most: o.Patience, batch: 4 * time.Millisecond}, progress: progress}
		rows, err := s.measure(ctx, cellar)
		report.add(dialect, rows)
		if err != nil {
			return fmt.Errorf("%s: %w", dialect, err)
		}
	}
	if _, err := io.WriteString(out, report.String()); err != nil {
		return err
	}
	if o.Report == "" {
		return nil
	}
	return os.WriteFile(o.Report, []byte(report.String()), 0o644)
}

// measuring is all figures on one database.
type measuring struct {
	sizes    []size
	dialect  string
	only     *regexp.Regexp
	watch    stopwatch
	progress io.Writer
}

func (s measuring) measure(ctx context.Context, c cellar) (rows []row, err error) {
	var sets []*dataset
	defer func() {
		for _, d := range sets {
			err = errors.Join(err, d.close())
		}
	}()
	for _, size := range s.sizes {
		d, err := c.open(ctx, s.dialect, size)
		if err != nil {
			return rows, err
		}
		sets = append(sets, d)
	}
	wide, err := c.open(ctx, s.dialect, size{name: "nested", groups: 120, contacts: 800})
	if err != nil {
		return rows, err
	}
	defer func() { err = errors.Join(err, wide.close()) }()
	var heard []*dataset
	if s.dialect == sqlite && s.only.MatchString("hearing") { // in a data set of its own, which gets more users
		d, err := c.open(ctx, s.dialect, size{name: "heard", groups: 120, contacts: 800})
		if err != nil {
			return rows, err
		}
		defer func() { err = errors.Join(err, d.close()) }()
		heard = append(heard, d)
	}
	for _, f := range slices.Concat(reads(), writes()) {
		if !s.only.MatchString(f.name) {
			continue
		}
		found, err := s.figure(ctx, f, sets)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", f.name, err)
		}
		rows = append(rows, found...)
	}
	for _, m := range []struct {
		name    string
		measure func(context.Context, *dataset) ([]row, error)
		sets    []*dataset
	}{
		{"check", s.check, sets},
		{"judging", s.judging, []*dataset{wide}},
		{"together", s.together, sets},
		{"big move", s.bigMove, sets},
		{"nested", s.nestedPages, []*dataset{wide}},
		{"http", s.overHTTP, sets},
		{"hearing", s.hearing, heard},
	} {
		if !s.only.MatchString(m.name) {
			continue
		}
		for _, d := range m.sets {
			found, err := m.measure(ctx, d)
			if err != nil {
				return rows, fmt.Errorf("%s at %s: %w", m.name, d.name, err)
			}
			rows = append(rows, found...)
			fmt.Fprintf(s.progress, "%s, %s, %s: done\n", s.dialect, m.name, d.name)
		}
	}
	return rows, nil
}

// figure measures at every size, and then the largest against the smallest.
func (s measuring) figure(ctx context.Context, f figure, sets []*dataset) (rows []row, err error) {
	var benches []*bench
	defer func() {
		for _, b := range benches {
			if b.end != nil {
				err = errors.Join(err, b.end())
			}
		}
	}()
	for _, d := range sets {
		b, err := f.begin(ctx, d)
		if err != nil {
			return nil, fmt.Errorf("at %s: %w", d.name, err)
		}
		benches = append(benches, b)
		found, err := s.watch.compare(b.real, b.floor)
		if err != nil {
			return nil, fmt.Errorf("at %s: %w", d.name, err)
		}
		rows = append(rows, row{f.name, f.layer, d.name, short(found.real), short(found.floor), found.ratio(), f.target(s.dialect), false, ""})
		fmt.Fprintf(s.progress, "%s, %s, %s: %s, floor %s, ratio %.2f\n", s.dialect, f.name, d.name, short(found.real), short(found.floor), found.ratio())
	}
	if f.growth == 0 || len(benches) < 2 {
		return rows, nil
	}
	last := len(sets) - 1
	found, err := s.watch.compare(benches[last].real, benches[0].real)
	rows = append(rows, row{"— growth", f.layer, sets[0].name + " → " + sets[last].name, short(found.real), short(found.floor), found.ratio(), f.growth, false, ""})
	return rows, err
}
