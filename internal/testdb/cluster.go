package testdb

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Cluster is a PostgreSQL server of a test's own, to be stopped and started at will. It answers on a socket in its
// directory, so it takes no port. It is gone when the test ends.
type Cluster struct {
	t    testing.TB
	bin  string
	dir  string
	user *syscall.Credential // nil: as whoever runs the test
}

// NewCluster starts a server. Where the binaries of PostgreSQL are missing the test is skipped, but in CI it fails.
func NewCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t, bin: binaries(t)}
	c.makeDir()
	c.run("initdb", "-D", c.data(), "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "--auth=trust")
	c.configure("listen_addresses = ''", "unix_socket_directories = '"+c.dir+"'", "shared_buffers = '16MB'",
		// What is written survives that the server is killed, but not that the machine is.
		"fsync = off", "full_page_writes = off")
	c.Start()
	return c
}

// Replica starts a streaming replica of the server.
func (c *Cluster) Replica() *Cluster {
	c.t.Helper()
	r := &Cluster{t: c.t, bin: c.bin}
	r.makeDir()
	r.run("pg_basebackup", "-D", r.data(), "-h", c.dir, "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync")
	r.configure("unix_socket_directories = '" + r.dir + "'")
	r.Start()
	return r
}

// Start starts the server and waits until it answers.
func (c *Cluster) Start() {
	c.t.Helper()
	c.run("pg_ctl", "-D", c.data(), "-l", filepath.Join(c.dir, "log"), "-w", "-t", "120", "start")
}

// Kill stops the server as a crash would: connections break off, and what was not committed is lost.
func (c *Cluster) Kill() {
	c.t.Helper()
	c.run("pg_ctl", "-D", c.data(), "-m", "immediate", "-w", "stop")
}

// URL is the address of a database on the server.
func (c *Cluster) URL(database string) string {
	u := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: url.Values{"host": {c.dir}, "user": {"postgres"}}.Encode()}
	return u.String()
}

// Query runs one statement on the server, as its administrator, and returns the first value of its answer, if any.
func (c *Cluster) Query(statement string) string {
	c.t.Helper()
	conn, err := pgx.Connect(context.Background(), c.URL("postgres"))
	if err != nil {
		c.t.Fatalf("reaching the server: %v", err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(context.Background(), statement)
	if err != nil {
		c.t.Fatalf("%s: %v", statement, err)
	}
	value, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		return fmt.Sprint(values[0]), err
	})
	if err != nil {
		c.t.Fatalf("%s: %v", statement, err)
	}
	if len(value) == 0 {
		return ""
	}
	return value[0]
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// makeDir makes the directory of the server, whose name is short because that of a socket has to be. Root cannot run
// PostgreSQL, so that for root it belongs to the user postgres, who then runs it.
func (c *Cluster) makeDir() {
	c.t.Helper()
	dir, err := os.MkdirTemp("", "canopy-pg")
	if err != nil {
		c.t.Fatal(err)
	}
	c.dir = dir
	c.t.Cleanup(func() {
		_ = c.command("pg_ctl", "-D", c.data(), "-m", "immediate", "-w", "stop").Run() // it may be stopped already
		if err := os.RemoveAll(dir); err != nil {
			c.t.Error(err)
		}
	})
	if os.Getuid() != 0 {
		return
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		c.t.Fatal(err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	c.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(dir, uid, gid); err != nil {
		c.t.Fatal(err)
	}
}

func (c *Cluster) configure(settings ...string) {
	c.t.Helper()
	f, err := os.OpenFile(filepath.Join(c.data(), "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	_, err = f.WriteString(strings.Join(settings, "\n") + "\n")
	if closed := f.Close(); err != nil || closed != nil {
		c.t.Fatal(err, closed)
	}
}

func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.user}
	return cmd
}

// run runs a program of PostgreSQL to its end. Its output goes to a file, because a server that it starts keeps that
// open.
func (c *Cluster) run(name string, args ...string) {
	c.t.Helper()
	out, err := os.CreateTemp(c.dir, name)
	if err != nil {
		c.t.Fatal(err)
	}
	defer out.Close()
	cmd := c.command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
		c.t.Fatalf("%s: %v\n%s\n%s", name, err, said, log)
	}
}

// binaries returns the directory of the newest PostgreSQL.
func binaries(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	newest := func(a, b string) int { return version(a) - version(b) }
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, newest))
	}
	if initdb, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(initdb)
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("the binaries of PostgreSQL (initdb, pg_ctl) are missing; in CI every test runs")
	}
	t.Skip("the binaries of PostgreSQL (initdb, pg_ctl) are missing")
	return ""
}

func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return n
}
