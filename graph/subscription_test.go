package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/graph"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"

	"github.com/99designs/gqlgen/graphql"
)

// heardOf asks for everything of each subscription.
var heardOf = map[string]string{
	"inboxChanged":        `{ change position contactId contact { id name phone agent { name } } }`,
	"conversationUpdated": `{ change position conversation { id subject agent { name } contact { name } closedAt } }`,
	"messageAdded":        `{ change position message { id text author { name } } }`,
	"groupTreeChanged":    `{ change position groupId group { id name parent { name } } }`,
	"agentPanelChanged":   `{ change position agentId agent { id name load availability } }`,
	"viewerChanged":       `{ change position viewer { user { name } permissions grants { role { name } } } }`,
}

// listener is somebody who has subscribed.
type listener struct {
	t    testing.TB
	ctx  context.Context
	next graphql.ResponseHandler
	stop context.CancelFunc
}

// subscribe begins a subscription in the context of somebody. It ends with the test.
func (w *world) subscribe(ctx context.Context, query string) *listener {
	w.t.Helper()
	ctx, stop := context.WithCancel(graphql.StartOperationTrace(ctx))
	w.t.Cleanup(stop)
	op, errs := w.exec.CreateOperationContext(ctx, &graphql.RawParams{Query: query})
	if errs != nil {
		w.t.Fatalf("%s: %v", query, errs)
	}
	next, ctx := w.exec.DispatchOperation(ctx, op)
	return &listener{t: w.t, ctx: ctx, next: next, stop: stop}
}

// patience is how long a test waits for what never comes before it fails.
const patience = time.Minute

// raw is the next response as a client gets it, "" when the stream is over.
func (l *listener) raw() string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.ctx, patience)
	defer cancel()
	response := l.next(ctx)
	if response == nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			l.t.Fatalf("nothing came for %v", patience)
		}
		return ""
	}
	raw, err := json.Marshal(response)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(raw)
}

// hears fails the test unless the next payload is that one, its position left out.
func (l *listener) hears(want string) (position string) {
	l.t.Helper()
	got := l.raw()
	if i := strings.Index(got, `"position":"`); i >= 0 {
		rest := got[i+len(`"position":"`):]
		end := strings.IndexByte(rest, '"')
		position, got = rest[:end], strings.Replace(got, `"position":"`+rest[:end]+`"`, `"position":"…"`, 1)
	}
	if got != want {
		l.t.Fatalf("heard  %s\nwanted %s", got, want)
	}
	return position
}

// heardCompany is the company, in which conversations can be opened.
func heardCompany(t testing.TB, db *store.DB, change ...func(*graph.Config)) *world {
	t.Helper()
	w := company(t, db, append(change, served)...)
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.Account.Update().SetNextConversationNumber(w.numbers + 1).Exec(ctx)
	})
	return w
}

func inboxOf(box, more string) string {
	return fmt.Sprintf(`subscription { inboxChanged(box: %s%s) { change position contactId contact { name agent { name } } } }`, box, more)
}

func inbox(change, id, contact string) string {
	if id != "null" {
		id = `"` + id + `"`
	}
	return fmt.Sprintf(`{"data":{"inboxChanged":{"change":"%s","position":"…","contactId":%s,"contact":%s}}}`, change, id, contact)
}

