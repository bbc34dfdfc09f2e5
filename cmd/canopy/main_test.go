package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"
	"github.com/rogpeppe/go-internal/testscript"
)

// update writes what the program prints now into the scripts, for a reader to judge.
var update = flag.Bool("update", false, "write the expected output of the scripts anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"canopy": main})
}

// TestScripts runs the program from outside. Besides what testscript brings, scripts have these commands:
//
//	start [NAME=VALUE...] PROGRAM ARG...
//	                       starts a server, waits until it says where it is, and sets URL to that
//	halt                   asks that server to stop, which it has to do without complaint; its log is stderr
//	get URL                fetches a page
//	ask OPERATION          sends an operation to the server, as whoever TOKEN belongs to
//	sql FILE STATEMENT     changes an SQLite database behind the program's back
//	keep NAME REGEXP       sets NAME to what the parentheses in the expression match in stdout
//
// get fails unless the answer is 200, and ask unless it has no errors; with ! it is the other way round.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_CACHE_HOME", e.WorkDir+"/cache")
			e.Values[scriptKey{}] = &script{environment: e.Vars}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": start, "halt": halt, "get": get, "ask": ask, "sql": cut, "keep": keep,
		},
	})
}

type scriptKey struct{}

// script is what the commands of one script have in common.
type script struct {
	environment []string
	server      *exec.Cmd
	log         *bytes.Buffer
}

func stateOf(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

func start(ts *testscript.TestScript, neg bool, args []string) {
	s := stateOf(ts)
	environment := s.environment
	for len(args) > 0 && strings.Contains(args[0], "=") {
		environment, args = append(environment, args[0]), args[1:]
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: start [NAME=VALUE...] PROGRAM ARG...")
	}
	server := exec.Command(args[0], args[1:]...)
	s.server, s.log = server, &bytes.Buffer{}
	server.Dir, server.Env, server.Stderr = ts.MkAbs("."), environment, s.log
	out, err := server.StdoutPipe()
	ts.Check(err)
	ts.Check(server.Start())
	ts.Defer(func() {
		if server.Process.Kill() == nil { // it was not halted
			_ = server.Wait()
		}
	})
	url := whereItServes(out, ts.Stdout())
	if url == "" {
		_ = server.Wait()
		ts.Fatalf("it ended before it said where it serves:\n%s", s.log)
	}
	ts.Setenv("URL", url)
}

// whereItServes reads what a server prints until it says where it is, and returns that, or "" if it never does.
func whereItServes(out io.Reader, echo io.Writer) string {
	address := regexp.MustCompile(`(?:Canopy serves .*|Playground:) (http://127\.0\.0\.1:\d+)/`)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		_, _ = io.WriteString(echo, lines.Text()+"\n")
		if found := address.FindStringSubmatch(lines.Text()); found != nil {
			return found[1]
		}
	}
	return ""
}

func halt(ts *testscript.TestScript, neg bool, args []string) {
	s := stateOf(ts)
	if neg || len(args) > 0 || s.server == nil {
		ts.Fatalf("usage: halt, after start")
	}
	ts.Check(s.server.Process.Signal(os.Interrupt))
	err := s.server.Wait()
	_, _ = ts.Stderr().Write(s.log.Bytes())
	ts.Check(err)
	s.server = nil
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: get URL")
	}
	req, err := http.NewRequest(http.MethodGet, args[0], nil)
	ts.Check(err)
	status, _ := send(ts, req)
	verdict(ts, neg, status == http.StatusOK)
}

func ask(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: ask OPERATION")
	}
	body, err := json.Marshal(map[string]string{"query": args[0]})
	ts.Check(err)
	req, err := http.NewRequest(http.MethodPost, ts.Getenv("URL")+"/graphql", bytes.NewReader(body))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	if token := ts.Getenv("TOKEN"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	status, answer := send(ts, req)
	verdict(ts, neg, status == http.StatusOK && !bytes.Contains(answer, []byte(`"errors"`)))
}

// send prints the body of the answer.
func send(ts *testscript.TestScript, req *http.Request) (status int, body []byte) {
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	ts.Check(err)
	_, _ = ts.Stdout().Write(append(body, '\n'))
	return resp.StatusCode, body
}

func verdict(ts *testscript.TestScript, neg, ok bool) {
	if ok == neg {
		ts.Fatalf("unexpected answer:\n%s", ts.ReadFile("stdout"))
	}
}

// cut checks no foreign keys.
func cut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENT")
	}
	conn, err := (&sqlite3.SQLiteDriver{}).Open(ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = conn.(*sqlite3.SQLiteConn).Exec(args[1], nil)
	ts.Check(errors.Join(err, conn.Close()))
}

func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep NAME REGEXP")
	}
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("%s does not match in stdout", args[1])
	}
	ts.Setenv(args[0], found[1])
}
