package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// TestACommandThatIsStopped has not done what it was asked to do, and whoever runs it in a script learns that.
func TestACommandThatIsStopped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "canopy.db")
	database := "--database=" + file
	run := func(ctx context.Context, args ...string) (int, string) {
		var out bytes.Buffer
		return run(ctx, append(args, database), streams{strings.NewReader(""), &out, &out}), out.String()
	}
	if status, out := run(t.Context(), "migrate", "up"); status != 0 {
		t.Fatal(status, out)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, command := range []string{
		"migrate up", "rebuild", "doctor", "export --account acacia --as olga@acacia.example --kind contacts --format csv",
	} {
		if status, out := run(stopped, strings.Fields(command)...); status != exitFailed || !strings.Contains(out, "stopped before") {
			t.Errorf("%s: status %d, %q", command, status, out)
		}
	}
	if status, out := run(stopped, "serve"); status != 0 {
		t.Errorf("serve: status %d, %q", status, out)
	}
}