func TestInboxChanged(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := heardCompany(t, db)
		lee := w.id(relay.KindContact, "Lee")
		queue := w.subscribe(w.as("bruno"), inboxOf("QUEUE", ""))
		you := w.subscribe(w.as("ana"), inboxOf("YOU", ""))
		hidden := w.subscribe(w.as("dora"), inboxOf("QUEUE", ""))
		for _, l := range []*listener{queue, you, hidden} {
			l.hears(inbox("STARTED", "null", "null"))
		}
		w.ask("ana", `mutation { claimContact(input: {contactId: "%s"}) { contact { id } } }`, lee)
		queue.hears(inbox("LEFT", lee, "null"))
		since := you.hears(inbox("ENTERED", lee, `{"name":"Lee","agent":{"name":"ana"}}`))
		w.ask("ana", `mutation { sendMessage(input: {conversationId: "%s", text: "Hello"}) { message { id } } }`, w.id(relay.KindConversation, "Lee conversation"))
		you.hears(inbox("UPDATED", lee, `{"name":"Lee","agent":{"name":"ana"}}`))

		again := w.subscribe(w.as("ana"), inboxOf("YOU", `, since: "`+since+`"`))
		again.hears(inbox("STARTED", "null", "null"))
		again.hears(inbox("UPDATED", lee, `{"name":"Lee","agent":{"name":"ana"}}`))

		w.ask("ana", `mutation { transferContact(input: {contactId: "%s", groupId: "%s"}) { contact { id } } }`, lee, w.id(relay.KindGroup, "root"))
		hidden.hears(inbox("ENTERED", lee, `{"name":"Lee","agent":null}`))
	})
}

// TestInboxChangedUnderAFilter changes, one by one, what a list shows under each filter.
func TestInboxChangedUnderAFilter(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := heardCompany(t, db)
		kim, conversation := w.id(relay.KindContact, "Kim"), w.id(relay.KindConversation, "Kim conversation")
		made := w.ask("olga", `mutation { createTag(input: {name: "Refund", colour: RED}) { tag { id } } }`)
		tag := strings.Split(made, `"`)[7]
		lists := map[string]*listener{}
		listen := func(name, filter string) {
			lists[name] = w.subscribe(w.as("ana"), inboxOf("YOU", filter))
			lists[name].hears(inbox("STARTED", "null", "null"))
		}
		listen("urgent", `, priority: URGENT`)
		listen("awake", `, snoozed: false`)
		listen("aside", `, snoozed: true`)
		shown := `{"name":"Kim","agent":{"name":"ana"}}`
		hear := func(change string, names ...string) {
			t.Helper()
			contact := shown
			if change == "LEFT" {
				contact = "null"
			}
			for _, name := range names {
				lists[name].hears(inbox(change, kim, contact))
			}
		}
		say := func() {
			w.ask("ana", `mutation { sendMessage(input: {conversationId: "%s", text: "Hello"}) { message { id } } }`, conversation)
		}
		say() // is told only where Kim fits: the lists in which it does not would hear of it first below
		hear("UPDATED", "awake")
		listen("tagged", `, tagId: "`+tag+`"`)
		w.ask("ana", `mutation { tagConversation(input: {conversationId: "%s", addTagIds: ["%s"]}) { conversation { id } } }`, conversation, tag)
		hear("ENTERED", "tagged", "awake")
		hear("LEFT", "urgent", "aside")
		w.ask("ana", `mutation { updateConversation(input: {conversationId: "%s", priority: URGENT}) { conversation { id } } }`, conversation)
		hear("ENTERED", "tagged", "urgent", "awake")
		hear("LEFT", "aside")
		w.ask("ana", `mutation { snoozeConversation(input: {conversationId: "%s", until: "%s"}) { conversation { id } } }`, conversation, now.Add(time.Hour).Format(time.RFC3339))
		hear("ENTERED", "tagged", "urgent", "aside")
		hear("LEFT", "awake")
		say()
		hear("UPDATED", "tagged", "urgent", "aside")
		w.ask("ana", `mutation { markRead(input: {conversationId: "%s"}) { conversation { id } } }`, conversation) // which no filter asks for
		hear("UPDATED", "tagged", "urgent", "aside")
		w.ask("olga", `mutation { deleteTag(input: {tagId: "%s"}) { deletedTagId } }`, tag)
		if got := lists["tagged"].raw(); !strings.Contains(got, `"code":"NOT_FOUND"`) || !strings.Contains(got, `"field":"tagId"`) {
			t.Errorf("a list by a tag that is gone hears %s", got)
		}
		for _, name := range []string{"urgent", "awake", "aside"} {
			lists[name].hears(inbox("GAP", "null", "null"))
		}
		say()
		hear("UPDATED", "urgent", "aside")
		if got := w.refused(w.as("ana"), `subscription { inboxChanged(box: YOU, tagId: "`+tag+`") { change } }`, nil); got["code"] != "NOT_FOUND" || got["field"] != "tagId" {
			t.Errorf("subscribing by a tag that is gone: %v", got)
		}
	})
}

