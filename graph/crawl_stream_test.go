package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/user"
	"canopy/graph/generated"
	"canopy/internal/testdb"
	"canopy/relay"

	"github.com/vektah/gqlparser/v2/ast"
)

// audience is everybody who has subscribed to everything that they may subscribe to, and what they have heard and nobody
// has judged yet.
type audience struct {
	*world
	schema  *ast.Schema
	visited map[string]bool
	before  *oracle // as the world was when all had heard everything

	mu    sync.Mutex
	heard []told
}

// told is one response of a stream.
type told struct{ who, field, raw string }

// listen subscribes for the user, and hears until the stream is over.
func (a *audience) listen(who, field, args string) {
	payload := a.schema.Types[a.schema.Subscription.Fields.ForName(field).Type.Name()]
	c := &crawl{world: a.world, schema: a.schema}
	l := a.subscribe(a.as(who), fmt.Sprintf("subscription { %s%s %s }", field, args, c.selection(payload, 1)))
	go func() {
		for raw := l.raw(); raw != ""; raw = l.raw() {
			a.mu.Lock()
			a.heard = append(a.heard, told{who, field, raw})
			a.mu.Unlock()
		}
	}()
}

// judge waits until everybody has heard everything, and judges it by the world as it is then.
func (a *audience) judge(what string) (judged int) {
	a.t.Helper()
	synctest.Wait()
	a.mu.Lock()
	all := a.heard
	a.heard = nil
	a.mu.Unlock()
	o := a.oracle()
	for _, h := range all {
		a.one(what, h, o)
	}
	a.before = o
	return len(all)
}

// one judges a response: no id and no text in it is hidden from its hearer, but the id of what has just left; and what it
// shows is what a query shows.
func (a *audience) one(what string, h told, o *oracle) {
	a.t.Helper()
	var response struct {
		Data   map[string]map[string]any
		Errors []struct{ Extensions struct{ Code string } }
	}
	if err := json.Unmarshal([]byte(h.raw), &response); err != nil {
		a.t.Fatalf("%s: %v: %s", what, err, h.raw)
	}
	for _, e := range response.Errors {
		if !slices.Contains([]string{"NOT_FOUND", "FORBIDDEN", "UNAUTHENTICATED"}, e.Extensions.Code) {
			a.t.Errorf("%s: %s hears %s", what, h.who, h.raw)
		}
	}
	payload := response.Data[h.field]
	c := &crawl{world: a.world, schema: a.schema, user: a.ids[h.who], visited: a.visited, ids: map[relay.ID]string{}}
	c.said.WriteString(h.raw)
	if payload != nil {
		c.take(map[string]any{h.field: payload}, a.schema.Subscription, h.field)
	}
	named, isNamed := a.named(payload)
	if isNamed && payload["change"] == "LEFT" {
		if !a.before.reachable(c.user, named) {
			a.t.Errorf("%s: %s hears that %c %d left, and has never seen it", what, h.who, named.Kind(), named.As(named.Kind()))
		}
		delete(c.ids, named)
	}
	c.none(o, fmt.Sprintf("%s: %s by %s", what, h.who, h.field))
	for name, shown := range payload {
		object, isObject := shown.(map[string]any)
		if !isObject {
			mayNotBeNull := isNamed && strings.HasPrefix(name, strings.ToLower(a.typeOf(named))) && !strings.HasSuffix(name, "Id")
			if shown == nil && mayNotBeNull && payload["change"] != "LEFT" && o.has(named) && o.sees(c.user, named) {
				a.t.Errorf("%s: %s hears %s without %s, which they see", what, h.who, h.field, name)
			}
			continue
		}
		if asked := a.asks(c, h.who, name, object); !reflect.DeepEqual(asked, object) {
			a.t.Errorf("%s: %s hears by %s\n%v\nand is answered\n%v", what, h.who, h.field, object, asked)
		}
	}
}

// named is what a payload says by id that it is about.
func (a *audience) named(payload map[string]any) (relay.ID, bool) {
	for name, value := range payload {
		if text, ok := value.(string); ok && strings.HasSuffix(name, "Id") {
			return relay.ParseID(text), true
		}
	}
	return relay.ID{}, false
}

func (a *audience) typeOf(id relay.ID) string {
	return map[relay.Kind]string{relay.KindContact: "contact", relay.KindGroup: "group", relay.KindAgent: "agent"}[id.Kind()]
}

// asks is what a query answers to the hearer about a thing that they were shown.
func (a *audience) asks(c *crawl, who, name string, object map[string]any) any {
	a.t.Helper()
	def := a.schema.Types[object["__typename"].(string)]
	query := fmt.Sprintf("{ thing: viewer %s }", c.selection(def, 1))
	if name != "viewer" {
		query = fmt.Sprintf("{ thing: node(id: %q) { ... on %s %s } }", object["id"], def.Name, c.selection(def, 0))
	}
	var answer struct{ Data struct{ Thing any } }
	raw := a.run(a.as(who), query, nil)
	if err := json.Unmarshal([]byte(raw), &answer); err != nil || answer.Data.Thing == nil {
		a.t.Errorf("%v: %.300s hears %.300s", err, query, raw)
	}
	return answer.Data.Thing
}

