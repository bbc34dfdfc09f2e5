package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/grouprequest"
	"canopy/ent/generated/historyentry"
	"canopy/ent/generated/message"
	"canopy/ent/generated/user"
	"canopy/graph"
	"canopy/graph/generated"
	"canopy/internal/hours"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"

	"github.com/vektah/gqlparser/v2/ast"
)

// unlimited lets the documents of a crawl in.
func unlimited(c *graph.Config) {
	const all = 1 << 40
	c.Limits = graph.Limits{Tokens: 1 << 30, Depth: all, Fields: all, Aliases: all, Directives: all, Fragments: all, Complexity: all}
}

// crawlers are the users of the maze whose eyes it is seen with.
var crawlers = []string{"olga", "adam", "bill", "dev", "sue", "ana", "bruno", "carla", "dora", "vera", "vic", "nora", "lisa", "audrey", "rolf",
	"ursula", "delia", "ben", "early", "late", "stranger"}

// maze is the company with something of everything in it: every kind of grant, state and paper, each text of it once.
func maze(t testing.TB, db *store.DB, change ...func(*graph.Config)) *world {
	t.Helper()
	w := company(t, db, change...)
	w.eventful()
	w.user("bill", "support", authz.RoleBillingManager)
	w.user("dev", "north", authz.RoleDeveloper)
	w.user("nora", "north")
	custom := func(name, home, at string, pairs ...authz.Pair) {
		w.role("role of "+name, pairs...)
		w.user(name, home)
		w.grant(name, "role of "+name, at)
	}
	custom("lisa", "support", "sales", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
	custom("audrey", "support", "root", authz.Pair{Permission: authz.AuditView, Scope: authz.ScopeAccount})
	custom("rolf", "north", "north", authz.Pair{Permission: authz.RolesView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.CustomerDataView, Scope: authz.ScopeGroup})
	custom("ursula", "south", "vault", authz.Pair{Permission: authz.UsersView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeGroup},
		authz.Pair{Permission: authz.DashboardsView, Scope: authz.ScopeGroup}, authz.Pair{Permission: authz.AgentPanelView, Scope: authz.ScopeGroup})
	custom("delia", "sales", "sales", authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.UsersView, Scope: authz.ScopeSubtree},
		authz.Pair{Permission: authz.RolesAssign, Scope: authz.ScopeSubtree})
	// Ben sees the root and north, and not what is between.
	custom("ben", "support", "root", authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeGroup}, authz.Pair{Permission: authz.AnalyticsView, Scope: authz.ScopeGroup})
	w.grant("ben", "role of ben", "north")
	w.user("early", "north")
	w.user("late", "north")
	w.user("paula", "north", authz.RoleAgent)
	w.user("gone", "south", authz.RoleAgent)
	w.contact("Ned", "cellar", "vic")
	w.contact("Oda", "root", "")
	w.contact("Pia", "support", "dora")
	for _, offer := range []struct {
		name, at, to string
		until        time.Time
	}{{"Quin", "support", "dora", now.Add(time.Hour)}, {"Rex", "south", "vic", now.Add(time.Hour)}, {"Sam", "support", "dora", now}} {
		w.contact(offer.name, offer.at, "")
		w.changeContact(offer.name, func(u *ent.ContactUpdateOne) { u.SetOfferedToID(w.ids[offer.to]).SetOfferEndsAt(offer.until) })
	}
	w.contact("Uma", "support", "")
	w.changeContact("Uma", func(u *ent.ContactUpdateOne) { u.SetEscalatedToID(w.ids["root"]) })
	w.contact("Val", "cellar", "")
	w.changeContact("Val", func(u *ent.ContactUpdateOne) { u.SetEscalatedToID(w.ids["vault"]) })
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		week := &hours.Week{TimeZone: "UTC", Shifts: []hours.Shift{{Day: time.Monday, Start: 540, End: 1020}}}
		return tx.User.UpdateOneID(w.ids["dora"]).SetWorkingHours(week).Exec(ctx)
	})
	w.again("Kim", "bruno")
	w.say("Nil conversation")
	for _, talk := range []string{"Oda", "Ned", "Pia"} {
		w.note(talk+" note", talk+" conversation", "olga")
	}
	w.request("sales", "nora")
	w.groupMove("vault")
	for _, about := range []struct {
		kind relay.Kind
		name string
	}{{relay.KindUser, "vera"}, {relay.KindRole, "role of lisa"}, {relay.KindRoleGrant, "vera AGENT"}, {relay.KindContact, "Nil"}, {relay.KindConversation, "Nil conversation"},
		{relay.KindGroup, "cellar"}, {relay.KindGroupRequest, "request of vera"}, {relay.KindGroupMove, "move of vault"}, {relay.KindContactAssignment, "Nil assignment"},
		{relay.KindNote, "Nil note"}, {relay.KindTag, "Nil tag"}} {
		event := "event " + string(about.kind)
		w.record(event, about.kind, w.ids[about.name], map[string]any{"note": "was of " + event}, map[string]any{"note": "is of " + event})
	}
	w.event("event A")
	w.naming()
	w.cover("bruno", "carla", 1)
	w.cover("vera", "vic", 1)
	w.cover("dora", "ana", -1)
	own := w.account
	w.ids["stranger"] = w.another("birch")[relay.KindUser]
	w.account = own
	w.history()
	w.stays()
	w.stood("Kim", "north", "gone")
	w.mark()
	return w
}

