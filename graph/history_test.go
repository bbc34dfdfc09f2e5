package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/historyentry"
	"canopy/ent/generated/user"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"
)

const historyOf = `{ conversation(id: "%s") { history { totalCount nodes { kind sentence doneBy { name } fromAgent { name } toAgent { name } toGroup { name } reason
	considered { agent { name } outcome words } } } } }`

// TestHistorySaysWhyAContactIsHere follows a contact that is passed on, as people who see more and less of it.
func TestHistorySaysWhyAContactIsHere(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db, served)
		w.countsOn()
		w.ask("sue", `mutation { assignContact(input: {contactId: "%s", agentId: "%s", reason: "Knows the town"}) { assignment { agent { name }
			origin { kind reason } } } }`, w.id(relay.KindContact, "Kim"), w.id(relay.KindAgent, "carla"))
		answer := w.ask("carla", `{ contact(id: "%s") { conversation { id } } }`, w.id(relay.KindContact, "Kim"))
		var now struct {
			Contact struct{ Conversation struct{ ID string } }
		}
		if err := json.Unmarshal([]byte(answer), &now); err != nil {
			t.Fatal(err)
		}
		// carla is of another group than ana and sees no card of hers, nor sue's.
		same(t, w.ask("carla", historyOf, now.Contact.Conversation.ID), `{"conversation":{"history":{"totalCount":1,"nodes":[{"kind":"ASSIGNED",`+
			`"sentence":"Somebody else assigned the contact to you.","doneBy":null,"fromAgent":null,"toAgent":{"name":"carla"},"toGroup":{"name":"south"},`+
			`"reason":"Knows the town","considered":[]}]}}}`)
		same(t, w.ask("sue", historyOf, now.Contact.Conversation.ID), `{"conversation":{"history":{"totalCount":1,"nodes":[{"kind":"ASSIGNED",`+
			`"sentence":"You assigned the contact to an agent.","doneBy":null,"fromAgent":{"name":"ana"},"toAgent":{"name":"carla"},"toGroup":{"name":"south"},`+
			`"reason":"Knows the town","considered":[]}]}}}`)
		both := w.ask("sue", historyOf, w.id(relay.KindConversation, "Kim conversation"))
		if strings.Count(both, `"ASSIGNED"`) != 1 || strings.Count(both, `"CLAIMED"`) != 1 {
			t.Errorf("the conversation that was ended tells %s", both)
		}
		if got := w.refused(w.as("bruno"), fmt.Sprintf(`{ conversation(id: "%s") { history { totalCount } } }`, w.id(relay.KindConversation, "Nil conversation")), nil); got["code"] != "NOT_FOUND" {
			t.Errorf("bruno hears %v", got)
		}
	})
}

// TestWhatIsOlderThanHistoriesHasNone asks for the history of a contact from before histories were kept.
func TestWhatIsOlderThanHistoriesHasNone(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			_, err := tx.HistoryEntry.Delete().Exec(ctx)
			return err
		})
		same(t, w.ask("sue", `{ contact(id: "%s") { history { totalCount nodes { kind } } assignments { nodes { origin { kind } } } conversation { history { totalCount } } } }`,
			w.id(relay.KindContact, "Kim")),
			`{"contact":{"history":{"totalCount":0,"nodes":[]},"assignments":{"nodes":[{"origin":null}]},"conversation":{"history":{"totalCount":0}}}}`)
	})
}

// TestHistoryConsidersOnlyWhomOneSees shows the candidates in their order, without those whose cards are hidden.
func TestHistoryConsidersOnlyWhomOneSees(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.tell("Kim", historyentry.KindQUEUED, "vera", "bruno", "carla", "ana")
		query := fmt.Sprintf(`{ conversation(id: "%s") { history { nodes { considered { agent { name } words } } } } }`, w.id(relay.KindConversation, "Kim conversation"))
		full := func(names ...string) string {
			list := make([]string, len(names))
			for i, name := range names {
				list[i] = `{"agent":{"name":"` + name + `"},"words":"had as many open conversations as they may hold"}`
			}
			return `{"conversation":{"history":{"nodes":[{"considered":[]},{"considered":[` + strings.Join(list, ",") + `]}]}}}`
		}
		same(t, w.ask("olga", "%s", query), full("vera", "bruno", "carla", "ana"))
		same(t, w.ask("sue", "%s", query), full("bruno", "carla", "ana"))
		same(t, w.ask("ana", "%s", query), full("bruno", "ana"))
	})
}

