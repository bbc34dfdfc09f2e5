package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"canopy/internal/testdb"
)

const ownerPassword = "correct horse battery"

// process is one running canopy serve.
type process struct {
	cmd *exec.Cmd
	out io.Reader
	log *bytes.Buffer // to be read after the end
	url string
	at  *backend
}

// fleet is several processes on one PostgreSQL database, and a proxy in front of them.
type fleet struct {
	database  string
	proxy     *proxy
	processes []*process
}

// newFleet starts the processes all at the same moment, on a database without a table.
func newFleet(t *testing.T, size int) *fleet {
	t.Helper()
	database, drop, err := testdb.Database(t.Context(), testdb.Server(t), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	f := &fleet{database: database, proxy: newProxy(t)}
	for range size {
		f.processes = append(f.processes, f.launch(t))
	}
	for _, p := range f.processes {
		f.join(t, p)
	}
	return f
}

// launch starts a process and does not wait for it.
func (f *fleet) launch(t *testing.T) *process {
	t.Helper()
	p := &process{log: &bytes.Buffer{}}
	p.cmd = exec.Command("canopy", "serve", "--listen", "127.0.0.1:0", "--database", f.database,
		"--trusted-proxy", "--no-playground", "--drain-delay", "10s")
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.Process.Kill() == nil { // it was not stopped
			_ = p.cmd.Wait()
		}
	})
	return p
}

// join waits until the process serves and the proxy sends it requests.
func (f *fleet) join(t *testing.T, p *process) {
	t.Helper()
	if p.url = whereItServes(p.out, io.Discard); p.url == "" {
		_ = p.cmd.Wait()
		t.Fatalf("it ended before it said where it serves:\n%s", p.log)
	}
	p.at = f.proxy.add(t, p.url)
	f.proxy.await(p.at, true)
}

// leave asks the process to stop and returns when the proxy has noticed.
func (f *fleet) leave(t *testing.T, p *process) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.proxy.await(p.at, false)
}

// end waits until the process has stopped, which it has to do without complaint.
func (p *process) end(t *testing.T) {
	t.Helper()
	if err := p.cmd.Wait(); err != nil || bytes.Contains(p.log.Bytes(), []byte("level=ERROR")) {
		t.Errorf("a process ended with %v:\n%s", err, p.log)
	}
}

// person asks as whoever the token belongs to.
type person struct{ token string }

type reply struct {
	Data   map[string]any
	Errors []struct {
		Message    string
		Extensions struct{ Code, Reason string }
	}
}

// code is that of the first error, with its reason if there is one, or "".
func (r *reply) code() string {
	if len(r.Errors) == 0 {
		return ""
	}
	return strings.TrimSuffix(r.Errors[0].Extensions.Code+" "+r.Errors[0].Extensions.Reason, " ")
}

// text finds a text in the data by the names that lead to it.
func (r *reply) text(path ...string) string {
	var at any = r.Data
	for _, name := range path {
		object, _ := at.(map[string]any)
		at = object[name]
	}
	found, _ := at.(string)
	return found
}

// try sends an operation to the address.
func (p person) try(ctx context.Context, address, query string, variables map[string]any) (*reply, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/graphql", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer := &reply{}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return nil, fmt.Errorf("status %d: %w", resp.StatusCode, err)
	}
	return answer, nil
}