// stays lets every conversation that has stood nowhere stand since it was opened where its contact is, and have had an
// answer within the day.
func (w *world) stays() {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO stays (account_id, contact_id, conversation_id, group_id, agent_id, started_at, ended_at,
				entered, ending, begun_at, unanswered, answered_at)
			SELECT v.account_id, v.contact_id, v.id, k.group_id, v.agent_id, $1, CASE WHEN v.closed_at IS NULL THEN 9223372036854775807 ELSE $2 END,
				1, CASE WHEN v.closed_at IS NULL THEN 0 ELSE 1 END, $1, TRUE, $2
			FROM conversations AS v JOIN contacts AS k ON k.id = v.contact_id
			WHERE NOT EXISTS (SELECT 1 FROM stays AS s WHERE s.conversation_id = v.id)`, now.UnixMicro(), now.Add(time.Hour).UnixMicro())
		return err
	})
}

// stood lets a conversation have stood with the agent for an hour before it was opened.
func (w *world) stood(contact, group, agent string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO stays (account_id, contact_id, conversation_id, group_id, agent_id, started_at, ended_at,
				entered, ending, begun_at, unanswered)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 1, 0, $6, FALSE)`, w.account, w.ids[contact], w.ids[contact+" conversation"], w.ids[group], w.ids[agent],
			now.Add(-time.Hour).UnixMicro(), now.Add(time.Minute).UnixMicro())
		return err
	})
}

// naming records changes of things that are seen by some, and that name what is hidden from them.
func (w *world) naming() {
	w.t.Helper()
	name := func(kind relay.Kind, name string) string { return w.id(kind, name) }
	w.record("moved", relay.KindGroup, w.ids["support"], map[string]any{"parent": name(relay.KindGroup, "cellar")}, map[string]any{"parent": name(relay.KindGroup, "root")})
	w.record("went", relay.KindUser, w.ids["audrey"], map[string]any{"homeGroup": name(relay.KindGroup, "vault")}, map[string]any{"homeGroup": name(relay.KindGroup, "support")})
	w.record("dissolved", relay.KindGroup, w.ids["support"], map[string]any{"name": "x"},
		map[string]any{"successor": name(relay.KindGroup, "north"), "endedGrants": []string{name(relay.KindRoleGrant, "vera AGENT"), name(relay.KindRoleGrant, "audrey role of audrey root")}})
	w.record("given", relay.KindRoleGrant, w.ids["audrey role of audrey root"], nil,
		map[string]any{"user": name(relay.KindUser, "vera"), "role": name(relay.KindRole, "role of lisa"), "group": name(relay.KindGroup, "vault")})
	w.record("role", relay.KindRole, w.ids["role of audrey"], nil, map[string]any{"mayGive": []string{name(relay.KindRole, "role of lisa"), name(relay.KindRole, authz.RoleAgent)}})
	w.record("account", relay.KindAccount, w.account, nil, map[string]any{"primaryOwner": name(relay.KindUser, "olga")})
	w.record("passed", relay.KindContact, w.ids["Lee"], map[string]any{"agent": name(relay.KindAgent, "vic"), "group": name(relay.KindGroup, "vault")},
		map[string]any{"conversation": name(relay.KindConversation, "Nil conversation"), "contact": name(relay.KindContact, "Nil")})
}

