package graph_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/graph"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"
)

func TestRefusalsCarryWhatAClientNeeds(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	north, sales := w.id(relay.KindGroup, "north"), w.id(relay.KindGroup, "sales")
	for query, want := range map[string]string{
		`mutation { moveGroup(input: {groupId: "` + sales + `", parentId: "` + north + `"}) { group { name } } }`:                             `"extensions":{"code":"CONFLICT","reason":"GROUP_CYCLE"}`,
		`mutation { createGroup(input: {parentId: "` + sales + `", name: " "}) { group { name } } }`:                                          `"extensions":{"code":"BAD_USER_INPUT","field":"input.name"}`,
		`mutation { grantRole(input: {userId: "` + w.id(relay.KindUser, "ana") + `", roleId: "x", validFrom: "tomorrow"}) { grant { id } } }`: `"extensions":{"code":"BAD_USER_INPUT","field":"input.validFrom"}`,
		`mutation { updateGroupSettings(input: {groupId: "` + sales + `", capacity: 3000000000}) { group { id } } }`:                          `"extensions":{"code":"BAD_USER_INPUT","field":"input.capacity"}`,
		`{ auditEvents(from: "1.3.2027") { totalCount } }`:                                                                                    `"extensions":{"code":"BAD_USER_INPUT","field":"from"}`,
		`{ users { nodes { x } } }`:           `"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}`,
		`{ inbox(box: MINE) { totalCount } }`: `"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}`,
		`{ users `:                            `"extensions":{"code":"GRAPHQL_PARSE_FAILED"}`,
		`query A { viewer { modules } } query B { viewer { modules } }`: `"message":"Name one operation of the document by operationName`,
	} {
		answer := w.run(w.as("olga"), query, nil)
		if !strings.Contains(answer, want) || strings.Count(answer, `"message"`) != 1 {
			t.Errorf("%s\ngot  %s\nwant %s", query, answer, want)
		}
	}
	answer := w.run(w.as("olga"), `query($id: ID!) { group(id: $id) { name } }`, map[string]any{})
	if !strings.Contains(answer, "GRAPHQL_VALIDATION_FAILED") {
		t.Errorf("a variable that is missing: %s", answer)
	}
}

// TestInternalErrorsShowAnIDOnly breaks the database under a query.
func TestInternalErrorsShowAnIDOnly(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	ctx := w.as("olga")
	if err := store.EachRow(ctx, w.db.Read, "SELECT secret_of_the_database FROM nowhere", nil, nil); err == nil {
		t.Fatal("the query works")
	}
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		_, err := tx.ExecContext(ctx, "ALTER TABLE messages RENAME TO hidden_messages")
		return err
	})
	got := w.refused(ctx, `{ conversation(id: "`+w.id(relay.KindConversation, "Kim conversation")+`") { number messages { nodes { text } } } }`, nil)
	id, _ := got["id"].(string)
	if got["code"] != "INTERNAL_SERVER_ERROR" || len(id) != 16 || len(got) != 2 {
		t.Errorf("got %v", got)
	}
	if log := w.log.String(); !strings.Contains(log, id) || !strings.Contains(log, "messages") {
		t.Errorf("the log has %s", log)
	}
}

// TestAFullDiskIsUnavailable lets SQLite find no room for another page.
func TestAFullDiskIsUnavailable(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	limit := func(pages string) {
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return store.EachRow(ctx, tx, "PRAGMA max_page_count = "+pages, nil, func(*sql.Rows) error { return nil })
		})
	}
	sales := w.id(relay.KindGroup, "sales")
	create := func(i int) string {
		return fmt.Sprintf(`mutation { createGroup(input: {parentId: "%s", name: "%s %d"}) { group { name } } }`, sales, strings.Repeat("x", 90), i)
	}
	limit("1") // that is: as many as there are
	answer := ""
	for i := 0; !strings.Contains(answer, "errors"); i++ {
		answer = w.run(w.as("olga"), create(i), nil)
	}
	if !strings.Contains(answer, `"extensions":{"code":"UNAVAILABLE"}`) || strings.Contains(answer, "full") {
		t.Errorf("got %s", answer)
	}
	if log := w.log.String(); !strings.Contains(log, "database or disk is full") {
		t.Errorf("the log has %s", log)
	}
	limit("1000000")
	if answer := w.run(w.as("olga"), create(1000), nil); strings.Contains(answer, "errors") {
		t.Errorf("with room again: %s", answer)
	}
}

type panicking struct{}