func TestMessageAdded(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := heardCompany(t, db)
		kim := w.id(relay.KindConversation, "Kim conversation")
		said := w.subscribe(w.as("ana"), fmt.Sprintf(`subscription { messageAdded(conversationId: "%s") { change message { text author { name } } } }`, kim))
		said.hears(`{"data":{"messageAdded":{"change":"STARTED","message":null}}}`)
		w.ask("ana", `mutation { sendMessage(input: {conversationId: "%s", text: "Hello"}) { message { id } } }`, kim)
		said.hears(`{"data":{"messageAdded":{"change":"ENTERED","message":{"text":"Hello","author":{"name":"ana"}}}}}`)
		w.ask("sue", `mutation { assignContact(input: {contactId: "%s", agentId: "%s"}) { contact { id } } }`, w.id(relay.KindContact, "Kim"), w.id(relay.KindAgent, "carla"))
		said.hears(`{"data":{"messageAdded":{"change":"LEFT","message":null}}}`)
		if rest := said.raw(); rest != "" {
			t.Errorf("after LEFT the stream goes on: %s", rest)
		}
	})
}

// TestAPayloadThatTakesTooLong ends its stream instead of leaving something out.
func TestAPayloadThatTakesTooLong(t *testing.T) {
	w := heardCompany(t, testdb.SQLite(t), func(c *graph.Config) { c.Limits.Payload = 1 })
	for _, query := range []string{`subscription { viewerChanged { change } }`, inboxOf("QUEUE", "")} {
		l := w.subscribe(w.as("bruno"), query)
		if got := l.raw(); !strings.Contains(got, `"code":"UNAVAILABLE"`) || !strings.Contains(got, `"data":null`) {
			t.Errorf("%s: %s", query, got)
		}
		if got := l.raw(); got != "" {
			t.Errorf("%s goes on: %s", query, got)
		}
	}
}

// TestSubscribersOfEveryProcessHear lets one process change what another one's subscriber looks at.
func TestSubscribersOfEveryProcessHear(t *testing.T) {
	testdb.EachURL(t, func(t *testing.T, url string) {
		open := func() *store.DB {
			db, err := store.Open(context.Background(), store.Options{URL: url, Readers: 2, Writers: 2})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return db
		}
		one := open()
		if err := one.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		w := heardCompany(t, one)
		other := w.over(t, open(), served)
		lee := w.id(relay.KindContact, "Lee")
		queue := other.subscribe(other.as("bruno"), inboxOf("QUEUE", ""))
		queue.hears(inbox("STARTED", "null", "null"))
		w.ask("ana", `mutation { claimContact(input: {contactId: "%s"}) { contact { id } } }`, lee)
		queue.hears(inbox("LEFT", lee, "null"))
		w.ask("olga", `mutation { deactivateUser(input: {userId: "%s"}) { user { id } } }`, w.id(relay.KindUser, "bruno"))
		if got := queue.raw(); !strings.Contains(got, `"code":"UNAUTHENTICATED"`) {
			t.Errorf("who is deactivated in another process hears %s", got)
		}
		if got := queue.raw(); got != "" {
			t.Errorf("after its end the stream says %s", got)
		}
	})
}