// ask is try for what has to be answered, with whatever code.
func (p person) ask(t *testing.T, address, query string, variables map[string]any) *reply {
	t.Helper()
	answer, err := p.try(t.Context(), address, query, variables)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// do is ask for what has to succeed.
func (p person) do(t *testing.T, address, query string, variables map[string]any) *reply {
	t.Helper()
	answer := p.ask(t, address, query, variables)
	if answer.code() != "" {
		t.Fatalf("%s\n%v: %s: %s", query, variables, answer.code(), answer.Errors[0].Message)
	}
	return answer
}

func logIn(t *testing.T, address, email, password string) person {
	t.Helper()
	in := person{}.do(t, address, `mutation($in: LogInInput!) { logIn(input: $in) { token } }`,
		map[string]any{"in": map[string]any{"email": email, "password": password}})
	return person{in.text("logIn", "token")}
}

// office is a company that the fleet serves: one owner, a group North, and who works there.
type office struct {
	*fleet
	owner person
	root  string
	north string
	roles map[string]string // ids by key
}

// newOffice makes the account as an operator does, and the rest through the proxy.
func newOffice(t *testing.T, f *fleet) *office {
	t.Helper()
	create := exec.Command("canopy", "account", "create", "--database", f.database, "--name", "Acacia", "--slug", "acacia",
		"--owner-name", "Olive Ashdown", "--owner-email", "owner@acacia.example", "--owner-password-stdin")
	create.Stdin = strings.NewReader(ownerPassword + "\n")
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	o := &office{fleet: f, owner: logIn(t, f.proxy.url, "owner@acacia.example", ownerPassword), roles: map[string]string{}}
	seen := o.owner.do(t, f.proxy.url, `{ rootGroup { id } roles { id key } }`, nil)
	o.root = seen.text("rootGroup", "id")
	for _, r := range seen.Data["roles"].([]any) {
		role := r.(map[string]any)
		o.roles[role["key"].(string)] = role["id"].(string)
	}
	o.north = o.group(t, "North")
	o.set(t, f.proxy.url, map[string]any{"assignmentMode": "MANUAL", "sharedInbox": true})
	return o
}

func (o *office) group(t *testing.T, name string) string {
	t.Helper()
	return o.owner.do(t, o.proxy.url, `mutation($in: CreateGroupInput!) { createGroup(input: $in) { group { id } } }`,
		map[string]any{"in": map[string]any{"parentId": o.root, "name": name}}).text("createGroup", "group", "id")
}

// set changes settings of North.
func (o *office) set(t *testing.T, address string, settings map[string]any) {
	t.Helper()
	settings["groupId"] = o.north
	o.owner.do(t, address, `mutation($in: UpdateGroupSettingsInput!) { updateGroupSettings(input: $in) { group { id } } }`,
		map[string]any{"in": settings})
}

// hire invites somebody, who sets a password and logs in, and returns their id too.
func (o *office) hire(t *testing.T, name, home, role string) (person, string) {
	t.Helper()
	invited := o.owner.do(t, o.proxy.url, `mutation($in: InviteUserInput!) { inviteUser(input: $in) { setupToken user { id } } }`,
		map[string]any{"in": map[string]any{"name": name, "email": name + "@acacia.example", "homeGroupId": home, "roleIds": []string{o.roles[role]}}})
	person{}.do(t, o.proxy.url, `mutation($in: SetPasswordInput!) { setPassword(input: $in) { passwordSet } }`,
		map[string]any{"in": map[string]any{"token": invited.text("inviteUser", "setupToken"), "password": ownerPassword}})
	return logIn(t, o.proxy.url, name+"@acacia.example", ownerPassword), invited.text("inviteUser", "user", "id")
}

func (o *office) contact(t *testing.T, name string) string {
	t.Helper()
	return o.owner.do(t, o.proxy.url, `mutation($in: CreateContactInput!) { createContact(input: $in) { contact { id } } }`,
		map[string]any{"in": map[string]any{"groupId": o.north, "name": name}}).text("createContact", "contact", "id")
}

// everywhere sends the query to each process, and each has to answer it with the code.
func (o *office) everywhere(t *testing.T, p person, code, query string, variables map[string]any) {
	t.Helper()
	for i, at := range o.processes {
		if got := p.ask(t, at.url, query, variables).code(); got != code {
			t.Errorf("process %d answers %q instead of %q to %s", i, got, code, query)
		}
	}
}

// TestSeveralProcesses runs three processes on one PostgreSQL database, with a proxy in front of them and clients who
// use it all the while: what one process changes counts in the others at the next request, and then each process is
// replaced by a new one without anybody noticing.
func TestSeveralProcesses(t *testing.T) {
	o := newOffice(t, newFleet(t, 3))
	c := o.traffic(t, 4)
	t.Run("a session that one began is good everywhere", func(t *testing.T) {
		olive := logIn(t, o.processes[0].url, "owner@acacia.example", ownerPassword)
		o.everywhere(t, olive, "", `{ viewer { user { name } } }`, nil)
		olive.do(t, o.processes[1].url, `mutation { logOut { loggedOut } }`, nil)
		o.everywhere(t, olive, "UNAUTHENTICATED", `{ viewer { user { name } } }`, nil)
	})
	t.Run("a grant that is revoked", o.revoke)
	t.Run("a user who is deactivated", o.deactivate)
	t.Run("a user who is paused", o.pause)
	t.Run("a Shared Inbox that is turned off", o.turnOffSharedInbox)
	t.Run("a queue that is closed", o.closeQueue)
	t.Run("the limit on log-ins", o.exhaustLogIns)
	t.Run("each process is replaced", func(t *testing.T) { o.replace(t, c) })
}

func (o *office) revoke(t *testing.T) {
	sue, id := o.hire(t, "sue", o.root, "AGENT")
	grant := o.owner.do(t, o.proxy.url, `mutation($in: GrantRoleInput!) { grantRole(input: $in) { grant { id } } }`, map[string]any{
		"in": map[string]any{"userId": id, "roleId": o.roles["DASHBOARD_ADMINISTRATOR"], "groupId": o.north}}).text("grantRole", "grant", "id")
	const query = `query($id: ID!) { group(id: $id) { name } }`
	o.everywhere(t, sue, "", query, map[string]any{"id": o.north})
	o.owner.do(t, o.processes[0].url, `mutation($id: ID!) { revokeRole(input: {grantId: $id}) { grant { id } } }`, map[string]any{"id": grant})
	o.everywhere(t, sue, "NOT_FOUND", query, map[string]any{"id": o.north})
}

func (o *office) deactivate(t *testing.T) {
	dan, id := o.hire(t, "dan", o.north, "AGENT")
	o.everywhere(t, dan, "", `{ viewer { modules } }`, nil)
	o.owner.do(t, o.processes[1].url, `mutation($id: ID!) { deactivateUser(input: {userId: $id}) { user { status } } }`, map[string]any{"id": id})
	o.everywhere(t, dan, "UNAUTHENTICATED", `{ viewer { modules } }`, nil)
}

func (o *office) pause(t *testing.T) {
	pat, id := o.hire(t, "pat", o.north, "AGENT")
	o.everywhere(t, pat, "", `{ viewer { modules } }`, nil)
	const change = `mutation($id: ID!, $paused: Boolean!) { updateAgentSettings(input: {agentId: $id, accessPaused: $paused}) { agent { id } } }`
	o.owner.do(t, o.processes[2].url, change, map[string]any{"id": id, "paused": true})
	o.everywhere(t, pat, "UNAUTHENTICATED ACCESS_PAUSED", `{ viewer { modules } }`, nil)
	o.owner.do(t, o.processes[0].url, change, map[string]any{"id": id, "paused": false})
	o.everywhere(t, pat, "", `{ viewer { modules } }`, nil)
}

func (o *office) turnOffSharedInbox(t *testing.T) {
	ada, _ := o.hire(t, "ada", o.north, "AGENT")
	_, bob := o.hire(t, "bob", o.north, "AGENT")
	kim := o.contact(t, "Kim")
	o.owner.do(t, o.proxy.url, `mutation($id: ID!, $to: ID!) { assignContact(input: {contactId: $id, agentId: $to}) { contact { id } } }`,
		map[string]any{"id": kim, "to": bob})
	const query = `query($id: ID!) { contact(id: $id) { name } }`
	o.everywhere(t, ada, "", query, map[string]any{"id": kim})
	o.set(t, o.processes[1].url, map[string]any{"sharedInbox": false})
	o.everywhere(t, ada, "NOT_FOUND", query, map[string]any{"id": kim})
}

func (o *office) closeQueue(t *testing.T) {
	cem, _ := o.hire(t, "cem", o.north, "AGENT")
	lou := o.contact(t, "Lou")
	const query = `query($id: ID!) { contact(id: $id) { name } }`
	o.everywhere(t, cem, "", query, map[string]any{"id": lou})
	o.set(t, o.processes[2].url, map[string]any{"assignmentMode": "ROUND_ROBIN"})
	o.everywhere(t, cem, "NOT_FOUND", query, map[string]any{"id": lou})
	o.set(t, o.processes[0].url, map[string]any{"assignmentMode": "MANUAL"})
	o.everywhere(t, cem, "", query, map[string]any{"id": lou})
}

// exhaustLogIns guesses at each process in turn. 20 pass, and one more after each 15 seconds: 40 would take five minutes.
// Three that count for themselves let 60 pass.
func (o *office) exhaustLogIns(t *testing.T) {
	for i := range 40 {
		answer := person{}.ask(t, o.processes[i%3].url, `mutation { logIn(input: {email: "nobody@acacia.example", password: "wrong"}) { token } }`, nil)
		switch code := answer.code(); {
		case code == "RATE_LIMITED" && i >= 20:
			return
		case code != "UNAUTHENTICATED":
			t.Fatalf("attempt %d is answered by %s", i+1, code)
		}
	}
	t.Error("the processes do not count together")
}

// replace puts a new process in the place of each, while the clients go on.
func (o *office) replace(t *testing.T, c *clients) {
	old := slices.Clone(o.processes)
	for i, p := range old {
		o.processes[i] = o.launch(t)
		o.join(t, o.processes[i])
		o.leave(t, p)
	}
	for _, p := range old {
		p.end(t)
	}
	c.finish(t)
	for _, at := range o.processes {
		c.verify(t, at.url)
	}
}

// clients are programs that change things through the proxy and read back what they changed, without a pause.
type clients struct {
	owner person
	proxy string
	ctx   context.Context
	stop  context.CancelFunc
	group sync.WaitGroup

	mu    sync.Mutex
	made  map[string]string // acknowledged: names by id
	lost  []string
	turns []int // of each client
}

// traffic starts the clients. Half of them make groups, half contacts.
func (o *office) traffic(t *testing.T, size int) *clients {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &clients{owner: o.owner, proxy: o.proxy.url, ctx: ctx, stop: stop, made: map[string]string{}, turns: make([]int, size)}
	for i := range size {
		branch := o.group(t, fmt.Sprint("Branch ", i))
		c.group.Go(func() {
			for turn := 0; ctx.Err() == nil; turn++ {
				c.turn(i, fmt.Sprintf("thing %d of %d", turn, i), branch)
			}
		})
	}
	t.Cleanup(func() { stop(); c.group.Wait() })
	return c
}

// turn makes one thing and reads it back, most likely from another process. A turn that the end of the test cuts off
// counts for nothing, but what was acknowledged counts.
func (c *clients) turn(client int, name, branch string) {
	mutation := `mutation($in: ID!, $name: String!) { made: createGroup(input: {parentId: $in, name: $name}) { thing: group { id } } }`
	if client%2 == 1 {
		mutation = `mutation($in: ID!, $name: String!) { made: createContact(input: {groupId: $in, name: $name}) { thing: contact { id } } }`
	}
	// The request itself is never cut off: whether it was done would not be known.
	answer, err := c.owner.try(context.WithoutCancel(c.ctx), c.proxy, mutation, map[string]any{"in": branch, "name": name})
	id := ""
	if err == nil {
		id = answer.text("made", "thing", "id")
	}
	if c.note(id != "", "making "+name, answer, err) {
		c.mu.Lock()
		c.made[id] = name
		c.mu.Unlock()
		answer, err = c.owner.try(context.WithoutCancel(c.ctx), c.proxy, lookUp, map[string]any{"ids": []string{id}})
		c.note(err == nil && named(answer)[id] == name, "reading "+name, answer, err)
	}
	c.mu.Lock()
	c.turns[client]++
	c.mu.Unlock()
}

const lookUp = `query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Group { name } ... on Contact { name } } }`

// named reads the answer to lookUp: names by id.
func named(answer *reply) map[string]string {
	names := map[string]string{}
	nodes, _ := answer.Data["nodes"].([]any)
	for _, n := range nodes {
		if node, ok := n.(map[string]any); ok {
			names[node["id"].(string)], _ = node["name"].(string)
		}
	}
	return names
}

// note remembers what went wrong.
func (c *clients) note(ok bool, what string, answer *reply, err error) bool {
	if !ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.lost = append(c.lost, fmt.Sprintf("%s: %+v, %v", what, answer, err))
	}
	return ok
}

// finish stops the clients. Not one request may have failed, and each client must have come to its turn.
func (c *clients) finish(t *testing.T) {
	t.Helper()
	c.stop()
	c.group.Wait()
	for i, failure := range c.lost {
		if t.Errorf("failed: %s", failure); i == 9 {
			t.Fatalf("%d requests failed", len(c.lost))
		}
	}
	t.Logf("the clients made %d things in %v turns", len(c.made), c.turns)
	if slices.Min(c.turns) == 0 {
		t.Error("a client did nothing")
	}
}

// verify asks a process for everything that was acknowledged.
func (c *clients) verify(t *testing.T, address string) {
	t.Helper()
	ids := slices.Collect(maps.Keys(c.made))
	for some := range slices.Chunk(ids, 100) {
		found := named(c.owner.do(t, address, lookUp, map[string]any{"ids": some}))
		for _, id := range some {
			if found[id] != c.made[id] {
				t.Errorf("%s was acknowledged and is %q", c.made[id], found[id])
			}
		}
	}
}
