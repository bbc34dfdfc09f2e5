package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"canopy/demo"
	"canopy/ent/schema"
	"canopy/server"
)

type demoCommand struct {
	Listen   string `default:"127.0.0.1:8080" help:"Address to serve on; port 0 takes a free one."`
	Database string `placeholder:"FILE" help:"File of the demo database; left out, canopy/demo.db in the user's cache directory. A file that this command did not make is left alone."`
	Reset    bool   `help:"Throw the demo database away and make it anew."`

	LogLevel slog.Level `default:"warn" help:"Least important lines to log: debug, info, warn or error."`
}

// Run serves the demo until the context ends.
func (c *demoCommand) Run(ctx context.Context, std streams) (err error) {
	file, err := c.file()
	if err != nil {
		return err
	}
	tuneMemory()
	db, made, err := demo.Open(ctx, demo.Options{File: file, Reset: c.Reset, Making: func() {
		fmt.Fprintln(std.out, "Making the demo data, which takes some seconds …")
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	log := server.NewLogger(std.err, false, c.LogLevel)
	services := newServices(db, 30*24*time.Hour, schema.MaxDepth)
	return host{
		listen: c.Listen, log: log,
		config: server.Config{
			DB: db, Directory: services.directory, Desk: services.desk, Log: log,
			Introspection: true, Playground: true, Demo: people(),
		},
		greet: func(w io.Writer, address string) { welcome(w, address, file, made) },
	}.run(ctx, std)
}

// file is where the demo data lies.
func (c *demoCommand) file() (string, error) {
	if c.Database != "" {
		return c.Database, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no cache directory for the demo data, so name a file by --database: %w", err)
	}
	folder := filepath.Join(cache, "canopy")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("the folder of the demo data cannot be made: %w", err)
	}
	return filepath.Join(folder, "demo.db"), nil
}

// people are the demo's logins as the playground offers them.
func people() *server.Demo {
	d := &server.Demo{Password: demo.Password}
	for _, l := range demo.Logins() {
		d.Logins = append(d.Logins, server.DemoLogin{Label: l.Label, Description: l.Description, Account: l.Account, Email: l.Email})
	}
	return d
}

func welcome(w io.Writer, address, file string, made bool) {
	state := "found"
	if made {
		state = "made"
	}
	fmt.Fprintf(w, "Demo data %s in %s\n\n", state, file)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "LOG IN AS\tE-MAIL\tWHO")
	for _, l := range demo.Logins() {
		fmt.Fprintf(table, "%s\t%s\t%s\n", l.Label, l.Email, l.Description)
	}
	_ = table.Flush()
	fmt.Fprintf(w, "\nPassword of everybody: %s\nPlayground: %s\nStop with Ctrl-C.\n", demo.Password, address)
}
