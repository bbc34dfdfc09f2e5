package server_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"canopy/internal/testdb"
	"canopy/server"
	"canopy/store"
)

// pair is two processes over one database and its replica.
type pair struct {
	t                *testing.T
	primary, replica *testdb.Cluster
	a, b             *site
	root             string
}

// newPair serves with a replica that may be as old as staleness.
func newPair(t *testing.T, staleness time.Duration) *pair {
	t.Helper()
	p := &pair{t: t, primary: testdb.NewCluster(t)}
	p.replica = p.primary.Replica()
	o := store.Options{URL: p.primary.URL("postgres"), Replica: p.replica.URL("postgres"), MaxStaleness: staleness}
	p.a, p.b = p.serve(o), p.serve(o)
	p.a.open(t)
	p.root = p.find(p.a, p.a.token(t), `{ rootGroup { id } }`, `"rootGroup":\{"id":"([^"]+)"`)
	return p
}

// serve serves in a process of its own, which logs and counts for itself.
func (p *pair) serve(o store.Options) *site {
	p.t.Helper()
	log := &lines{}
	o.Log = server.NewLogger(log, false, slog.LevelDebug)
	s := serve(p.t, openOn(p.t, o), nil)
	s.lines = log
	return s
}

// ask asks as whoever the token belongs to, and fails the test for an answer with errors.
func (p *pair) ask(s *site, token, query string, args ...any) string {
	p.t.Helper()
	r := s.ask(p.t, fmt.Sprintf(query, args...), "Authorization", "Bearer "+token)
	if r.status != 200 || len(r.Errors) > 0 {
		p.t.Fatalf("%s\nis answered with %d %s", fmt.Sprintf(query, args...), r.status, r.body)
	}
	return r.body
}

// find returns what the parentheses of the expression match in an answer.
func (p *pair) find(s *site, token, query, expression string) string {
	p.t.Helper()
	body := p.ask(s, token, "%s", query)
	found := regexp.MustCompile(expression).FindStringSubmatch(body)
	if found == nil {
		p.t.Fatalf("%s is not in %s", expression, body)
	}
	return found[1]
}

// queries returns how many queries of the process ended so: "answered", "behind" or "failed".
func (p *pair) queries(s *site, outcome string) int {
	w := httptest.NewRecorder()
	s.server.Metrics().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	found := regexp.MustCompile(`canopy_replica_queries_total\{outcome="` + outcome + `"\} (\d+)`).FindStringSubmatch(w.Body.String())
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(found[1])
	return n
}

// fromReplica asks and says whether the replica answered.
func (p *pair) fromReplica(s *site, token, query string, args ...any) (answer string, replica bool) {
	p.t.Helper()
	before := p.queries(s, "answered")
	answer = p.ask(s, token, query, args...)
	return answer, p.queries(s, "answered") > before
}

// used waits until the replica answers the session in both processes.
func (p *pair) used(token string) {
	p.t.Helper()
	for _, s := range []*site{p.a, p.b} {
		eventually(p.t, "the replica answers", func() bool {
			_, replica := p.fromReplica(s, token, whoAmI)
			return replica
		})
	}
}

func (p *pair) pause() {
	p.t.Helper()
	p.replica.Query("SELECT pg_wal_replay_pause()")
	eventually(p.t, "replaying pauses", func() bool { return p.replica.Query("SELECT pg_get_wal_replay_pause_state()") == "paused" })
}

func (p *pair) resume() { p.replica.Query("SELECT pg_wal_replay_resume()") }

func (p *pair) create(s *site, token, name string) (id string) {
	p.t.Helper()
	return p.find(s, token, fmt.Sprintf(`mutation { createGroup(input: {parentId: "%s", name: "%s"}) { group { id name } } }`, p.root, name), `"id":"([^"]+)"`)
}