// history is what has been in the maze, and what will be.
func (w *world) history() {
	w.t.Helper()
	past, later := now.Add(-2*time.Hour), now.Add(time.Hour)
	grant := func(ctx context.Context, tx *ent.Tx, who, at string) *ent.RoleGrantCreate {
		return tx.RoleGrant.Create().SetAccountID(w.account).SetUserID(w.ids[who]).SetRoleID(w.ids[authz.RoleOwner]).SetGroupID(w.ids[at]).
			SetGrantedByID(w.ids["olga"]).SetCreatedAt(past)
	}
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		tx.HistoryEntry.Create().SetAccountID(w.account).SetContactID(w.ids["Kim"]).SetConversationID(w.ids["Kim conversation"]).
			SetPreviousConversationID(w.ids["Kim conversation"]).SetKind(historyentry.KindDISTRIBUTED).SetMethod(historyentry.MethodROUND_ROBIN).SetAt(now).
			SetDoneByID(w.ids["carla"]).SetFromAgentID(w.ids["vera"]).SetFromGroupID(w.ids["vault"]).SetToAgentID(w.ids["bruno"]).SetToGroupID(w.ids["north"]).
			SetExplanation("x").SetConsidered(considering(w.ids["vic"], w.ids["carla"], w.ids["ana"], w.ids["gone"])).ExecX(ctx)
		grant(ctx, tx, "early", "north").SetValidFrom(later).SaveX(ctx)
		grant(ctx, tx, "late", "north").SetValidFrom(past).SetValidUntil(now).SaveX(ctx)
		grant(ctx, tx, "nora", "cellar").SetValidFrom(past).SetRevokedAt(past).SetRevokedByID(w.ids["olga"]).SaveX(ctx)
		tx.User.UpdateOneID(w.ids["paula"]).SetAccessPausedAt(now).ExecX(ctx)
		tx.User.UpdateOneID(w.ids["gone"]).SetStatus(user.StatusDEACTIVATED).SetDeactivatedAt(now).ExecX(ctx)
		tx.GroupRequest.UpdateOneID(w.ids["request of nora"]).SetStatus(grouprequest.StatusAPPROVED).SetGroupID(w.ids["south"]).SetDecidedAt(now).ExecX(ctx)
		tx.GroupMove.UpdateOneID(w.ids["move of north"]).SetFinishedAt(now).ExecX(ctx)
		tx.ContactAssignment.UpdateOneID(w.ids["Pia assignment"]).SetAssignedByID(w.ids["sue"]).ExecX(ctx)
		tx.Message.Create().SetAccountID(w.account).SetConversationID(w.ids["Max conversation"]).SetDirection(message.DirectionOUTBOUND).
			SetAuthorID(w.ids["carla"]).SetText("?").SetSentAt(now).ExecX(ctx)
		tx.AuditEvent.Create().SetAccountID(w.account).SetUserID(w.ids["vera"]).SetAction("TESTED").SetTargetKind(string(relay.KindUser)).
			SetTargetID(w.ids["vera"]).SetReason("reason of vera's event").SetAt(now).ExecX(ctx)
		tx.Conversation.UpdateOneID(w.ids["Kim conversation"]).SetSnoozedUntil(later).ExecX(ctx)
		tx.Role.UpdateOneID(w.ids["role of delia"]).AddMayGiveIDs(w.ids["role of lisa"]).ExecX(ctx)
		tx.Account.UpdateOneID(w.account).SetNextConversationNumber(w.numbers + 1).SetPrimaryOwnerID(w.ids["olga"]).ExecX(ctx)
		return nil
	})
}

// considering is who was considered for a contact and could not take it.
func considering(users ...int64) json.RawMessage {
	var list []desk.Candidate
	for _, id := range users {
		list = append(list, desk.Candidate{UserID: id, Outcome: "FULL"})
	}
	raw, _ := json.Marshal(list)
	return raw
}

// mark gives every text of the world, but those of some tables, words of its own, by which it is known wherever it turns
// up.
func (w *world) mark(but ...string) {
	w.t.Helper()
	columns := map[string]string{"groups": "name", "users": "name email", "roles": "name description policy_note", "role_grants": "reason",
		"contacts": "name email phone", "conversations": "subject close_note", "messages": "text", "notes": "text", "tags": "name", "contact_assignments": "explanation", "history_entries": "explanation reason",
		"group_requests": "name reason decision_note", "audit_events": "request_id", "accounts": "name slug"}
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		for _, table := range slices.Sorted(maps.Keys(columns)) {
			if slices.Contains(but, table) {
				continue
			}
			for _, column := range strings.Fields(columns[table]) {
				text := fmt.Sprintf("'%s %s ' || id || '!'", table, column)
				switch column {
				case "phone":
					text = "'+5511' || (900000000 + id)"
				case "email":
					text = fmt.Sprintf("'%s.' || id || '@%s.example'", table, table)
				case "slug", "request_id":
					text = fmt.Sprintf("'%s-' || id || '-'", table)
				}
				if _, err := tx.ExecContext(ctx, "UPDATE "+table+" SET "+column+" = "+text); err != nil {
					return fmt.Errorf("%s.%s: %w", table, column, err)
				}
			}
		}
		return nil
	})
}

// text is something that is said somewhere in the world, and who may hear it.
type text struct {
	words string
	may   func(user int64) bool
}

