package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"canopy/bulk"
)

type exportCommand struct {
	recordFlags
	To string `short:"o" placeholder:"FILE" help:"File to write; left out, the standard output."`
}

// Run writes the records.
func (c *exportCommand) Run(ctx context.Context, std streams) error {
	format, err := c.format(c.To)
	if err != nil {
		return err
	}
	return c.work(ctx, deepest, func(ctx context.Context, b *bulk.Service) error {
		return writeTo(c.To, std.out, func(w io.Writer) error {
			n, err := b.Export(ctx, bulk.Export{Kind: c.kind(), Format: format}, w)
			if err == nil {
				fmt.Fprintf(std.err, "%d %s were exported.\n", n, c.Kind)
			}
			return err
		})
	})
}

// writeTo runs fn with a file that only its owner can read, because of what people export; with the standard output
// when no name is given.
func writeTo(name string, out io.Writer, fn func(io.Writer) error) error {
	if name == "" {
		return buffered(out, fn)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, private)
	if err != nil {
		return err
	}
	return errors.Join(buffered(f, fn), f.Close())
}

const private = 0o600

func buffered(w io.Writer, fn func(io.Writer) error) error {
	b := bufio.NewWriterSize(w, 64<<10)
	return errors.Join(fn(b), b.Flush())
}