// invite adds a user with a role at the group and logs them in.
func (p *pair) invite(owner, name, group, role string) (id, token string) {
	p.t.Helper()
	roleID := p.roleID(owner, role)
	invitation := p.ask(p.a, owner, `mutation { inviteUser(input: {name: "%s", email: "%s@acacia.example", homeGroupId: "%s", roleIds: ["%s"]}) { user { id } setupToken } }`,
		name, name, group, roleID)
	found := regexp.MustCompile(`"id":"([^"]+)"\},"setupToken":"([^"]+)"`).FindStringSubmatch(invitation)
	if found == nil {
		p.t.Fatal(invitation)
	}
	p.ask(p.a, "", `mutation { setPassword(input: {token: "%s", password: "%s"}) { passwordSet } }`, found[2], password)
	token = p.find(p.a, "", logIn(name+"@acacia.example", password, "TOKEN"), `"token":"([^"]+)"`)
	return found[1], token
}

func (p *pair) roleID(owner, key string) string {
	p.t.Helper()
	return p.find(p.a, owner, `{ roles { id key } }`, `"id":"([^"]+)","key":"`+key+`"`)
}

const groupNames = `{ groups(first: 100) { nodes { name } } }`

func TestWhatASessionWroteItReads(t *testing.T) {
	p := newPair(t, time.Hour)
	writer, other := p.a.token(t), p.a.token(t)
	old := p.create(p.a, writer, "Old")
	p.used(writer)
	p.used(other)
	p.pause()

	id := p.create(p.a, writer, "New")
	for _, s := range []*site{p.a, p.b} {
		if answer, replica := p.fromReplica(s, other, groupNames); !replica || !strings.Contains(answer, "Old") || strings.Contains(answer, "New") {
			t.Errorf("another session is not answered by the replica: %s", answer)
		}
		if answer, replica := p.fromReplica(s, writer, groupNames); replica || !strings.Contains(answer, "New") {
			t.Errorf("the session does not see what it wrote: %s", answer)
		}
	}
	if answer := p.ask(p.b, other, `{ group(id: "%s") { name } }`, id); !strings.Contains(answer, "New") {
		t.Errorf("what the replica does not find the primary has: %s", answer)
	}
	if answer := p.ask(p.b, other, `mutation { updateGroup(input: {groupId: "%s", name: "Newer"}) { group { name parent { children { nodes { name } } } } } }`, old); strings.Count(answer, "Newer") != 2 {
		t.Errorf("a mutation is not answered by the primary: %s", answer)
	}
	begun := p.b.token(t)
	if answer, replica := p.fromReplica(p.a, begun, groupNames); replica || !strings.Contains(answer, "Newer") {
		t.Errorf("a session that has just begun: %s", answer)
	}
	p.resume()
	for _, session := range []string{writer, other, begun} {
		p.used(session)
		if answer, replica := p.fromReplica(p.a, session, groupNames); !replica || !strings.Contains(answer, "Newer") {
			t.Errorf("after all: %s", answer)
		}
	}
}

