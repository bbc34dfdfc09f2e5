package graph_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/ent/generated/historyentry"
	"canopy/graph/generated"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"
)

// lists are the connections of the schema: where they are, and how a page of one is asked for.
func (w *world) lists() map[string]string {
	return map[string]string{
		"groups":                `groups(%s)`,
		"groupMoves":            `groupMoves(%s)`,
		"whoCan":                `whoCan(permission: QUEUE_CLAIM, targetId: "` + w.id(relay.KindContact, "Lee") + `", %s)`,
		"Group.effectiveUsers":  `group(id: "` + w.id(relay.KindGroup, "north") + `") { effectiveUsers(%s)`,
		"groupRequests":         `groupRequests(%s)`,
		"users":                 `users(%s)`,
		"agents":                `agents(%s)`,
		"AgentPanel.agents":     `agentPanel(groupId: "` + w.id(relay.KindGroup, "sales") + `", below: true) { agents(%s)`,
		"roleGrants":            `roleGrants(%s)`,
		"grantExpiries":         `grantExpiries(%s)`,
		"contacts":              `contacts(%s)`,
		"inbox":                 `inbox(box: TEAMMATES, %s)`,
		"queue":                 `inbox(box: QUEUE, %s)`,
		"auditEvents":           `auditEvents(%s)`,
		"Group.children":        `group(id: "` + w.id(relay.KindGroup, "sales") + `") { children(%s)`,
		"Group.descendants":     `group(id: "` + w.id(relay.KindGroup, "root") + `") { descendants(%s)`,
		"Group.users":           `group(id: "` + w.id(relay.KindGroup, "root") + `") { users(%s)`,
		"Group.agents":          `group(id: "` + w.id(relay.KindGroup, "north") + `") { agents(%s)`,
		"Contact.conversations": `contact(id: "` + w.id(relay.KindContact, "Kim") + `") { conversations(%s)`,
		"Contact.assignments":   `contact(id: "` + w.id(relay.KindContact, "Kim") + `") { assignments(%s)`,
		"Contact.history":       `contact(id: "` + w.id(relay.KindContact, "Kim") + `") { history(%s)`,
		"Conversation.history":  `conversation(id: "` + w.id(relay.KindConversation, "Kim conversation") + `") { history(%s)`,
		"Conversation.messages": `conversation(id: "` + w.id(relay.KindConversation, "Kim conversation") + `") { messages(%s)`,
		"Conversation.notes":    `conversation(id: "` + w.id(relay.KindConversation, "Kim conversation") + `") { notes(%s)`,
	}
}

type pageOfIDs struct {
	TotalCount int
	Nodes      []struct {
		ID          string
		User, Agent struct{ ID string }
	}
	Edges    []struct{ Cursor string }
	PageInfo struct {
		HasNextPage, HasPreviousPage bool
		StartCursor, EndCursor       *string
	}
}

// page asks for one page of a list and finds it in the answer, however deep.
func (w *world) page(viewer, list, args string) pageOfIDs {
	w.t.Helper()
	node := "id"
	if strings.Contains(list, "whoCan") || strings.Contains(list, "effectiveUsers") {
		node = "user { id }" // the entries are about users and have no id of their own
	}
	if strings.Contains(list, "agentPanel") {
		node = "agent { id }"
	}
	query := "{ " + fmt.Sprintf(list, args) + ` { totalCount nodes { ` + node + ` } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } ` + strings.Repeat("}", strings.Count(list, "{")) + " }"
	var at map[string]json.RawMessage
	raw := []byte(w.ask(viewer, "%s", query))
	for {
		if err := json.Unmarshal(raw, &at); err != nil {
			w.t.Fatalf("%s: %s", query, raw)
		}
		if _, found := at["pageInfo"]; found || len(at) != 1 {
			break
		}
		for _, value := range at {
			raw = value
		}
		at = nil
	}
	var p pageOfIDs
	if err := json.Unmarshal(raw, &p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// TestEveryListIsWalked wants every connection of the schema among the lists that these tests walk.
func TestEveryListIsWalked(t *testing.T) {
	lists := company(t, testdb.SQLite(t)).lists()
	for name, def := range generated.NewExecutableSchema(generated.Config{}).Schema().Types {
		for _, field := range def.Fields {
			list := name + "." + field.Name
			if list == "AccessPreview.changes" {
				continue // its entries have no id; TestChangesComeInPages walks it
			}
			if strings.HasSuffix(field.Type.Name(), "Connection") && lists[strings.TrimPrefix(list, "Query.")] == "" {
				t.Errorf("%s is not in lists()", list)
			}
		}
	}
}

// TestPagesMakeUpTheList walks every list with pages of one, two and three entries.
func TestPagesMakeUpTheList(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.eventful()
		w.crowd()
		for name, list := range w.lists() {
			whole := w.page("olga", list, "first: 200")
			if len(whole.Nodes) != whole.TotalCount || len(whole.Nodes) < 2 || whole.PageInfo.HasNextPage || whole.PageInfo.HasPreviousPage {
				t.Errorf("%s has %d entries, counts %d, %+v", name, len(whole.Nodes), whole.TotalCount, whole.PageInfo)
			}
			for size := 1; size <= 3; size++ {
				if got := w.walk("olga", list, size); !slices.Equal(got, idsOf(whole)) {
					t.Errorf("%s by %d:\n%v\nwant\n%v", name, size, got, idsOf(whole))
				}
			}
		}
	})
}