// texts are all of them, by where they are.
func (o *oracle) texts() map[string]text {
	all := map[string]text{}
	add := func(id relay.ID, field, words string, may func(user int64) bool) {
		if words != "" {
			all[fmt.Sprintf("%c %d.%s", id.Kind(), id.As(id.Kind()), field)] = text{words, may}
		}
	}
	for _, id := range o.ids() {
		n := id.As(id.Kind())
		seen := func(user int64) bool { return o.reachable(user, id) }
		switch id.Kind() {
		case relay.KindAccount:
			add(id, "name", o.accounts[n].Name, seen)
			add(id, "slug", o.accounts[n].Slug, seen)
		case relay.KindGroup:
			add(id, "name", o.groups[n].Name, seen)
		case relay.KindGroupRequest:
			add(id, "name", o.requests[n].Name, seen)
			add(id, "reason", o.requests[n].Reason, seen)
			add(id, "decisionNote", o.requests[n].DecisionNote, seen)
		case relay.KindUser:
			card := relay.NewID(relay.KindAgent, n)
			add(id, "name", o.users[n].Name, func(user int64) bool { return o.sees(user, id) || o.sees(user, card) })
			add(id, "email", o.users[n].Email, seen)
		case relay.KindSession:
			add(id, "tokenHash", o.sessions[n].TokenHash, func(int64) bool { return false })
		case relay.KindRole:
			add(id, "name", o.roles[n].Name, seen)
			add(id, "description", o.roles[n].Description, seen)
			add(id, "policyNote", o.roles[n].PolicyNote, seen)
		case relay.KindRoleGrant:
			add(id, "reason", o.grants[n].Reason, seen)
		case relay.KindContact:
			unmasked := func(user int64) bool {
				return o.sees(user, id) && o.holds(user, authz.CustomerDataView, o.atContact(n))
			}
			add(id, "name", o.contacts[n].Name, seen)
			for field, address := range map[string]*string{"phone": o.contacts[n].Phone, "email": o.contacts[n].Email} {
				if address != nil {
					add(id, field, *address, unmasked)
				}
			}
		case relay.KindContactAssignment:
			add(id, "explanation", o.assignments[n].Explanation, seen)
		case relay.KindConversation:
			add(id, "subject", o.conversations[n].Subject, seen)
			add(id, "closeNote", o.conversations[n].CloseNote, seen)
		case relay.KindNote:
			add(id, "text", o.notes[n].Text, seen)
		case relay.KindTag:
			add(id, "name", o.tags[n].Name, seen)
		case relay.KindHistoryEntry:
			add(id, "explanation", o.entries[n].Explanation, seen)
			add(id, "reason", o.entries[n].Reason, seen)
		case relay.KindMessage:
			add(id, "text", o.messages[n].Text, seen)
		case relay.KindAuditEvent:
			e := o.events[n]
			target := relay.NewID(relay.Kind(e.TargetKind[0]), e.TargetID)
			detailed := func(user int64) bool {
				return o.sees(user, id) && (o.seesKind(user, target.Kind()) || o.has(target) && o.sees(user, target))
			}
			add(id, "requestId", e.RequestID, seen)
			add(id, "reason", e.Reason, detailed)
			for field, side := range map[string]json.RawMessage{"before": e.Before, "after": e.After} {
				var values map[string]any
				_ = json.Unmarshal(side, &values) // empty or an object
				for name, value := range values {
					if words, ok := value.(string); ok && strings.Contains(words, " of ") {
						add(id, field+"."+name, words, detailed)
					}
				}
			}
		}
	}
	return all
}

func (o *oracle) has(id relay.ID) bool { return slices.Contains(o.ids(), id) }

// reachable says whether the thing may turn up in answers to the user: what they see, and the roles of the grants that
// they see, which say what those give.
func (o *oracle) reachable(user int64, id relay.ID) bool {
	if o.sees(user, id) {
		return true
	}
	for grant, g := range o.grants {
		if id.As(relay.KindRole) == g.RoleID && o.sees(user, relay.NewID(relay.KindRoleGrant, grant)) {
			return true
		}
	}
	return false
}

// crawl follows every field of the schema as one user.
type crawl struct {
	*world
	schema  *ast.Schema
	user    int64
	visited map[string]bool     // fields that had a value for somebody
	ids     map[relay.ID]string // what turned up, and where first
	said    strings.Builder     // every text
}

// selection asks for every field of a type: of the things it leads to for all fields of theirs while there are levels,
// then for their ids.
func (c *crawl) selection(def *ast.Definition, levels int) string {
	return c.selectionAs(def, levels, "")
}