func TestWhoMayIsAskedOfThePrimary(t *testing.T) {
	p := newPair(t, time.Hour)
	owner := p.a.token(t)
	north, south := p.create(p.a, owner, "North"), p.create(p.a, owner, "South")
	secret := p.find(p.a, owner, fmt.Sprintf(`mutation { createContact(input: {groupId: "%s", name: "Secret"}) { contact { id name } } }`, north), `"id":"([^"]+)"`)
	_, leaving := p.invite(owner, "leaving", north, "DASHBOARD_ADMINISTRATOR")
	revoked, losing := p.invite(owner, "losing", north, "DASHBOARD_ADMINISTRATOR")
	deactivated, ending := p.invite(owner, "ending", north, "DASHBOARD_ADMINISTRATOR")
	coming, gaining := p.invite(owner, "gaining", south, "DASHBOARD_ADMINISTRATOR")
	grant := p.find(p.a, owner, fmt.Sprintf(`{ roleGrants(userId: "%s") { nodes { id } } }`, revoked), `"id":"([^"]+)"`)
	role := p.roleID(owner, "DASHBOARD_ADMINISTRATOR")
	const contacts = `{ contacts { nodes { name } } }`
	for _, token := range []string{leaving, losing, ending} {
		p.used(token)
		if answer, replica := p.fromReplica(p.b, token, contacts); !replica || !strings.Contains(answer, "Secret") {
			t.Fatalf("at first: %s", answer)
		}
	}
	p.used(gaining)
	p.pause()

	p.ask(p.a, leaving, `mutation { logOut { loggedOut } }`)
	p.ask(p.a, owner, `mutation { revokeRole(input: {grantId: "%s"}) { grant { id } } }`, grant)
	p.ask(p.a, owner, `mutation { deactivateUser(input: {userId: "%s"}) { user { id } } }`, deactivated)
	for name, token := range map[string]string{"logged out": leaving, "deactivated": ending} {
		if r := p.b.ask(t, contacts, "Authorization", "Bearer "+token); r.code() != "UNAUTHENTICATED" || strings.Contains(r.body, "Secret") {
			t.Errorf("who is %s is answered %s", name, r.body)
		}
	}
	if r := p.b.ask(t, contacts, "Authorization", "Bearer "+losing); strings.Contains(r.body, "Secret") {
		t.Errorf("whose role was revoked is answered %s", r.body)
	}

	// First the contact leaves, then somebody is given access to where it was: they never had access to it.
	p.ask(p.a, owner, `mutation { assignContact(input: {contactId: "%s", groupId: "%s"}) { contact { id } } }`, secret, p.root)
	p.ask(p.a, owner, `mutation { grantRole(input: {userId: "%s", roleId: "%s", groupId: "%s"}) { grant { id } } }`, coming, role, north)
	if answer, replica := p.fromReplica(p.b, gaining, contacts); replica || strings.Contains(answer, "Secret") {
		t.Errorf("who was given access afterwards is answered %s", answer)
	}
	p.resume()
	p.used(gaining)
}

func TestAReplicaThatLagsIsLeftAlone(t *testing.T) {
	p := newPair(t, time.Second)
	writer, other := p.a.token(t), p.a.token(t)
	p.used(other)
	p.pause()
	p.create(p.a, writer, "New")
	eventually(t, "another session sees the group", func() bool { return strings.Contains(p.ask(p.b, other, groupNames), "New") })
	if _, replica := p.fromReplica(p.b, other, groupNames); replica {
		t.Error("the replica is asked although it is behind")
	}
	p.resume()
	p.used(other)
}

func TestAReplicaThatIsAwayIsNotMissed(t *testing.T) {
	p := newPair(t, time.Hour)
	session := p.a.token(t)
	p.used(session)
	p.replica.Kill()
	for range 20 {
		p.ask(p.a, session, groupNames)
		p.ask(p.b, session, whoAmI)
	}
	if r := p.a.send(t, "GET", "/readyz", ""); r.status != 200 {
		t.Errorf("without the replica /readyz answers %d", r.status)
	}
	p.replica.Start()
	p.used(session)

	p.replica.Query("SELECT pg_promote()")
	for _, s := range []*site{p.a, p.b} {
		eventually(t, "it is noticed that it is no replica any more", func() bool {
			_, replica := p.fromReplica(s, session, whoAmI)
			return !replica
		})
	}
	for _, line := range []string{"queries may read from the replica", "queries do not read from the replica", "it is not a replica"} {
		if log := p.a.log(); !strings.Contains(log, line) {
			t.Errorf("the log does not say %q:\n%s", line, log)
		}
	}
}

// A replica of something else is never read from.
func TestAReplicaOfAnotherDatabase(t *testing.T) {
	p := newPair(t, time.Hour)
	other := testdb.NewCluster(t).Replica()
	s := p.serve(store.Options{URL: p.primary.URL("postgres"), Replica: other.URL("postgres"), MaxStaleness: time.Hour})
	eventually(t, "it is noticed", func() bool { return strings.Contains(s.lines.String(), "the replica of another database") })
	if _, replica := p.fromReplica(s, p.a.token(t), whoAmI); replica {
		t.Error("it answered")
	}
}