func (panicking) Allow(context.Context, string) (bool, error) { panic("the secret of the limiter") }

type never struct{}

func (never) Allow(context.Context, string) (bool, error) { return false, nil }

type broken struct{}

func (broken) Allow(context.Context, string) (bool, error) {
	return true, errors.New("the count is away")
}

// TestWithoutACountNobodyLogsIn: an attempt that cannot be counted is not made.
func TestWithoutACountNobodyLogsIn(t *testing.T) {
	w := company(t, testdb.SQLite(t), func(c *graph.Config) { c.LogIns = broken{} })
	answer := w.run(context.Background(), `mutation { logIn(input: {email: "olga@example.com", password: "x"}) { token } }`, nil)
	if strings.Contains(answer, "UNAUTHENTICATED") || !strings.Contains(answer, `"code":"`) || strings.Contains(answer, "away") {
		t.Errorf("got %s", answer)
	}
}

func TestPanicsAreInternalErrors(t *testing.T) {
	w := company(t, testdb.SQLite(t), func(c *graph.Config) { c.LogIns = panicking{} })
	const logIn = `mutation { logIn(input: {email: "olga@example.com", password: "x"}) { token } }`
	answer := w.run(context.Background(), logIn, nil)
	if !strings.Contains(answer, "INTERNAL_SERVER_ERROR") || strings.Contains(answer, "secret") {
		t.Errorf("got %s", answer)
	}
	if log := w.log.String(); !strings.Contains(log, "the secret of the limiter") || !strings.Contains(log, "stack=") {
		t.Errorf("the log has %s", log)
	}
}

func TestLogInsAreBounded(t *testing.T) {
	w := company(t, testdb.SQLite(t), func(c *graph.Config) { c.LogIns = never{} })
	got := w.refused(context.Background(), `mutation { logIn(input: {email: "olga@example.com", password: "x"}) { token } }`, nil)
	if got["code"] != "RATE_LIMITED" {
		t.Errorf("got %v", got)
	}
}

// TestErrorsComeInOrder asks many fields that are refused side by side.
func TestErrorsComeInOrder(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.grow(12)
	const query = `{ groups(first: 200) { nodes { users { totalCount } } } }`
	first := w.run(w.as("sue"), query, nil)
	for range 5 {
		if again := w.run(w.as("sue"), query, nil); again != first {
			t.Fatalf("the same query has two answers:\n%s\n%s", first, again)
		}
	}
	if a, b := strings.Index(first, `["groups","nodes",2,"users"]`), strings.Index(first, `["groups","nodes",10,"users"]`); a < 0 || b < a {
		t.Errorf("got %s", first)
	}
}

// TestMutationsOfOneRequestDoNotShareAnswers uses one fragment twice: the second mutation sees what it did itself.
func TestMutationsOfOneRequestDoNotShareAnswers(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	north, sales, support := w.id(relay.KindGroup, "north"), w.id(relay.KindGroup, "sales"), w.id(relay.KindGroup, "support")
	same(t, w.ask("adam", `mutation {
		a: moveGroup(input: {groupId: "%s", parentId: "%s"}) { group { ...where } }
		b: moveGroup(input: {groupId: "%s", parentId: "%s"}) { group { ...where } }
	} fragment where on Group { parent { name children { nodes { name } } } }`, north, support, north, sales),
		`{"a":{"group":{"parent":{"name":"support","children":{"nodes":[{"name":"north"}]}}}},"b":{"group":{"parent":{"name":"sales","children":{"nodes":[{"name":"north"},{"name":"south"}]}}}}}`)
}

// TestSameFieldAskedInManyWays merges aliases, fragments and directives of one field.
func TestSameFieldAskedInManyWays(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	same(t, w.ask("olga", `query($yes: Boolean = true, $no: Boolean = false) { rootGroup { ...f
		one: children(first: 1) { nodes { name } } children { totalCount @skip(if: $yes) }
		children { nodes { parent { ...f ... on Group { children { totalCount @include(if: $yes) } } } } } two: children { totalCount @include(if: $no) nodes { name } } } }
		fragment f on Group { children { nodes { name } } }`),
		`{"rootGroup":{"children":{"nodes":[`+
			`{"name":"sales","parent":{"children":{"nodes":[{"name":"sales"},{"name":"support"},{"name":"vault"}],"totalCount":3}}},`+
			`{"name":"support","parent":{"children":{"nodes":[{"name":"sales"},{"name":"support"},{"name":"vault"}],"totalCount":3}}},`+
			`{"name":"vault","parent":{"children":{"nodes":[{"name":"sales"},{"name":"support"},{"name":"vault"}],"totalCount":3}}}]},`+
			`"one":{"nodes":[{"name":"sales"}]},"two":{"nodes":[{"name":"sales"},{"name":"support"},{"name":"vault"}]}}}`)
}