// selectionAs puts a suffix on the names of the fields, because those of one name and several types cannot stand side by
// side.
func (c *crawl) selectionAs(def *ast.Definition, levels int, suffix string) string {
	var b strings.Builder
	b.WriteString("{ __typename")
	if def.Kind == ast.Interface {
		b.WriteString(" id")
		if levels > 0 {
			for _, possible := range c.schema.PossibleTypes[def.Name] {
				fmt.Fprintf(&b, " ... on %s %s", possible.Name, c.selectionAs(possible, levels, "__"+possible.Name))
			}
		}
		return b.String() + " }"
	}
	for _, field := range def.Fields {
		if strings.HasPrefix(field.Name, "__") {
			continue
		}
		b.WriteString(" ")
		if suffix != "" {
			b.WriteString(field.Name + suffix + ": ")
		}
		b.WriteString(field.Name + c.arguments(field))
		if below := c.schema.Types[field.Type.Name()]; below.IsCompositeType() {
			b.WriteString(" " + c.below(below, levels))
		}
	}
	return b.String() + " }"
}

func (c *crawl) below(def *ast.Definition, levels int) string {
	switch isNode := def.Name == "Node" || slices.Contains(def.Interfaces, "Node"); {
	case isNode && levels == 0:
		return "{ __typename id }"
	case isNode:
		return c.selection(def, levels-1)
	}
	return c.selection(def, levels)
}

// arguments fills in what a field of an object takes: whole lists, and whatever is required.
func (c *crawl) arguments(field *ast.FieldDefinition) string {
	var args []string
	for _, arg := range field.Arguments {
		switch {
		case arg.Name == "first":
			args = append(args, "first: 200")
		case arg.Type.NonNull && arg.DefaultValue == nil:
			args = append(args, arg.Name+": "+c.literal(c.schema, arg.Name, arg.Type, nil, ""))
		}
	}
	if len(args) == 0 {
		return ""
	}
	return "(" + strings.Join(args, ", ") + ")"
}

// previewsOf moves, grants and changes everything of the account, each to a few of what there is.
func previewsOf(name string, all []relay.ID) (calls []string) {
	of := func(kind relay.Kind) (ids []relay.ID) {
		for _, id := range all {
			if id.Kind() == kind {
				ids = append(ids, id)
			}
		}
		return ids
	}
	pairs := func(first, second string, from, to []relay.ID) {
		for i, id := range from {
			calls = append(calls, fmt.Sprintf(`%s(input: {%s: "%s", %s: "%s"})`, name, first, id, second, to[(i+1)%len(to)]))
		}
	}
	groups, users, roles := of(relay.KindGroup), of(relay.KindUser), of(relay.KindRole)
	switch name {
	case "previewMoveGroup":
		pairs("groupId", "parentId", groups, groups)
		pairs("groupId", "parentId", groups, groups[:1])
	case "previewDeactivateUser":
		for i, id := range users {
			calls = append(calls, fmt.Sprintf(`%s(input: {userId: "%s"})`, name, id),
				fmt.Sprintf(`%s(input: {userId: "%s", handover: TO_AGENT, handoverAgentId: "%s"})`, name, id, users[(i+1)%len(users)]))
		}
	case "previewMoveUser":
		pairs("userId", "homeGroupId", users, groups)
	case "previewGrant":
		pairs("userId", "roleId", users, roles)
	default:
		for _, id := range roles {
			calls = append(calls, fmt.Sprintf(`%s(input: {roleId: "%s", name: "x"})`, name, id))
		}
	}
	return calls
}

// calls are all ways in which the crawl asks a root field: with every thing of the right kind for its first id, and
// every value of an enum that has few.
func (c *crawl) calls(field *ast.FieldDefinition, all []relay.ID) []string {
	if field.Name == "explainAccess" {
		return everyoneSomewhere(all)
	}
	if strings.HasPrefix(field.Name, "preview") {
		return previewsOf(field.Name, all)
	}
	for _, arg := range field.Arguments {
		if !arg.Type.NonNull || arg.DefaultValue != nil {
			continue
		}
		var values []string
		def := c.schema.Types[arg.Type.Name()]
		switch {
		case field.Name == "nodes":
			for chunk := range slices.Chunk(all, 100) {
				var list []string
				for _, id := range chunk {
					list = append(list, `"`+id.String()+`"`)
				}
				values = append(values, "["+strings.Join(list, " ")+"]")
			}
		case arg.Type.Name() == "ID":
			kinds := kindOf(idArgument{field: field, path: []string{arg.Name}})
			for _, id := range all {
				if slices.Contains(kinds, id.Kind()) {
					values = append(values, `"`+id.String()+`"`)
				}
			}
		case field.Name == "conversationByNumber":
			for n := range c.numbers {
				values = append(values, fmt.Sprint(n+1))
			}
		case def.Kind == ast.Enum && len(def.EnumValues) < 8:
			for _, v := range def.EnumValues {
				values = append(values, v.Name)
			}
		default:
			continue
		}
		var calls []string
		for _, v := range values {
			calls = append(calls, field.Name+c.argumentsWith(field, arg.Name, v))
		}
		return calls
	}
	return []string{field.Name + c.arguments(field)}
}