func idsOf(p pageOfIDs) []string {
	var ids []string
	for _, n := range p.Nodes {
		ids = append(ids, n.ID+n.User.ID+n.Agent.ID)
	}
	return ids
}

// walk goes from page to page and checks what each says of itself.
func (w *world) walk(viewer, list string, size int) []string {
	w.t.Helper()
	var ids []string
	args := fmt.Sprintf("first: %d", size)
	for first := true; ; first = false {
		p := w.page(viewer, list, args)
		ids = append(ids, idsOf(p)...)
		if n := len(p.Edges); n == 0 || *p.PageInfo.StartCursor != p.Edges[0].Cursor || *p.PageInfo.EndCursor != p.Edges[n-1].Cursor {
			w.t.Errorf("%s: the cursors are wrong: %+v", list, p)
		}
		if p.PageInfo.HasPreviousPage == first || p.PageInfo.HasNextPage && len(p.Nodes) != size {
			w.t.Errorf("%s: %+v", list, p)
		}
		if !p.PageInfo.HasNextPage || len(ids) > 1000 {
			return ids
		}
		args = fmt.Sprintf("first: %d, after: %q", size, *p.PageInfo.EndCursor)
	}
}

// crowd gives every list more entries, some of them equal in what they are sorted by.
func (w *world) crowd() {
	w.t.Helper()
	w.groups("sales", false, "east", "west", "Zoo")
	for i := range 4 {
		w.user(fmt.Sprint("twin ", i), "north", authz.RoleAgent)
		w.rename(fmt.Sprint("twin ", i), "twin")
		w.user(fmt.Sprint("root user ", i), "root", authz.RoleDeveloper)
		w.contact(fmt.Sprint("guest ", i), "north", []string{"", "bruno"}[i%2])
		w.again("Kim", "bruno")
		w.say("Kim conversation")
		w.tell("Kim", historyentry.KindOFFERED)
	}
}

func TestSizesOfPages(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	for name, list := range w.lists() {
		if p := w.page("olga", list, "first: null"); len(p.Nodes) > 25 {
			t.Errorf("%s: a page without size has %d entries", name, len(p.Nodes))
		}
		for _, args := range []string{"first: 0", "first: -1", "first: 201"} {
			query := "{ " + fmt.Sprintf(list, args) + " { totalCount } " + strings.Repeat("}", strings.Count(list, "{")) + " }"
			if got := w.refused(w.as("olga"), query, nil); got["code"] != "BAD_USER_INPUT" || got["field"] != "first" {
				t.Errorf("%s(%s): %v", name, args, got)
			}
		}
	}
	if got := w.refused(w.as("olga"), `{ groups(first: 3000000000) { totalCount } }`, nil); got["code"] != "BAD_USER_INPUT" || got["field"] != "first" {
		t.Errorf("an Int of more than 32 bits: %v", got)
	}
	if got := w.refused(w.as("olga"), `{ rootGroup { descendants(maxDepth: 0) { totalCount } } }`, nil); got["code"] != "BAD_USER_INPUT" || got["field"] != "maxDepth" {
		t.Errorf("no levels: %v", got)
	}
}

