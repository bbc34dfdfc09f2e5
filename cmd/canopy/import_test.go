package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/internal/testdb"
	"canopy/store"
	"canopy/tree"
)

// TestAnImportThatIsKilled kills the program in the middle of an import, as often as it takes to finish by going on.
// Every contact is there once then.
func TestAnImportThatIsKilled(t *testing.T) {
	const contacts = 6000
	file := filepath.Join(t.TempDir(), "contacts.csv")
	var text strings.Builder
	text.WriteString("name,group\n")
	for i := range contacts {
		fmt.Fprintf(&text, "Basil %d,/\n", i)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testdb.EachURL(t, func(t *testing.T, url string) {
		command := func(args ...string) (*exec.Cmd, *bytes.Buffer) {
			c := exec.Command("canopy", args...)
			out := &bytes.Buffer{}
			c.Env, c.Stdin, c.Stdout, c.Stderr = append(os.Environ(), "CANOPY_DATABASE="+url), strings.NewReader("correct horse battery\n"), out, out
			return c, out
		}
		create, out := command("account", "create", "--name", "Acacia", "--slug", "acacia", "--owner-name", "Olive Ashdown",
			"--owner-email", "owner@acacia.example", "--owner-password-stdin")
		if err := create.Run(); err != nil {
			t.Fatal(err, out)
		}
		ctx := authz.Trusted(context.Background())
		db, err := store.Open(ctx, store.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		// done is how many rows a run says to have done, and whether it has ended.
		done := func() (int64, bool) {
			runs, err := db.Read.ImportRun.Query().All(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if len(runs) == 0 {
				return 0, false
			}
			return runs[0].RowsDone, runs[0].FinishedAt != nil
		}
		kills := 0
		for ended := false; !ended; {
			before, _ := done()
			run, out := command("import", file, "--account", "acacia", "--as", "owner@acacia.example", "--kind", "contacts")
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			for kills < 3 {
				if now, over := done(); over || now > before {
					break
				}
			}
			if kills < 3 {
				kills++
				_ = run.Process.Kill()
				_ = run.Wait()
			} else if err := run.Wait(); err != nil {
				t.Fatal(err, out)
			}
			_, ended = done()
		}
		n, err := db.Read.Contact.Query().Count(ctx)
		if n != contacts || err != nil {
			t.Errorf("%d contacts, %v", n, err)
		}
		account, err := db.Read.Account.Query().Only(ctx)
		if err != nil {
			t.Fatal(err)
		}
		faults, err := tree.Check(ctx, db.Read, account.ID)
		if len(faults) > 0 || err != nil {
			t.Error(faults, err)
		}
	})
}