// everyoneSomewhere asks of each user why they may or may not do something at some group, so that each group has its turn.
func everyoneSomewhere(all []relay.ID) []string {
	of := func(kind relay.Kind) []relay.ID {
		return slices.DeleteFunc(slices.Clone(all), func(id relay.ID) bool { return id.Kind() != kind })
	}
	groups := of(relay.KindGroup)
	var calls []string
	for i, u := range of(relay.KindUser) {
		calls = append(calls, fmt.Sprintf(`explainAccess(permission: CONTACTS_VIEW, userId: "%s", targetId: "%s")`, u, groups[i%len(groups)]))
	}
	return calls
}

func (c *crawl) argumentsWith(field *ast.FieldDefinition, name, value string) string {
	others := *field
	others.Arguments = slices.DeleteFunc(slices.Clone(field.Arguments), func(a *ast.ArgumentDefinition) bool { return a.Name == name })
	rest := strings.Trim(c.arguments(&others), "()")
	return "(" + strings.Join(slices.DeleteFunc([]string{name + ": " + value, rest}, func(s string) bool { return s == "" }), ", ") + ")"
}

// ask runs a document and takes in all of the answer.
func (c *crawl) ask(ctx context.Context, document string) string {
	c.t.Helper()
	answer := c.run(ctx, document, nil)
	var response struct {
		Data   map[string]any
		Errors []struct{ Extensions struct{ Code string } }
	}
	if err := json.Unmarshal([]byte(answer), &response); err != nil {
		c.t.Fatalf("%v: %s", err, answer)
	}
	for _, e := range response.Errors {
		if e.Extensions.Code == "INTERNAL_SERVER_ERROR" || strings.HasPrefix(e.Extensions.Code, "GRAPHQL") || strings.HasPrefix(e.Extensions.Code, "QUERY_") {
			c.t.Fatalf("%.300s\nhears %.500s\n%s", document, answer, c.log)
		}
	}
	root := c.schema.Query
	if strings.HasPrefix(document, "mutation") {
		root = c.schema.Mutation
	}
	c.take(response.Data, root, root.Name)
	c.said.WriteString(answer)
	return answer
}

// take collects ids and visited fields of an object of the answer.
func (c *crawl) take(object map[string]any, def *ast.Definition, path string) {
	if name, ok := object["__typename"].(string); ok {
		def = c.schema.Types[name]
	}
	for name, value := range object {
		name, _, _ = strings.Cut(name, "__")
		field := def.Fields.ForName(name)
		if field == nil || value == nil {
			continue
		}
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		for _, item := range list {
			if item == nil {
				continue
			}
			c.visited[def.Name+"."+name] = true
			at := path + "." + name
			switch v := item.(type) {
			case map[string]any:
				c.take(v, c.schema.Types[field.Type.Name()], at)
			case string:
				c.takeIDs(field.Type.Name() == "ID", def.Name == "AuditChange", v, at)
			}
		}
	}
}

// takeIDs collects what a text names: an id, or the ids in the JSON of a recorded change.
func (c *crawl) takeIDs(isID, isJSON bool, text, at string) {
	var value any
	if isID {
		value = text
	} else if isJSON {
		_ = json.Unmarshal([]byte(text), &value) // the name of the field is no JSON, and names nothing
	}
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	for _, item := range list {
		words, _ := item.(string)
		if id := relay.ParseID(words); id.As(id.Kind()) != 0 && c.ids[id] == "" {
			c.ids[id] = at
		}
	}
}

// judge compares what turned up with what the oracle lets the user have: all of it, and nothing else.
func (c *crawl) judge(o *oracle, who string) {
	c.t.Helper()
	for _, id := range o.ids() {
		where, found := c.ids[id]
		if may := o.reachable(c.user, id); found && !may {
			c.t.Errorf("%s reaches %c %d by %s", who, id.Kind(), id.As(id.Kind()), where)
		} else if !found && may {
			c.t.Errorf("%s does not reach %c %d", who, id.Kind(), id.As(id.Kind()))
		}
	}
	said := c.said.String()
	for where, text := range o.texts() {
		if heard, may := strings.Contains(said, quoted(text.words)), text.may(c.user); heard && !may {
			i := strings.Index(said, quoted(text.words))
			c.t.Errorf("%s hears %q of %s: …%s…", who, text.words, where, said[max(0, i-200):min(len(said), i+100)])
		} else if !heard && may {
			c.t.Errorf("%s does not hear %q of %s", who, text.words, where)
		}
	}
}

// quoted is a text as JSON has it within quotes.
func quoted(words string) string {
	raw, _ := json.Marshal(words)
	return strings.Trim(string(raw), `"`)
}