func TestNodesOfEveryKind(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.eventful()
	ids := map[relay.Kind]string{
		relay.KindAccount: "acacia", relay.KindGroup: "north", relay.KindUser: "ana", relay.KindAgent: "ana", relay.KindRole: authz.RoleAgent,
		relay.KindRoleGrant: "ana AGENT", relay.KindSession: "olga session", relay.KindContact: "Kim", relay.KindContactAssignment: "Kim assignment",
		relay.KindConversation: "Kim conversation", relay.KindMessage: "Kim message", relay.KindAuditEvent: "about a group", relay.KindGroupRequest: "request of sue",
		relay.KindGroupMove: "move of north", relay.KindHistoryEntry: "Kim entry", relay.KindNote: "Kim note", relay.KindTag: "Kim tag",
	}
	if len(ids) != len(allKinds) {
		t.Fatal("kinds are missing")
	}
	var list, want []string
	for _, kind := range allKinds {
		id := w.id(kind, ids[kind])
		same(t, w.ask("olga", `{ node(id: "%s") { id } }`, id), `{"node":{"id":"`+id+`"}}`)
		list, want = append(list, `"`+id+`"`), append(want, `{"id":"`+id+`"}`)
	}
	list, want = append(list, `"x"`, list[0], `7`), append(want, "null", want[0], "null")
	same(t, w.ask("olga", `{ nodes(ids: [%s]) { id } }`, strings.Join(list, " ")), `{"nodes":[`+strings.Join(want, ",")+`]}`)

	same(t, w.ask("ana", `{ nodes(ids: [%s]) { id __typename } }`, strings.Join([]string{`"` + w.id(relay.KindContact, "Max") + `"`, `"` + w.id(relay.KindContact, "Kim") + `"`}, " ")),
		`{"nodes":[null,{"id":"`+w.id(relay.KindContact, "Kim")+`","__typename":"Contact"}]}`)
	if got := w.refused(w.as("olga"), `{ nodes(ids: [`+strings.Repeat(`"x" `, 101)+`]) { id } }`, nil); got["code"] != "BAD_USER_INPUT" || got["field"] != "ids" {
		t.Errorf("got %v", got)
	}
	if got := w.refused(w.as("olga"), `{ node(id: "x") { id } }`, nil); got["code"] != "NOT_FOUND" {
		t.Errorf("got %v", got)
	}
	// A level of different kinds is looked ahead kind by kind.
	if n := w.statements("olga", `{ nodes(ids: [`+strings.Join(list, " ")+`]) { ... on Contact { group { name } } ... on Conversation { contact { name } } } }`); n != len(allKinds)+2 {
		t.Errorf("%d statements", n)
	}
}

// TestWhatIsNoIDIsSaidInItsItem sends, among several, an id that is none, one of another kind and one that nothing has.
func TestWhatIsNoIDIsSaidInItsItem(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db, served)
		const noID = `x\"\u0000é`
		for _, c := range []struct {
			field, list, item string
			kind              relay.Kind
			more              string
		}{
			{"assignContacts", "contactIds", "contactId", relay.KindContact, `, agentId: "` + w.id(relay.KindAgent, "carla") + `"`},
			{"closeConversations", "conversationIds", "conversationId", relay.KindConversation, ""},
		} {
			group, nothing := w.id(relay.KindGroup, "sales"), relay.NewID(c.kind, 1<<40).String()
			got := w.ask("olga", `mutation { %s(input: {%s: ["%s", "%s", "%s"]%s}) { refused items { %s refusal { code field } } } }`,
				c.field, c.list, group, noID, nothing, c.more, c.item)
			item := func(id, why string) string { return fmt.Sprintf(`{"%s":"%s","refusal":{%s}}`, c.item, id, why) }
			same(t, got, fmt.Sprintf(`{"%s":{"refused":3,"items":[%s,%s,%s]}}`, c.field, item(group, `"code":"NOT_FOUND","field":null`),
				item(noID, fmt.Sprintf(`"code":"BAD_USER_INPUT","field":"input.%s.1"`, c.list)), item(nothing, `"code":"NOT_FOUND","field":null`)))
		}
	})
}