// TestCursorsAreOfTheirList gives every list cursors that are not its own.
func TestCursorsAreOfTheirList(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.eventful()
	of := map[string]string{
		"a list by name": relay.Position{Order: 'n', Text: "a", ID: 1}.Cursor(), "a list by time": relay.Position{Order: 't', Number: 1, ID: 1}.Cursor(),
		"nothing": "", "a letter": "x", "words": "bm90IGEgY3Vyc29y",
	}
	contacts := []string{"contacts", "inbox", "queue"} // each in an order of its own
	for _, name := range contacts {
		of[name] = w.page("olga", w.lists()[name], "first: 1").Edges[0].Cursor
	}
	for name, list := range w.lists() {
		others := maps.Clone(of)
		if own := w.page("olga", list, "first: 1"); len(own.Edges) > 0 {
			cursor := own.Edges[0].Cursor
			maps.DeleteFunc(others, func(from, c string) bool {
				return c != "" && c[0] == cursor[0] && (!slices.Contains(contacts, from) || from == name)
			})
			if raw, err := base64.RawURLEncoding.DecodeString(cursor); err != nil || raw[0] != 'n' { // a name may go on
				others["its own and more"] = base64.RawURLEncoding.EncodeToString(append(raw, 'x'))
			}
		}
		for from, cursor := range others {
			query := "{ " + fmt.Sprintf(list, fmt.Sprintf("after: %q", cursor)) + " { totalCount } " + strings.Repeat("}", strings.Count(list, "{")) + " }"
			if got := w.refused(w.as("olga"), query, nil); got["code"] != "BAD_USER_INPUT" || got["field"] != "after" {
				t.Errorf("%s after that of %s: %v", name, from, got)
			}
		}
	}
}

// TestCursorsTellNothingHidden: the cursor of a hidden group is no cursor, and a cursor names no group above.
func TestCursorsTellNothingHidden(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	cellar := relay.Position{Order: 'p', ID: w.ids["cellar"]}.Cursor()
	invented := relay.Position{Order: 'p', ID: 1 << 40}.Cursor()
	query := func(cursor string) string { return fmt.Sprintf(`{ groups(after: %q) { nodes { name } } }`, cursor) }
	if hidden, none := w.run(w.as("sue"), query(cellar), nil), w.run(w.as("sue"), query(invented), nil); hidden != none || !strings.Contains(hidden, "BAD_USER_INPUT") {
		t.Errorf("hidden   %s\ninvented %s", hidden, none)
	}
	want := relay.Position{Order: 'p', ID: w.ids["north"]}.Cursor()
	if got := w.page("sue", `groups(%s)`, "first: 2"); got.Edges[1].Cursor != want {
		t.Errorf("the cursor of a group tells more than its number")
	}
}

// TestHiddenRowsTakeNoPlaceOnPages: what the viewer does not see does not shorten a page, does not count, and is no
// next page.
func TestHiddenRowsTakeNoPlaceOnPages(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.groups("root", true, "a1", "a2", "a3")
		w.user("rita", "root", authz.RoleDashboardAdministrator)
		same(t, w.ask("rita", `{ rootGroup { children(first: 2) { totalCount pageInfo { hasNextPage } nodes { name } } descendants(first: 4) { totalCount pageInfo { hasNextPage } nodes { name } } } }`),
			`{"rootGroup":{"children":{"totalCount":2,"pageInfo":{"hasNextPage":false},"nodes":[{"name":"sales"},{"name":"support"}]},"descendants":{"totalCount":4,"pageInfo":{"hasNextPage":false},"nodes":[{"name":"sales"},{"name":"north"},{"name":"south"},{"name":"support"}]}}}`)
	})
}

func TestTotalsEndAtMoreThanAThousand(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.user("olga", "root", authz.RoleOwner)
		var names []string
		for i := range 1005 {
			names = append(names, fmt.Sprint("group ", i))
		}
		w.groups("root", false, names...)
		same(t, w.ask("olga", `{ groups(first: 1) { totalCount } rootGroup { childCount children(first: 1) { totalCount } descendants(first: 1) { totalCount } } }`),
			`{"groups":{"totalCount":1001},"rootGroup":{"childCount":1005,"children":{"totalCount":1001},"descendants":{"totalCount":1001}}}`)
	})
}