// TestAPayloadIsShownByTheRightsOfTheMoment masks a phone number that was shown a payload before.
func TestAPayloadIsShownByTheRightsOfTheMoment(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := heardCompany(t, db)
		kim := w.id(relay.KindContact, "Kim")
		w.grant("ana", authz.RoleDashboardAdministrator, "north")
		mates := w.subscribe(w.as("ana"), `subscription { inboxChanged(box: YOU) { change contact { phone } } }`)
		heard := func(change, contact string) {
			t.Helper()
			mates.hears(`{"data":{"inboxChanged":{"change":"` + change + `","contact":` + contact + `}}}`)
		}
		rename := func() {
			w.ask("olga", `mutation { updateContact(input: {contactId: "%s", name: "Kim"}) { contact { id } } }`, kim)
		}
		heard("STARTED", "null")
		rename()
		heard("UPDATED", `{"phone":"+5511912345678"}`)
		w.ask("olga", `mutation { revokeRole(input: {grantId: "%s"}) { grant { id } } }`, w.id(relay.KindRoleGrant, "ana "+authz.RoleAgent))
		heard("GAP", "null")
		w.ask("olga", `mutation { revokeRole(input: {grantId: "%s"}) { grant { id } } }`, w.id(relay.KindRoleGrant, "ana "+authz.RoleDashboardAdministrator+" north"))
		heard("GAP", "null")
		rename()
		w.ask("olga", `mutation { grantRole(input: {userId: "%s", roleId: "%s"}) { grant { id } } }`, w.id(relay.KindUser, "ana"), w.id(relay.KindRole, authz.RoleAgent))
		heard("GAP", "null") // and nothing of the name that changed while Kim was out of sight
	})
}

// TestASubscriptionIsToOneField refuses what the executor would stumble over.
func TestASubscriptionIsToOneField(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	for _, query := range []string{
		`subscription { __typename }`,
		`subscription { viewerChanged { change } other: viewerChanged { change } }`,
		`subscription { viewerChanged @skip(if: true) { change } }`,
		`subscription { ... on Subscription { a: viewerChanged { change } b: viewerChanged { change } } }`,
	} {
		if got := w.refused(w.as("ana"), query, nil); got["code"] != "GRAPHQL_VALIDATION_FAILED" {
			t.Errorf("%s: %v", query, got)
		}
	}
}

// TestEverySubscriptionTellsEverythingAboutWhatItIsTo asks for all fields of every subscription, and changes what each is about.
func TestEverySubscriptionTellsEverythingAboutWhatItIsTo(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := heardCompany(t, db)
		kim := w.id(relay.KindConversation, "Kim conversation")
		for _, c := range []struct{ field, args, change, tells string }{ // in this order: a conversation that is closed is in no box of the team
			{"inboxChanged", `(box: TEAMMATES)`, `updateContact(input: {contactId: "` + w.id(relay.KindContact, "Kim") + `", name: "Kimi"}) { contact { id } }`, `"name":"Kimi"`},
			{"conversationUpdated", `(id: "` + kim + `")`, `closeConversation(input: {conversationId: "` + kim + `"}) { conversation { id } }`, `"closedAt":"`},
			{"groupTreeChanged", ``, `moveGroup(input: {groupId: "` + w.id(relay.KindGroup, "north") + `", parentId: "` + w.id(relay.KindGroup, "support") + `"}) { group { id } }`, `"parent":{"name":"support"}`},
			{"agentPanelChanged", `(group: "` + w.id(relay.KindGroup, "south") + `")`, `updateAgentSettings(input: {agentId: "` + w.id(relay.KindUser, "carla") + `", availability: AVAILABLE}) { agent { id } }`, `"availability":"AVAILABLE"`},
			{"viewerChanged", ``, `updateViewer(input: {name: "Olga II"}) { viewer { user { id } } }`, `"name":"Olga II"`},
		} {
			l := w.subscribe(w.as("olga"), "subscription { "+c.field+c.args+heardOf[c.field]+" }")
			if got := l.raw(); !strings.Contains(got, `"change":"STARTED"`) {
				t.Errorf("%s begins with %s", c.field, got)
			}
			w.ask("olga", `mutation { %s }`, c.change)
			for {
				got := l.raw()
				if strings.Contains(got, c.tells) {
					break
				}
				if got == "" || strings.Contains(got, `"errors"`) {
					t.Errorf("%s hears %s", c.field, got)
					break
				}
			}
			l.stop()
		}
	})
}