// TestCovers starts and ends a cover over the API, and looks at the cards meanwhile.
func TestCovers(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db, served)
		w.countsOn()
		until := now.Add(24 * time.Hour).Format(time.RFC3339)
		start := fmt.Sprintf(`mutation { startCover(input: {agentId: "%s", toAgentId: "%s", until: "%s"}) { passedOn agent { name load cover { until to { name } } } } }`,
			w.id(relay.KindAgent, "ana"), w.id(relay.KindAgent, "bruno"), until)
		load := w.ask("ana", `{ agent(id: "%s") { load } }`, w.id(relay.KindAgent, "ana"))
		var card struct{ Agent struct{ Load int } }
		if err := json.Unmarshal([]byte(load), &card); err != nil || card.Agent.Load == 0 {
			t.Fatalf("ana serves %s", load)
		}
		same(t, w.ask("ana", "%s", start), fmt.Sprintf(`{"startCover":{"passedOn":%d,"agent":{"name":"ana","load":0,"cover":{"until":"2027-03-02T09:00:00.000000Z",`+
			`"to":{"name":"bruno"}}}}}`, card.Agent.Load))
		if got := w.refused(w.as("ana"), start, nil); got["reason"] != "ALREADY_COVERED" {
			t.Errorf("starting again hears %v", got)
		}
		sentences := `{ contact(id: "%s") { history { nodes { sentence } } } }`
		for who, reads := range map[string]string{"bruno": "went to you, because you cover for its agent.", "sue": "went to an agent, who covers for its agent."} {
			if got := w.ask(who, sentences, w.id(relay.KindContact, "Kim")); !strings.Contains(got, reads) {
				t.Errorf("%s reads %s", who, got)
			}
		}
		cover := fmt.Sprintf(`{ agent(id: "%s") { cover { to { name } } } }`, w.id(relay.KindAgent, "ana"))
		same(t, w.ask("bruno", "%s", cover), `{"agent":{"cover":{"to":{"name":"bruno"}}}}`)
		same(t, w.ask("sue", "%s", cover), `{"agent":{"cover":{"to":{"name":"bruno"}}}}`)
		if got := w.refused(w.as("carla"), cover, nil); got["code"] != "NOT_FOUND" {
			t.Errorf("carla hears %v", got)
		}
		same(t, w.ask("ana", `mutation { endCover(input: {agentId: "%s"}) { broughtBack agent { load cover { until } } } }`, w.id(relay.KindAgent, "ana")),
			fmt.Sprintf(`{"endCover":{"broughtBack":%[1]d,"agent":{"load":%[1]d,"cover":null}}}`, card.Agent.Load))
	})
}

// TestPreviewOfADeactivation shows where contacts would go, as far as its reader sees them, changes nothing, and holds the
// deactivation to it.
func TestPreviewOfADeactivation(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db, served)
		w.countsOn()
		input := fmt.Sprintf(`userId: "%s", handover: TO_AGENT, handoverAgentId: "%s"`, w.id(relay.KindUser, "ana"), w.id(relay.KindAgent, "bruno"))
		type preview struct {
			Token      string
			HandedOver int
			More       bool
			Contacts   []struct {
				Waits          bool
				Contact, Agent *struct{ Name string }
			}
		}
		look := func(who string) preview {
			t.Helper()
			var data struct{ PreviewDeactivateUser preview }
			raw := w.ask(who, `{ previewDeactivateUser(input: {%s}) { token handedOver more contacts { waits contact { name } agent { name } } } }`, input)
			if err := json.Unmarshal([]byte(raw), &data); err != nil {
				t.Fatal(err)
			}
			return data.PreviewDeactivateUser
		}
		events := db.Read.AuditEvent.Query().CountX(trusted())
		whole, blind := look("olga"), look("adam")
		if whole.HandedOver == 0 || len(whole.Contacts) != whole.HandedOver || whole.More {
			t.Errorf("the owner is shown %+v", whole)
		}
		for _, h := range whole.Contacts {
			if h.Waits || h.Contact == nil || h.Agent == nil || h.Agent.Name != "bruno" {
				t.Errorf("a contact goes to %+v", h)
			}
		}
		if blind.HandedOver != whole.HandedOver || len(blind.Contacts) != 0 { // an administrator sees no contacts
			t.Errorf("the administrator is shown %+v", blind)
		}
		if after := db.Read.AuditEvent.Query().CountX(trusted()); after != events {
			t.Error("a preview leaves traces")
		}
		deactivate := `mutation { deactivateUser(input: {` + input + `, previewToken: "%s"}) { handedOver } }`
		for _, token := range []string{"x", whole.Token} { // no token, and another viewer's
			if got := w.refused(w.as("adam"), fmt.Sprintf(deactivate, token), nil); got["reason"] != "PREVIEW_OUTDATED" || got["field"] != "input.previewToken" {
				t.Errorf("with the token %q adam hears %v", token, got)
			}
		}
		w.contact("Late", "north", "ana")
		w.countsOn()
		if got := w.refused(w.as("olga"), fmt.Sprintf(deactivate, whole.Token), nil); got["reason"] != "PREVIEW_OUTDATED" {
			t.Errorf("with one contact more olga hears %v", got)
		}
		same(t, w.ask("olga", deactivate, look("olga").Token), fmt.Sprintf(`{"deactivateUser":{"handedOver":%d}}`, whole.HandedOver+1))
	})
}