// TestCrawl follows every field of every type from every root field and from every thing there is, hidden ones too, as
// every kind of user. What turns up must be what the oracle says, texts and addresses included.
func TestCrawl(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := maze(t, db, served, unlimited)
		o, schema, visited := w.oracle(), generated.NewExecutableSchema(generated.Config{}).Schema(), map[string]bool{}
		all := o.ids()
		for _, who := range crawlers {
			c := &crawl{world: w, schema: schema, user: w.ids[who], visited: visited, ids: map[relay.ID]string{}}
			ctx := w.as(who)
			for _, field := range schema.Query.Fields {
				if strings.HasPrefix(field.Name, "__") {
					continue
				}
				levels := 2
				switch {
				case field.Name == "node":
					levels = 0 // nodes goes deeper
				case strings.HasPrefix(field.Name, "preview"), field.Name == "explainAccess":
					levels = 1 // asked of everything, and full of things that other fields lead deeper into
				}
				selection := c.below(schema.Types[field.Type.Name()], levels)
				for _, call := range c.calls(field, all) {
					c.ask(ctx, "{ "+call+" "+selection+" }")
				}
			}
			c.judge(o, who)
		}
		everyFieldWasHeard(t, schema, schema.Query, visited)
	})
}

// unheard are the fields that have a value in no world of these tests, and why.
var unheard = map[string]string{
	"CreateGroupPayload.request": "groups are created at once there; a request is crawled among the queries",
	"MissedGrant.wall":           "nobody there supervises from above a private branch; TestExplainAccess has somebody who does",
	"MoveGroupPayload.move":      "no branch there has so many contacts; a move is crawled among the queries",
}

// everyFieldWasHeard fails for a field that can be reached from the root and had no value for anybody.
func everyFieldWasHeard(t *testing.T, schema *ast.Schema, root *ast.Definition, visited map[string]bool) {
	t.Helper()
	seen := map[string]bool{}
	var follow func(def *ast.Definition)
	follow = func(def *ast.Definition) {
		if seen[def.Name] || !def.IsCompositeType() {
			return
		}
		seen[def.Name] = true
		for _, possible := range schema.PossibleTypes[def.Name] {
			follow(possible)
		}
		for _, field := range def.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			name := def.Name + "." + field.Name
			if def.Kind == ast.Object && !visited[name] && unheard[name] == "" {
				t.Errorf("%s: nobody hears it. Give the world something that has it, so that the crawl sees who does.", name)
			}
			// What leads from a payload to things is followed by the crawl of the queries.
			if below := schema.Types[field.Type.Name()]; root == schema.Query || !slices.Contains(below.Interfaces, "Node") {
				follow(below)
			}
		}
	}
	follow(root)
}

// payloads are calls that bring to light what those of the table of access do not.
var payloads = []access{
	{"logIn", `input: {account: "acacia", email: "tom@example.com", password: "correct horse battery", session: COOKIE}`, ``, nil},
	{"deleteGroup", `input: {groupId: "G desk", successorId: "G annex"}`, `GROUPS_DELETE at G desk, GROUPS_DELETE at G annex`, nil},
	{"importRecords", `input: {kind: USERS, format: CSV, data: "email,name,home,grants\nnew@example.com,New,branch,\nother@example.com,Other,branch,OWNER\n"}`, ``, nil},
	{"importRecords", `input: {kind: CONTACTS, format: CSV, data: "name,channel,address,group\nNew,whatsapp,+5511987654321,branch\n"}`, ``, nil},
	{"assignContact", `input: {contactId: "C Carol", groupId: "G annex"}`, `CONVERSATIONS_ASSIGN at C Carol`, nil},
	{"transferContact", `input: {contactId: "C Carol", groupId: "G root"}`, `CONVERSATIONS_TRANSFER at C Carol`, nil},
	{"assignContacts", `input: {contactIds: ["C Carol"], agentId: "P AGENT who serves"}`, `CONVERSATIONS_ASSIGN at C Carol`, nil},
	{"transferContacts", `input: {contactIds: ["C Carol", "C Zoe"], groupId: "G root"}`, `CONVERSATIONS_TRANSFER at C Carol, CONVERSATIONS_TRANSFER at C Zoe`, nil},
	{"closeConversations", `input: {conversationIds: ["V Zoe conversation"]}`, `CONVERSATIONS_CLOSE at V Zoe conversation`, nil},
}

