package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"canopy/directory"
	"canopy/ent/generated/session"

	"golang.org/x/sync/errgroup"
)

// question is the typical list: the inbox with what a row of it shows.
const question = `{"query":"query($first: Int!) { inbox(box: TEAMMATES, first: $first) { nodes { id name phone email masked lastActivityAt group { id name } } pageInfo { hasNextPage endCursor } } }","variables":{"first":50}}`

// How the servers are asked: over so many connections, so many times a round, in so many rounds.
const (
	connections = 4
	requests    = 400
	rounds      = 7
)

// overHTTP asks Canopy, the server that is written by hand and graphql-yoga the same in turns, each a process of its
// own on the same file, and compares the processor time that a request takes there.
func (s measuring) overHTTP(ctx context.Context, d *dataset) (rows []row, err error) {
	if d.postgres() {
		return nil, nil
	}
	in, err := d.directory.LogIn(ctx, directory.LogIn{Account: slug, Email: owner, Password: password, Kind: session.KindTOKEN})
	if err != nil {
		return nil, err
	}
	names := []string{"Canopy", "a server by hand"}
	if _, err := os.Stat("bench/yoga/node_modules"); err != nil {
		fmt.Fprintln(s.progress, "graphql-yoga is left out: run npm ci in bench/yoga to have it measured")
	} else {
		names = append(names, "graphql-yoga on Node")
	}
	servers, err := s.start(ctx, d, nil, names...)
	defer func() {
		for _, p := range servers {
			err = errors.Join(err, p.stop())
		}
	}()
	if err != nil {
		return nil, err
	}
	times := make([][]time.Duration, len(servers))
	for range rounds {
		for i, p := range servers {
			each, err := p.load(ctx, in.Token)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			times[i] = append(times[i], each)
		}
	}
	if !bytes.Equal(servers[0].answer, servers[1].answer) {
		return nil, fmt.Errorf("the server that is written by hand answers differently:\n%s\n%s", servers[0].answer, servers[1].answer)
	}
	ours := median(times[0])
	for i, p := range servers[1:] {
		theirs := median(times[i+1])
		rows = append(rows, row{figure: "processor time of an HTTP request, beside " + p.name, layer: "server", size: d.name,
			real: short(ours), floor: short(theirs), found: float64(ours) / float64(theirs)})
	}
	return rows, nil
}

// process is a server under load.
type process struct {
	name    string
	command *exec.Cmd
	url     string
	metrics string // address of Canopy's
	answer  []byte
	client  *http.Client
}

// start starts the servers, with what is added to their environment.
func (s measuring) start(ctx context.Context, d *dataset, environment []string, names ...string) (started []*process, err error) {
	folder, err := os.MkdirTemp("", "canopy-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	binary := filepath.Join(folder, "canopy")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "canopy/cmd/canopy").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building Canopy: %w: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	commands := map[string][]string{
		"Canopy":               {binary, "serve", "--database", d.address, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--log-level", "error"},
		"a server by hand":     {self, "--handwritten", d.address},
		"graphql-yoga on Node": {"node", "bench/yoga/server.mjs", d.address},
	}
	for _, name := range names {
		p, err := startProcess(ctx, name, commands[name], environment)
		if err != nil {
			return started, fmt.Errorf("starting %s: %w", name, err)
		}
		started = append(started, p)
	}
	return started, nil
}

// startProcess starts a server, which prints its address in the first line, after that of its metrics if it has some.
func startProcess(ctx context.Context, name string, command, environment []string) (*process, error) {
	p := &process{name: name, command: exec.CommandContext(ctx, command[0], command[1:]...), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}}
	p.command.Stderr, p.command.Env = os.Stderr, append(environment, os.Environ()...)
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	for p.url == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil, errors.Join(fmt.Errorf("it does not say its address: %w", err), p.stop())
		}
		words := strings.Fields(line)
		if address := words[len(words)-1]; strings.HasSuffix(address, "/metrics") {
			p.metrics = address
		} else {
			p.url = strings.TrimSuffix(strings.TrimSuffix(address, "/"), "/graphql") + "/graphql"
		}
	}
	return p, nil
}

func (p *process) stop() error {
	if err := p.command.Process.Kill(); err != nil {
		return err
	}
	_ = p.command.Wait() // it was killed
	return nil
}

// load asks so many times and returns the processor time of the server for each.
func (p *process) load(ctx context.Context, token string) (time.Duration, error) {
	if err := p.ask(ctx, token); err != nil { // what the first one takes is not counted
		return 0, err
	}
	before, err := processorTime(p.command.Process.Pid)
	if err != nil {
		return 0, err
	}
	var g errgroup.Group
	for range connections {
		g.Go(func() error {
			for range requests / connections {
				if err := p.ask(ctx, token); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	after, err := processorTime(p.command.Process.Pid)
	return (after - before) / requests, err
}

// ask asks once and keeps the answer, which has to be a full page.
func (p *process) ask(ctx context.Context, token string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, strings.NewReader(question))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := p.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"hasNextPage":true`))) {
		err = fmt.Errorf("%s: %.300s", answer.Status, body)
	}
	if p.answer == nil {
		p.answer = body
	}
	return err
}

// tick is the unit of times in /proc.
const tick = 10 * time.Millisecond

// processorTime is what the process has taken of the processors so far, as Linux counts it.
func processorTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("processor times are read from Linux's /proc: %w", err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick, err
}