// countsOn has the account go on after the conversations that the world made.
func (w *world) countsOn() {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.Account.UpdateOneID(w.account).SetNextConversationNumber(w.numbers + 1).Exec(ctx)
	})
}

func trusted() context.Context { return authz.Trusted(context.Background()) }

// TestWordsSayNothingOfWhomOneDoesNotSee plays the same in two worlds, of which one has another agent whose access is
// paused, and whom carla does not see: she reads the same in both.
func TestWordsSayNothingOfWhomOneDoesNotSee(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *store.DB{"sqlite": testdb.SQLite, "postgres": testdb.Postgres} {
		t.Run(name, func(t *testing.T) {
			without, with := playDistribution(t, open(t), false), playDistribution(t, open(t), true)
			same(t, with("carla"), without("carla"))
			for reader, reads := range map[string][]string{
				"carla": {"It was the agent's turn", "It was offered for 2 minutes", "Nobody could take it"},
				"olga":  {`"was asked"`, `"had been asked before"`, "could not work: their access was paused"},
			} {
				for _, words := range reads {
					if !strings.Contains(with(reader), words) {
						t.Errorf("%s does not read %q: %s", reader, words, with(reader))
					}
				}
			}
			if strings.Contains(with("carla"), "paused") {
				t.Errorf("carla reads of somebody whom she does not see: %s", with("carla"))
			}
		})
	}
}

// playDistribution has the methods of support give or offer contacts, which then come to carla. It returns what people
// read of them.
func playDistribution(t *testing.T, db *store.DB, hidden bool) (reads func(who string) string) {
	w := company(t, db, served)
	w.countsOn()
	change := func(who string, change func(*ent.UserUpdateOne)) {
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			u := tx.User.UpdateOneID(w.ids[who])
			change(u)
			return u.Exec(ctx)
		})
	}
	if hidden {
		w.user("hidden", "support", authz.RoleAgent)
		change("hidden", func(u *ent.UserUpdateOne) { u.SetAvailability(user.AvailabilityAVAILABLE).SetAccessPausedAt(now) })
	}
	var contacts []string
	for i, c := range []struct {
		mode  group.AssignmentMode
		state user.Availability
		then  string // what dora does
	}{
		{group.AssignmentModeROUND_ROBIN, user.AvailabilityAVAILABLE, ""},
		{group.AssignmentModeRADAR, user.AvailabilityAVAILABLE, "claimContact"},
		{group.AssignmentModeRADAR, user.AvailabilityAVAILABLE, "declineOffer"},
		{group.AssignmentModeRADAR, user.AvailabilityAWAY, ""},
	} {
		w.set("support", func(u *ent.GroupUpdateOne) { u.SetAssignmentMode(c.mode) })
		change("dora", func(u *ent.UserUpdateOne) { u.SetAvailability(c.state) })
		answer := w.ask("olga", `mutation { receiveMessage(input: {channel: "test", address: "%d", externalId: "%d", text: "Hello", groupId: "%s"}) {
			message { conversation { contact { id } } } } }`, i, i, w.id(relay.KindGroup, "support"))
		var got struct {
			ReceiveMessage struct {
				Message struct {
					Conversation struct{ Contact struct{ ID string } }
				}
			}
		}
		if err := json.Unmarshal([]byte(answer), &got); err != nil {
			t.Fatal(err)
		}
		id := got.ReceiveMessage.Message.Conversation.Contact.ID
		contacts = append(contacts, id)
		if c.then != "" {
			w.ask("dora", `mutation { %s(input: {contactId: "%s"}) { __typename } }`, c.then, id)
		}
		w.ask("olga", `mutation { assignContact(input: {contactId: "%s", agentId: "%s"}) { contact { id } } }`,
			id, w.id(relay.KindAgent, "carla"))
	}
	return func(who string) (all string) {
		for _, id := range contacts {
			all += w.ask(who, `{ contact(id: "%s") { history { totalCount nodes { kind sentence reason explanation considered { agent { name } outcome words } } }
				assignments { nodes { method explanation origin { explanation considered { words } } } } } }`, id)
		}
		return all
	}
}
