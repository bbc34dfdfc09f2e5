package main

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"canopy/bulk"
	"canopy/refusal"
)

type importCommand struct {
	File string `arg:"" help:"File to take in, in UTF-8."`
	recordFlags
	DryRun   bool   `help:"Judge every row and change nothing. The report then has every row."`
	Reason   string `help:"Why; it is recorded with every change."`
	Again    bool   `help:"Import a file that was imported before. Contacts without an address are created once more."`
	Report   string `placeholder:"FILE" help:"File for the rows that were refused and why, as CSV; left out, the standard output."`
	Tokens   string `placeholder:"FILE" help:"File to add the one-time tokens to with which new users set their passwords, after their e-mail addresses, as CSV. They are nowhere else."`
	MaxDepth int    `default:"64" help:"Greatest depth of a group, as the server has it."`
}

// Run imports the file. It fails when rows were refused.
func (c *importCommand) Run(ctx context.Context, std streams) error {
	tuneMemory()
	format, err := c.format(c.File)
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	source, err := c.survey(file, format)
	if err != nil {
		return err
	}
	return c.work(ctx, c.MaxDepth, func(ctx context.Context, b *bulk.Service) error {
		return writeTo(c.Report, std.out, func(report io.Writer) error {
			return c.withTokens(func(tokens io.Writer) error {
				return c.take(ctx, b, source, newLedger(report, tokens, c.DryRun), std)
			})
		})
	})
}

// withTokens runs fn with where tokens go. What is in the file stays: tokens of an earlier run are nowhere else.
func (c *importCommand) withTokens(fn func(io.Writer) error) error {
	if c.Tokens == "" {
		return fn(io.Discard)
	}
	f, err := os.OpenFile(c.Tokens, os.O_WRONLY|os.O_CREATE|os.O_APPEND, private)
	if err != nil {
		return err
	}
	return errors.Join(fn(f), f.Close())
}

// source is a file that was read once, so that its form is known to be good before anything is changed.
type source struct {
	file        *os.File
	format      bulk.Format
	fingerprint string
	rows        int64
}

func (c *importCommand) survey(file *os.File, format bulk.Format) (source, error) {
	hash, s := sha256.New(), source{file: file, format: format}
	read := io.TeeReader(file, hash)
	for _, err := range bulk.Read(read, c.kind(), format) {
		if err != nil {
			return s, err
		}
		s.rows++
	}
	if _, err := io.Copy(io.Discard, read); err != nil {
		return s, err
	}
	s.fingerprint = hex.EncodeToString(hash.Sum(nil))
	_, err := file.Seek(0, io.SeekStart)
	return s, err
}

func (c *importCommand) take(ctx context.Context, b *bulk.Service, s source, l *ledger, std streams) error {
	bar := newBar(std.err, s.rows)
	sum, err := b.Import(ctx, bulk.Import{Kind: c.kind(), Reason: c.Reason, DryRun: c.DryRun, Fingerprint: s.fingerprint,
		Again: c.Again, Done: l.row, Batch: bar.show}, bulk.Read(s.file, c.kind(), s.format))
	bar.clear()
	err = errors.Join(err, l.flush())
	switch r := (*refusal.Refusal)(nil); {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted after %d of %d rows; run the same command again to go on behind them", sum.Rows, s.rows)
	case errors.As(err, &r) && r.Reason == refusal.AlreadyImported:
		return fmt.Errorf("%w To do so, give --again", err)
	case err != nil:
		return err
	}
	c.conclude(std.err, sum)
	if sum.Refused > 0 {
		return fmt.Errorf("%d of %d rows were refused; the report says why", sum.Refused, sum.Rows)
	}
	return nil
}

// conclude says what became of the file.
func (c *importCommand) conclude(w io.Writer, sum bulk.Summary) {
	if sum.Resumed > 0 {
		fmt.Fprintf(w, "The first %d rows had been done by an earlier run.\n", sum.Resumed)
	}
	created := "created"
	if c.DryRun {
		created = "would be created"
	}
	fmt.Fprintf(w, "%d rows: %d %s, %d existed, %d refused.\n", sum.Rows, sum.Created, created, sum.Existed, sum.Refused)
}

// ledger writes down what became of rows.
type ledger struct {
	report, tokens *csv.Writer
	all            bool // not only what was refused
}

func newLedger(report, tokens io.Writer, all bool) *ledger {
	l := &ledger{csv.NewWriter(report), csv.NewWriter(tokens), all}
	// An error stays until the flush.
	_ = l.report.Write([]string{"line", "status", "field", "code", "reason", "message"})
	return l
}

func (l *ledger) row(r bulk.Row) error {
	if r.SetupToken != "" {
		_ = l.tokens.Write([]string{r.Record.User.Email, r.SetupToken})
		if l.tokens.Flush(); l.tokens.Error() != nil { // a token that is lost is lost for good
			return l.tokens.Error()
		}
	}
	if r.Refusal == nil {
		if !l.all {
			return nil
		}
		r.Refusal = &refusal.Refusal{}
	}
	return l.report.Write([]string{strconv.Itoa(r.Record.Line), string(r.Status), r.Refusal.Field, string(r.Refusal.Code),
		string(r.Refusal.Reason), r.Refusal.Message})
}

func (l *ledger) flush() error {
	l.report.Flush()
	l.tokens.Flush()
	return errors.Join(l.report.Error(), l.tokens.Error())
}

// bar is one line on a terminal that says how far an import has come; on anything else it says nothing.
type bar struct {
	w     io.Writer // nil: no terminal
	rows  int64
	began time.Time
}

const barWidth = 30

func newBar(w io.Writer, rows int64) *bar {
	b := &bar{rows: max(rows, 1), began: time.Now()}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			b.w = w
		}
	}
	return b
}

func (b *bar) show(sum bulk.Summary) {
	if b.w == nil {
		return
	}
	full := int(min(sum.Rows*barWidth/b.rows, barWidth))
	rate := float64(sum.Rows-sum.Resumed) / time.Since(b.began).Seconds()
	left := time.Duration(float64(b.rows-sum.Rows) / max(rate, 1) * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(b.w, "\r[%s%s] %d of %d rows, %d refused, %s left \x1b[K", strings.Repeat("#", full), strings.Repeat(".", barWidth-full),
		sum.Rows, b.rows, sum.Refused, left)
}

func (b *bar) clear() {
	if b.w != nil {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