// TestCrawlOfStreams subscribes everybody to everything, makes changes, and follows every field of every payload. As the
// world is when it is delivered, nothing may turn up that its hearer does not see, and what they hear is what they are
// answered when they ask.
func TestCrawlOfStreams(t *testing.T) {
	testdb.SQLite(t) // what all share is made outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		w := heardCompany(t, testdb.SQLite(t), unlimited)
		w.role("lister", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
		w.user("lisa", "support")
		w.grant("lisa", "lister", "sales")
		w.role("listener", authz.Pair{Permission: authz.QueueView, Scope: authz.ScopeGroup}, authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeGroup})
		w.user("greg", "south")
		w.grant("greg", "listener", "sales")
		w.contact("Uma", "north", "")
		w.changeContact("Uma", func(u *ent.ContactUpdateOne) { u.SetEscalatedToID(w.ids["sales"]) })
		w.contact("Quin", "support", "")
		w.contact("Rex", "vault", "")
		w.set("vault", func(u *ent.GroupUpdateOne) { u.SetAssignmentMode(group.AssignmentModeRADAR) })
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			if err := tx.User.UpdateOneID(w.ids["vera"]).SetAvailability(user.AvailabilityAVAILABLE).Exec(ctx); err != nil {
				return err
			}
			return tx.Account.Update().SetNextConversationNumber(w.numbers + 1).Exec(ctx)
		})
		w.mark()
		a := &audience{world: w, schema: generated.NewExecutableSchema(generated.Config{}).Schema(), visited: map[string]bool{}, before: w.oracle()}
		for _, who := range []string{"olga", "adam", "sue", "ana", "bruno", "carla", "dora", "vera", "vic", "lisa", "greg"} {
			for _, box := range []string{"YOU", "TEAMMATES", "QUEUE", "CLOSED"} {
				a.listen(who, "inboxChanged", "(box: "+box+")")
			}
			a.listen(who, "groupTreeChanged", "")
			a.listen(who, "viewerChanged", "")
			for _, at := range []string{"north", "support", "vault"} {
				a.listen(who, "agentPanelChanged", fmt.Sprintf("(group: %q)", w.id(relay.KindGroup, at)))
			}
			for _, talk := range []string{"Kim", "Lee", "Rex"} {
				a.listen(who, "conversationUpdated", fmt.Sprintf("(id: %q)", w.id(relay.KindConversation, talk+" conversation")))
				a.listen(who, "messageAdded", fmt.Sprintf("(conversationId: %q)", w.id(relay.KindConversation, talk+" conversation")))
			}
		}
		a.judge("subscribing")
		judged := 0
		for _, change := range a.changes() {
			w.ask(change.who, "%s", "mutation { "+change.call+" { __typename } }")
			judged += a.judge(change.who + ": " + change.call)
		}
		if judged < 200 {
			t.Errorf("only %d payloads were judged", judged)
		}
		for _, field := range a.schema.Subscription.Fields {
			for _, part := range a.schema.Types[field.Type.Name()].Fields {
				if name := field.Type.Name() + "." + part.Name; !a.visited[name] && !strings.HasPrefix(part.Name, "__") {
					t.Errorf("nobody hears %s", name)
				}
			}
		}
	})
}

// changes are what happens before the audience.
func (a *audience) changes() []struct{ who, call string } {
	contact := func(name string) string { return a.id(relay.KindContact, name) }
	talk := func(name string) string { return a.id(relay.KindConversation, name+" conversation") }
	at := func(name string) string { return a.id(relay.KindGroup, name) }
	call := func(name, format string, args ...any) string {
		return name + "(input: {" + fmt.Sprintf(format, args...) + "})"
	}
	return []struct{ who, call string }{
		{"ana", call("claimContact", `contactId: %q`, contact("Lee"))},
		{"ana", call("sendMessage", `conversationId: %q, text: "Hello"`, talk("Lee"))},
		{"ana", call("addNote", `conversationId: %q, text: "Rude"`, talk("Lee"))},
		{"sue", call("assignContact", `contactId: %q, agentId: %q`, contact("Lee"), a.id(relay.KindAgent, "carla"))},
		{"olga", call("assignContact", `contactId: %q, groupId: %q`, contact("Lee"), at("vault"))}, // whose method offers it to vera
		{"vera", call("declineOffer", `contactId: %q`, contact("Lee"))},
		{"olga", call("assignContact", `contactId: %q, groupId: %q`, contact("Rex"), at("vault"))},
		{"vera", call("sendMessage", `conversationId: %q, text: "Hello"`, talk("Rex"))}, // which accepts the offer
		{"olga", call("updateContact", `contactId: %q, name: "Rexa"`, contact("Rex"))},
		{"olga", call("moveGroup", `groupId: %q, parentId: %q`, at("north"), at("support"))}, // and with it what has escalated
		{"bruno", call("claimContact", `contactId: %q`, contact("Uma"))},
		{"olga", call("updateGroup", `groupId: %q, name: "Safe"`, at("cellar"))},
		{"olga", call("updateGroup", `groupId: %q, visibility: INHERITED`, at("vault"))},
		{"olga", call("updateGroup", `groupId: %q, visibility: RESTRICTED`, at("vault"))},
		{"sue", call("updateAgentSettings", `agentId: %q, availability: AVAILABLE`, a.id(relay.KindAgent, "carla"))},
		{"ana", call("updateViewer", `name: "Ana"`)},
		{"olga", call("revokeRole", `grantId: %q`, a.id(relay.KindRoleGrant, "ana "+authz.RoleAgent))},
		{"olga", call("updateContact", `contactId: %q, name: "Kimi"`, contact("Kim"))},
		{"olga", call("grantRole", `userId: %q, roleId: %q, groupId: %q`, a.id(relay.KindUser, "dora"), a.id(relay.KindRole, authz.RoleDashboardAdministrator), at("support"))},
		{"olga", call("closeConversation", `conversationId: %q`, talk("Kim"))},
		{"olga", call("updateGroupSettings", `groupId: %q, sharedInbox: false`, at("support"))},
		{"olga", call("deactivateUser", `userId: %q`, a.id(relay.KindUser, "bruno"))},
		{"olga", call("deleteContact", `contactId: %q`, contact("Quin"))},
	}
}