// TestCrawlOfPayloads makes every change as everybody who may, and follows every field of what it answers: as the world
// is then, nothing may turn up that its viewer does not see.
func TestCrawlOfPayloads(t *testing.T) {
	var w *world
	fresh := testdb.Copies(t, func(db *store.DB) {
		w = stage(t, db)
		w.mark("users", "accounts")
	})
	before, schema, visited := w.over(t, fresh(t)).oracle(), generated.NewExecutableSchema(generated.Config{}).Schema(), map[string]bool{}
	for i, row := range slices.Concat(table, payloads) {
		field := schema.Mutation.Fields.ForName(row.field)
		if field == nil {
			continue
		}
		t.Run(fmt.Sprint(i, " ", row.field), func(t *testing.T) {
			for _, viewer := range viewersOfTable() {
				if w.expected(before, schema, row, viewer) != "OK" {
					continue
				}
				world := w.over(t, fresh(t), served, unlimited)
				c := &crawl{world: world, schema: schema, user: w.ids[viewer], visited: visited, ids: map[relay.ID]string{}}
				document := world.call(schema, row, c.selection(schema.Types[field.Type.Name()], 2))
				c.ask(world.with(c.user), document)
				for id, where := range c.ids {
					if strings.Contains(where, ".items.") && strings.HasSuffix(where, "Id") && slices.Contains(w.things(row.args), id) {
						delete(c.ids, id) // the viewer named it, and each is answered by its name
					}
				}
				o := world.oracle()
				if o.users[c.user] != nil {
					c.none(o, viewer)
				}
				for _, e := range o.events {
					namesOnlyWhereItSays(t, e, before, o)
				}
			}
		})
	}
	everyFieldWasHeard(t, schema, schema.Mutation, visited)
}

// namesOnlyWhereItSays wants ids of things in those fields of a recorded change only that are known for them, and from
// which they are taken out for who does not see the things.
func namesOnlyWhereItSays(t *testing.T, e *ent.AuditEvent, worlds ...*oracle) {
	t.Helper()
	for _, side := range []json.RawMessage{e.Before, e.After} {
		var fields map[string]any
		_ = json.Unmarshal(side, &fields) // empty or an object
		for field, value := range fields {
			list, isList := value.([]any)
			if !isList {
				list = []any{value}
			}
			for _, item := range list {
				words, _ := item.(string)
				isThing := slices.ContainsFunc(worlds, func(o *oracle) bool { return o.has(relay.ParseID(words)) })
				if isThing && !slices.Contains(graph.Naming(), field) {
					t.Errorf("%s records an id in %q: add the field to `naming` in audit.go, so that it is hidden with what it names", e.Action, field)
				}
			}
		}
	}
}

// none fails for everything that turned up and that the user does not see.
func (c *crawl) none(o *oracle, who string) {
	c.t.Helper()
	all := o.ids()
	for id, where := range c.ids {
		if slices.Contains(all, id) && !o.reachable(c.user, id) {
			c.t.Errorf("%s reaches %c %d by %s", who, id.Kind(), id.As(id.Kind()), where)
		}
	}
	said := c.said.String()
	for where, text := range o.texts() {
		if marked := strings.HasSuffix(text.words, "!") || strings.HasPrefix(where, "C "); marked && strings.Contains(said, quoted(text.words)) && !text.may(c.user) {
			c.t.Errorf("%s hears %q of %s: %s", who, text.words, where, said)
		}
	}
}

// TestSearchFindsWhatIsShown looks for every group, user and contact by its name, and by addresses, as everybody: it is
// found by what its searcher is shown of it, and by nothing else.
func TestSearchFindsWhatIsShown(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := maze(t, db)
		o := w.oracle()
		for _, who := range crawlers {
			user, ctx := w.ids[who], w.as(who)
			finds := func(id relay.ID, list, words string, want bool) {
				t.Helper()
				answer := w.run(ctx, fmt.Sprintf(`{ %s(first: 200, search: %q) { nodes { id } } }`, list, words), nil)
				if found := strings.Contains(answer, `"`+id.String()+`"`); found != want {
					t.Errorf("%s looks for %q in %s and finds it: %t", who, words, list, found)
				}
			}
			for id, g := range o.groups {
				finds(relay.NewID(relay.KindGroup, id), "groups", g.NameKey, o.sees(user, relay.NewID(relay.KindGroup, id)))
			}
			for id, u := range o.users {
				node := relay.NewID(relay.KindUser, id)
				shown := o.sees(user, node) && o.somewhere(user, authz.UsersView)
				finds(node, "users", u.NameKey, shown)
				finds(node, "users", u.EmailKey, shown)
			}
			for id, contact := range o.contacts {
				node := relay.NewID(relay.KindContact, id)
				unmasked := o.sees(user, node) && o.holds(user, authz.CustomerDataView, o.atContact(id))
				finds(node, "contacts", contact.NameKey, o.sees(user, node))
				finds(node, "contacts", *contact.Phone, unmasked)
				finds(node, "contacts", *contact.Email, unmasked)
			}
		}
	})
}
