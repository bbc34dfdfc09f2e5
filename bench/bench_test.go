package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"canopy/internal/testdb"

	"github.com/jackc/pgx/v5"
)

// TestEveryFigureIsMeasured runs all of it in little, but for the servers over HTTP, which are built and started.
func TestEveryFigureIsMeasured(t *testing.T) {
	for name, server := range map[string]func(t *testing.T) string{
		"sqlite":   func(*testing.T) string { return "" },
		"postgres": func(t *testing.T) string { return testdb.Server(t) },
	} {
		t.Run(name, func(t *testing.T) {
			o := options{Dir: t.TempDir(), Sizes: []string{"tiny"}, Postgres: server(t), Only: "^[^h]", Patience: time.Millisecond}
			o.SQLite = o.Postgres == ""
			t.Cleanup(func() { discard(t, o.Postgres) })
			var out bytes.Buffer
			if err := run(t.Context(), o, &out, io.Discard); err != nil {
				t.Fatal(err)
			}
			for _, f := range append(reads(), writes()...) {
				if !strings.Contains(out.String(), "| "+f.name+" |") {
					t.Errorf("%s is not in the report:\n%s", f.name, out.String())
				}
			}
		})
	}
}

// discard drops the data sets from a server.
func discard(t *testing.T, server string) {
	for _, name := range []string{"tiny", "nested"} {
		if server == "" {
			return
		}
		err := database{server: server}.ask(context.Background(), func(c *pgx.Conn) error {
			_, err := c.Exec(context.Background(), "DROP DATABASE IF EXISTS canopy_bench_"+name+" WITH (FORCE)")
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestAVerdictSaysByHowMuch(t *testing.T) {
	for want, r := range map[string]row{
		"":                    {found: 9},
		"met":                 {found: 1.3, target: 1.3},
		"**missed by 50 %**":  {found: 3, target: 2},
		"**missed by 20 %** ": {found: 0.44, target: 0.55, atLeast: true},
		"met ":                {found: 0.6, target: 0.55, atLeast: true},
	} {
		if got := r.verdict(); got != strings.TrimSpace(want) {
			t.Errorf("%+v is %q; want %q", r, got, want)
		}
	}
}
