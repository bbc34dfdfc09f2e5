package main

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/internal/testdb"
)

// output is what a command running beside the test has written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// waitFor waits until the text is written.
func (o *output) waitFor(t *testing.T, text string) {
	t.Helper()
	for deadline := time.After(2 * time.Minute); !strings.Contains(o.String(), text); {
		select {
		case <-deadline:
			t.Fatalf("%q is never written:\n%s", text, o)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// background is a command that runs beside the test.
type background struct {
	out, log output
	stop     context.CancelFunc
	code     chan int
}

func inBackground(t *testing.T, args ...string) *background {
	ctx, stop := context.WithCancel(t.Context())
	b := &background{stop: stop, code: make(chan int, 1)}
	go func() { b.code <- run(ctx, args, streams{strings.NewReader(""), &b.out, &b.log}) }()
	return b
}

func TestServeWaitsForItsDatabase(t *testing.T) {
	cluster := testdb.NewCluster(t)
	serve := []string{"serve", "--listen", "127.0.0.1:0", "--database", cluster.URL("postgres")}
	cluster.Kill()

	interrupted := inBackground(t, serve...)
	interrupted.log.waitFor(t, "waiting for the database")
	interrupted.stop()
	if code := <-interrupted.code; code != 0 || interrupted.out.String() != "" {
		t.Errorf("interrupted while it waits it ends with %d, %s", code, &interrupted.out)
	}

	patient := inBackground(t, serve...)
	patient.log.waitFor(t, "waiting for the database")
	cluster.Start()
	patient.out.waitFor(t, "Canopy serves PostgreSQL at ")
	patient.stop()
	if code := <-patient.code; code != 0 {
		t.Errorf("it ends with %d", code)
	}
}

// What waiting does not mend is an error at once.
func TestServeDoesNotWaitForever(t *testing.T) {
	server := testdb.Server(t)
	address := func(change func(*url.URL)) string {
		u, err := url.Parse(server)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	for text, database := range map[string]string{
		`database "nowhere" does not exist`: address(func(u *url.URL) { u.Path = "/nowhere" }),
		"password authentication failed":    address(func(u *url.URL) { u.User = url.UserPassword("postgres", "s3cret") }),
		"kind":                              "mysql://localhost/canopy",
	} {
		b := inBackground(t, "serve", "--listen", "127.0.0.1:0", "--database", database)
		if code := <-b.code; code != exitFailed || !strings.Contains(b.log.String(), text) || strings.Contains(b.log.String(), "s3cret") {
			t.Errorf("%d: %s", code, &b.log)
		}
	}
}

// A command that is run by hand says what is wrong instead of waiting.
func TestCommandsDoNotWait(t *testing.T) {
	cluster := testdb.NewCluster(t)
	cluster.Kill()
	for _, args := range [][]string{
		{"migrate", "up"}, {"migrate", "status"}, {"account", "set", "acacia", "--plan", "PRO"}, {"request", "list"},
	} {
		b := inBackground(t, append(args, "--database", cluster.URL("postgres"))...)
		if code := <-b.code; code != exitFailed || !strings.HasPrefix(b.log.String(), "canopy: store: reaching the database: ") {
			t.Errorf("%v: %d %s", args, code, &b.log)
		}
	}
}
