package graph_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/rolegrant"
	"canopy/graph"
	"canopy/internal/mask"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"
)

// everything are queries that together ask for every field of every type.
var everything = []string{
	`{ viewer { user { id name email status availability accessPausedAt createdAt homeGroup { name } grants { id } roles { name } agent { name } }
		account { id name slug createdAt rootGroup { name } } permissions modules agent { id } sessions { id kind createdAt expiresAt current }
		grants { id role { name } user { name } group { name } followsHomeGroup validFrom validUntil inForce grantedBy { name } reason revokedAt } } }`,
	`{ viewer { account { plan groupCreation customRolesEnabled reasonRequired primaryOwner { name } } } }`,
	`{ groups(first: 200) { totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { id } }
		nodes { id name depth visibility createdAt parent { name } ancestors { name parent { name } } childCount descendantCount viewerPermissions } } }`,
	`{ groups { nodes { children(first: 1) { totalCount pageInfo { hasNextPage endCursor } nodes { name children { nodes { name } } } }
		descendants(first: 2) { totalCount nodes { name } } all: descendants(maxDepth: 1) { nodes { name } } } } }`,
	`{ groups { nodes { name users(first: 1) { totalCount pageInfo { hasNextPage } nodes { name email roles { name } grants { id } } } } } }`,
	`{ groups { nodes { name agents { totalCount nodes { id name availability accessPaused load capacity workingHours { timeZone shifts { day start end } } homeGroup { name } } } } } }`,
	`{ groups { nodes { name totals { users contacts open waiting closed } } } }`,
	`{ groups { nodes { name settings { sharedInbox { value own setBy { name } } assignmentMode { value own setBy { name } } capacity { value own setBy { name } }
		radarWindow { value setBy { name } } escalateAfter { value } reassignAfter { value } closeAfter { value own setBy { name } } } } } }`,
	`{ groupMoves { totalCount nodes { id group { name } progress startedAt finishedAt } } }`,
	`{ groupRequests { totalCount nodes { id name parent { name } requestedBy { name } reason status decisionNote group { name } createdAt decidedAt } } }`,
	`{ users { totalCount nodes { name homeGroup { name users { totalCount } } agent { load } roles { name } } } }`,
	`{ agents { totalCount nodes { name load capacity homeGroup { name agents { nodes { name } } } } } }`,
	`{ roles { id key name description policyNote builtIn pairs { permission scope } mayGive { name } } }`,
	`{ roleGrants { totalCount nodes { id user { name } role { name mayGive { name } } group { name } grantedBy { name } } } }`,
	`{ contacts { totalCount nodes { id name phone email masked group { name } arrivalGroup { name } agent { name load } conversation { number agent { name } }
		offer { expiresAt agent { name } } escalatedTo { name } waitingSince lastActivityAt viewerPermissions createdAt } } }`,
	`{ contacts { nodes { name conversations(first: 1) { totalCount nodes { number subject open openedAt closedAt contact { name } agent { name }
		messages { totalCount nodes { direction author { name } text sentAt conversation { number } } } } } } } }`,
	`{ contacts { nodes { name assignments { totalCount nodes { id contact { name } agent { name } assignedBy { name } method explanation startedAt endedAt } } } } }`,
	`{ contacts { nodes { name conversation { unread unreadCount } conversations { nodes { unread unreadCount } } } } }`,
	`{ inboxCounts { you { count more } unread { count more } queue { count more } teammates { count more } closed { count more } } }`,
	fmt.Sprintf(`mutation { assignContacts(input: {contactIds: ["%s"], agentId: "%s"}) { done refused items { contactId contact { name } assignment { id } refusal { code } } } }`,
		relay.NewID(relay.KindContact, 1<<40), relay.NewID(relay.KindUser, 2)),
	fmt.Sprintf(`mutation { closeConversations(input: {conversationIds: ["%s"]}) { done refused items { conversationId conversation { number } refusal { code } } } }`,
		relay.NewID(relay.KindConversation, 1<<40)),
	`{ contacts { nodes { assignments { nodes { origin { kind at sentence explanation reason doneBy { name } fromAgent { name } fromGroup { name } toAgent { name }
		toGroup { name } method considered { agent { name } outcome words } } } }
		history(first: 2) { totalCount nodes { kind sentence } } conversations(first: 2) { nodes { history { totalCount nodes { kind toAgent { name cover { until to { name } } } } } } } } } }`,
	`{ you: inbox(box: YOU) { totalCount nodes { name } } queue: inbox(box: QUEUE) { totalCount nodes { name } }
		teammates: inbox(box: TEAMMATES) { totalCount nodes { name agent { name } } } closed: inbox(box: CLOSED) { totalCount nodes { name } } }`,
	`{ tags { id name colour } conversationByNumber(number: 1) { id closeReason closeNote priority snoozedUntil tags { name } } }`,
	`{ contacts { nodes { name conversation { priority tags { id name } notes { totalCount nodes { id author { name } text writtenAt conversation { number } } } } } } }`,
	`{ auditEvents { totalCount nodes { id at user { name } action targetId target { id ... on Group { name } ... on Contact { name agent { name } } } changes { field before after } reason requestId } } }`,
	`mutation { importRecords(input: {kind: GROUPS, format: JSON_LINES, dryRun: true, data: "{\"path\":[\"new\"]}\n{\"path\":[\"sales\"]}\n{}"})
		{ created existed refused rows { line status id setupToken refusal { field code reason permission where remedy message } } } }`,
	`{ refused: explainAccess(permission: USERS_DELETE) { ...why } given: explainAccess(permission: SETTINGS_VIEW) { ...why } }
		fragment why on AccessExplanation { allowed sentence state given { grant { id } way scope } missed { grant { id group { name } } obstacle wall { name } }
		remedies { role { name } group { name } followsHomeGroup givers { name homeGroup { name } } giverRoles { name mayGive { name } } } }`,
	`{ grantExpiries { totalCount nodes { id validUntil user { name } role { name } group { name } } } }`,
	`{ roleTemplates { key name description policyNote pairs { permission scope } mayGiveKeys } }`,
	`{ whoCan(permission: GROUPS_VIEW) { totalCount pageInfo { hasNextPage endCursor } edges { cursor node { user { name } } }
		nodes { user { name roles { name } } paths { way scope grant { id role { name } group { name } grantedBy { name } } } } } }`,
	`{ rootGroup { name effectiveUsers(first: 3) { totalCount pageInfo { hasNextPage } edges { cursor node { user { name } } } nodes { user { name homeGroup { name } } permissions waitingPermissions } } } }`,
	`{ viewer { user { name effectivePermissions { permission paths { way scope grant { role { name } } } } } } }`,
	`{ users { nodes { name effectivePermissions { permission paths { way grant { id } } } } } }`,
	fmt.Sprintf(`{ previewMoveGroup(input: {groupId: "%s", parentId: "%s"}) { token usersGaining usersLosing
		summary { permission direction holders groups users contacts conversations }
		changes(first: 3) { totalCount pageInfo { hasNextPage endCursor } edges { cursor }
			nodes { user { name } permission direction account assigned groups highestGroups { name } users contacts conversations } } } }`,
		relay.NewID(relay.KindGroup, 2), relay.NewID(relay.KindGroup, 4)),
	fmt.Sprintf(`{ previewMoveUser(input: {userId: "%s", homeGroupId: "%s"}) { changes { nodes { user { name homeGroup { name } } } } } }`,
		relay.NewID(relay.KindUser, 2), relay.NewID(relay.KindGroup, 2)),
	fmt.Sprintf(`{ previewRoleChange(input: {roleId: "%s", name: "x"}) { token } previewGrant(input: {userId: "%s", roleId: "%s"}) { changes { nodes { highestGroups { name users { totalCount } } } } } }`,
		relay.NewID(relay.KindRole, 7), relay.NewID(relay.KindUser, 2), relay.NewID(relay.KindRole, 3)),
	fmt.Sprintf(`{ previewDeactivateUser(input: {userId: "%s"}) { token handedOver more contacts { waits contact { name agent { name } } agent { name } group { name } } } }`,
		relay.NewID(relay.KindUser, 5)),
	fmt.Sprintf(`{ agentPanel(groupId: "%s", below: true) { group { name } queue { waiting oldestSince } heldByLeavers agents(first: 2) { totalCount pageInfo { hasNextPage }
		edges { cursor node { state } } nodes { agent { name homeGroup { name } } state pausedSince load capacity { value own setBy { name } } lastActivityAt } } } }`,
		relay.NewID(relay.KindGroup, 2)),
	fmt.Sprintf(`{ groupReport(groupId: "%s", from: "2027-02-27T00:00:00Z", to: "2027-03-03T00:00:00Z", timeZone: "America/Sao_Paulo") {
		group { name } buckets { from to numbers { ...n } } total { ...n } own { ...n } groups { group { name parent { name } } numbers { ...n } } otherGroups { open }
		agents { agent { name load } numbers { ...n } } otherAgents { open } } }
		fragment n on ReportNumbers { arrivals taken passedOn closed open waiting firstResponse { count average median p90 } resolution { count average median p90 } }`,
		relay.NewID(relay.KindGroup, 2)),
	`{ permissionChart { modules { module permissions { permission description holders { roleKey roleName scope } } } } }`,
}

var personas = []string{"olga", "adam", "sue", "ana", "vera"}

// TestEveryFieldIsAskedSomewhere keeps the list above complete.
func TestEveryFieldIsAskedSomewhere(t *testing.T) {
	all := strings.Join(slices.Concat(everything, slices.Collect(maps.Values(heardOf))), " ")
	for _, field := range graph.ObjectFields() {
		_, name, _ := strings.Cut(field, ".")
		if !strings.Contains(all, name) && name != "clientMutationId" {
			t.Errorf("%s is not asked for", field)
		}
	}
}

// TestLookAheadChangesNoAnswer compares the answers of the look-ahead to those of one statement per object.
func TestLookAheadChangesNoAnswer(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		var cfg graph.Config
		w := company(t, db, served, func(c *graph.Config) { cfg = *c })
		w.eventful()
		blind, err := graph.NewWithoutLookAhead(cfg)
		if err != nil {
			t.Fatal(err)
		}
		seeing := w.exec
		for _, query := range everything {
			for _, name := range personas {
				w.exec = seeing
				ahead := w.run(w.as(name), query, nil)
				w.exec = blind
				if single := w.run(w.as(name), query, nil); ahead != single {
					t.Errorf("%s asks %s\nlooking ahead: %s\none by one:    %s", name, query, ahead, single)
				}
				if strings.Contains(ahead, "INTERNAL") || strings.Contains(ahead, "GRAPHQL_") {
					t.Errorf("%s asks %s\nand hears %s\n%s", name, query, ahead, w.log)
				}
			}
		}
	})
}

// eventful adds what the company lacks.
func (w *world) eventful() {
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.RoleGrant.Update().Where(rolegrant.IDIn(w.ids["vera AGENT"], w.ids["vic AGENT"], w.ids["dora AGENT"])).SetValidUntil(now.Add(24 * time.Hour)).Exec(ctx)
	})
	w.session("ana")
	w.session("olga")
	w.groupMove("north")
	w.groupMove("sales")
	w.groupMove("root")
	w.request("sales", "sue")
	w.request("vault", "vera")
	w.record("about a group", relay.KindGroup, w.ids["vault"], map[string]any{"name": "safe"}, map[string]any{"name": "vault", "depth": 1})
	w.record("about a contact", relay.KindContact, w.ids["Kim"], nil, map[string]any{"phone": "+55 •••• 5678"})
	w.record("about a message", relay.KindMessage, w.ids["Kim message"], nil, map[string]any{"text": "Hello"})
	w.record("about nothing", relay.KindGroup, 1<<40, map[string]any{"name": "gone"}, nil)
	w.role("Reader", authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeGroup})
	w.grant("ana", "Reader", "vault")
	w.grant("vera", authz.RoleDashboardAdministrator, "vault")
}

// TestPersonasSeeWhatIsTheirs asks what differs from one kind of viewer to the next.
func TestPersonasSeeWhatIsTheirs(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		const names = `{ contacts { totalCount nodes { name masked phone email agent { name } group { name } } } }`
		kim := func(masked string) string {
			phone, email := "+5511912345678", "kim@customers.example"
			if masked == "true" {
				phone, email = "+55 •••• 5678", mask.Email(email)
			}
			return fmt.Sprintf(`"name":"Kim","masked":%s,"phone":"%s","email":"%s"`, masked, phone, email)
		}
		for name, want := range map[string]struct{ has, hasNot string }{
			"olga": {kim("false") + `,"agent":{"name":"ana"},"group":{"name":"north"}`, "masked\":true"},
			"adam": {`"totalCount":0`, "Kim"},
			"sue":  {kim("false"), "Nil"},
			"ana":  {kim("false"), "Max"},
			"vera": {`"name":"Nil"`, "Kim"},
		} {
			if got := w.ask(name, names); !strings.Contains(got, want.has) || strings.Contains(got, want.hasNot) {
				t.Errorf("%s: %s", name, got)
			}
		}
		lee := `{"contacts":{"totalCount":2,"nodes":[{"name":"Lee","masked":true,"phone":"+55 •••• 5678","email":"` + mask.Email("lee@customers.example") + `","agent":null,"group":{"name":"north"}},` +
			`{` + kim("false") + `,"agent":{"name":"ana"},"group":{"name":"north"}}]}}`
		same(t, w.ask("ana", names), lee)
	})
}

func TestMaskedForWhoSeesTheContactOnly(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.role("Lister", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
	w.user("lisa", "sales", "Lister")
	same(t, w.ask("lisa", `{ contact(id: "%s") { name phone email masked agent { name } conversation { number } conversations { totalCount } assignments { totalCount } viewerPermissions } }`, w.id(relay.KindContact, "Kim")),
		`{"contact":{"name":"Kim","phone":"+55 •••• 5678","email":"`+mask.Email("kim@customers.example")+`","masked":true,"agent":{"name":"ana"},"conversation":null,"conversations":{"totalCount":0},"assignments":{"totalCount":0},"viewerPermissions":["CONTACTS_VIEW"]}}`)
}

func TestCountersAreUsedWhereTheyTellNothingHidden(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		const query = `{ groups { nodes { name childCount descendantCount totals { users contacts open waiting closed } } } }`
		same(t, w.ask("olga", query), `{"groups":{"nodes":[`+
			`{"name":"root","childCount":3,"descendantCount":6,"totals":{"users":9,"contacts":4,"open":4,"waiting":1,"closed":0}},`+
			`{"name":"sales","childCount":2,"descendantCount":2,"totals":{"users":4,"contacts":3,"open":3,"waiting":1,"closed":0}},`+
			`{"name":"north","childCount":0,"descendantCount":0,"totals":{"users":2,"contacts":2,"open":2,"waiting":1,"closed":0}},`+
			`{"name":"south","childCount":0,"descendantCount":0,"totals":{"users":1,"contacts":1,"open":1,"waiting":0,"closed":0}},`+
			`{"name":"support","childCount":0,"descendantCount":0,"totals":{"users":1,"contacts":0,"open":0,"waiting":0,"closed":0}},`+
			`{"name":"vault","childCount":1,"descendantCount":1,"totals":{"users":2,"contacts":1,"open":1,"waiting":0,"closed":0}},`+
			`{"name":"cellar","childCount":0,"descendantCount":0,"totals":{"users":1,"contacts":0,"open":0,"waiting":0,"closed":0}}]}}`)
		// A supervisor of the root sees all but the vault, and a wall below the root keeps the counters from being used.
		w.user("rita", "root", authz.RoleDashboardAdministrator)
		same(t, w.ask("rita", `{ rootGroup { childCount descendantCount children { totalCount } descendants { totalCount } totals { users contacts open waiting closed } } }`),
			`{"rootGroup":{"childCount":2,"descendantCount":4,"children":{"totalCount":2},"descendants":{"totalCount":4},"totals":{"users":8,"contacts":3,"open":3,"waiting":1,"closed":0}}}`)
		// Somebody with one group inside, beside: what they reach is what is counted.
		w.grant("rita", authz.RoleDashboardAdministrator, "cellar")
		same(t, w.ask("rita", `{ rootGroup { childCount descendantCount descendants { nodes { name } } totals { users contacts } } }`),
			`{"rootGroup":{"childCount":2,"descendantCount":5,"descendants":{"nodes":[{"name":"sales"},{"name":"north"},{"name":"south"},{"name":"support"},{"name":"cellar"}]},"totals":{"users":9,"contacts":3}}}`)
	})
}

func TestSettingsSayWhoSetThem(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	const query = `{ group(id: "%s") { settings { sharedInbox { value own setBy { name } } assignmentMode { value own setBy { name } } escalateAfter { value own setBy { name } } } } }`
	same(t, w.ask("olga", query, w.id(relay.KindGroup, "support")),
		`{"group":{"settings":{"sharedInbox":{"value":true,"own":true,"setBy":{"name":"support"}},"assignmentMode":{"value":"MANUAL","own":false,"setBy":{"name":"root"}},"escalateAfter":{"value":-1,"own":false,"setBy":null}}}}`)
	// The root decides for sales, and sue does not see the root.
	same(t, w.ask("sue", query, w.id(relay.KindGroup, "sales")),
		`{"group":{"settings":{"sharedInbox":{"value":false,"own":false,"setBy":null},"assignmentMode":{"value":"MANUAL","own":false,"setBy":null},"escalateAfter":{"value":-1,"own":false,"setBy":null}}}}`)
}

func TestAgentCards(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.User.UpdateOneID(w.ids["bruno"]).SetCapacity(3).SetAccessPausedAt(now).Exec(ctx)
	})
	same(t, w.ask("ana", `{ agents { totalCount nodes { name load capacity accessPaused homeGroup { name } } } viewer { agent { name load } } }`),
		`{"agents":{"totalCount":2,"nodes":[{"name":"ana","load":1,"capacity":7,"accessPaused":false,"homeGroup":{"name":"north"}},{"name":"bruno","load":0,"capacity":3,"accessPaused":true,"homeGroup":{"name":"north"}}]},"viewer":{"agent":{"name":"ana","load":1}}}`)
	same(t, w.ask("adam", `{ viewer { agent { name } } agents(under: "%s") { nodes { name } } }`, w.id(relay.KindGroup, "sales")),
		`{"viewer":{"agent":null},"agents":{"nodes":[{"name":"ana"},{"name":"bruno"},{"name":"carla"}]}}`)
}

func TestRolesAndGrantsOfOthersNeedAPermission(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.role("Viewer of users", authz.Pair{Permission: authz.UsersView, Scope: authz.ScopeAccount})
	w.user("una", "root", "Viewer of users")
	const query = `{ user(id: "%s") { name grants { role { name } } roles { name } } }`
	answer := w.run(w.as("una"), fmt.Sprintf(query, w.id(relay.KindUser, "ana")), nil)
	if !strings.HasSuffix(answer, `"data":{"user":{"name":"ana","grants":null,"roles":null}}}`) || strings.Count(answer, `"permission":"ROLES_VIEW"`) != 2 {
		t.Errorf("got %s", answer)
	}
	same(t, w.ask("una", query, w.id(relay.KindUser, "una")), `{"user":{"name":"una","grants":[{"role":{"name":"Viewer of users"}}],"roles":[{"name":"Viewer of users"}]}}`)
	same(t, w.ask("adam", query, w.id(relay.KindUser, "ana")), `{"user":{"name":"ana","grants":[{"role":{"name":"Agent"}}],"roles":[{"name":"Agent"}]}}`)
}

func TestGrantsToComeAreShownAndGiveNothing(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		for role, times := range map[string][2]time.Duration{authz.RoleOwner: {time.Hour, 2 * time.Hour}, authz.RoleDeveloper: {-2 * time.Hour, 0}} {
			err := tx.RoleGrant.Create().SetAccountID(w.account).SetUserID(w.ids["ana"]).SetRoleID(w.ids[role]).SetCreatedAt(now.Add(time.Minute)).
				SetValidFrom(now.Add(times[0])).SetValidUntil(now.Add(times[1])).Exec(ctx)
			if err != nil {
				return err
			}
		}
		return nil
	})
	same(t, w.ask("ana", `{ viewer { user { grants { role { key } inForce validFrom } roles { key } } grants { role { key } } modules } }`),
		`{"viewer":{"user":{"grants":[{"role":{"key":"OWNER"},"inForce":false,"validFrom":"2027-03-01T10:00:00.000000Z"},{"role":{"key":"AGENT"},"inForce":true,"validFrom":"2027-03-01T09:00:00.000000Z"}],"roles":[{"key":"AGENT"}]},"grants":[{"role":{"key":"AGENT"}}],"modules":["SERVICE"]}}`)
}

// TestGrantsAreJudgedByTheClock asks with a viewer who was loaded before what is judged came into force.
func TestGrantsAreJudgedByTheClock(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		// A clock may have a zone, and know of more than microseconds.
		moment := now.Add(time.Hour + time.Microsecond + time.Nanosecond).In(time.FixedZone("", 3600))
		later := func() time.Time { return moment }
		w := company(t, db, func(c *graph.Config) { c.Now, c.Directory.Now, c.Desk.Now = later, later, later })
		same(t, w.ask("olga", `mutation { grantRole(input: {userId: "%s", roleId: "%s"}) { grant { inForce validFrom
			user { roles { key } grants { inForce } agent { name } } } } }`, w.id(relay.KindUser, "sue"), w.id(relay.KindRole, authz.RoleAgent)),
			`{"grantRole":{"grant":{"inForce":true,"validFrom":"2027-03-01T10:00:00.000001Z",`+
				`"user":{"roles":[{"key":"AGENT"},{"key":"DASHBOARD_ADMINISTRATOR"}],"grants":[{"inForce":true},{"inForce":true}],"agent":{"name":"sue"}}}}}`)
		agents := w.id(relay.KindRole, authz.RoleAgent)
		same(t, w.ask("olga", `{ users(roleId: "%s", search: "sue") { nodes { name } } agents(under: "%s") { totalCount } }`, agents, w.id(relay.KindGroup, "sales")),
			`{"users":{"nodes":[{"name":"sue"}]},"agents":{"totalCount":4}}`)
		w.session("sue") // ends with the first hour
		same(t, w.ask("sue", `{ viewer { grants { role { key } } sessions { kind } } }`),
			`{"viewer":{"grants":[{"role":{"key":"AGENT"}},{"role":{"key":"DASHBOARD_ADMINISTRATOR"}}],"sessions":[]}}`)
		moment = moment.Add(time.Hour)
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.RoleGrant.UpdateOneID(w.ids["ana AGENT"]).SetValidUntil(moment.UTC().Truncate(time.Microsecond)).Exec(ctx)
		})
		same(t, w.ask("olga", `{ user(id: "%s") { roles { key } grants { inForce } agent { name } } roleGrants(userId: "%s") { totalCount } node(id: "%s") { ... on RoleGrant { inForce } } }`,
			w.id(relay.KindUser, "ana"), w.id(relay.KindUser, "ana"), w.id(relay.KindRoleGrant, "ana AGENT")),
			`{"user":{"roles":[],"grants":[],"agent":null},"roleGrants":{"totalCount":0},"node":{"inForce":false}}`)
	})
}

func TestRolesComeInOrder(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.role("zebra", authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeSubtree})
		w.role("Ant", authz.Pair{Permission: authz.BillingView, Scope: authz.ScopeAccount})
		same(t, w.ask("olga", `{ roles { name builtIn mayGive { name } } }`), `{"roles":[`+
			`{"name":"User Administrator","builtIn":true,"mayGive":[{"name":"User Administrator"},{"name":"Administrator"},{"name":"Dashboard Administrator"},{"name":"Billing Manager"},{"name":"Agent"},{"name":"Developer"},{"name":"Ant"},{"name":"zebra"}]},`+
			`{"name":"Administrator","builtIn":true,"mayGive":[{"name":"Administrator"},{"name":"Dashboard Administrator"},{"name":"Billing Manager"},{"name":"Agent"},{"name":"Developer"},{"name":"Ant"},{"name":"zebra"}]},`+
			`{"name":"Dashboard Administrator","builtIn":true,"mayGive":[]},{"name":"Billing Manager","builtIn":true,"mayGive":[]},{"name":"Agent","builtIn":true,"mayGive":[]},{"name":"Developer","builtIn":true,"mayGive":[]},`+
			`{"name":"Ant","builtIn":false,"mayGive":[]},{"name":"zebra","builtIn":false,"mayGive":[]}]}`)
		same(t, w.ask("ana", `{ roles { name } }`), `{"roles":[{"name":"User Administrator"},{"name":"Administrator"},{"name":"Dashboard Administrator"},{"name":"Billing Manager"},{"name":"Agent"},{"name":"Developer"}]}`)
	})
}

func TestFilters(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		sales, agent := w.id(relay.KindGroup, "sales"), w.id(relay.KindRole, authz.RoleAgent)
		for query, want := range map[string]string{
			`{ groups(under: "` + sales + `") { totalCount nodes { name } } }`:                                              `{"groups":{"totalCount":3,"nodes":[{"name":"sales"},{"name":"north"},{"name":"south"}]}}`,
			`{ groups(search: " OUT") { nodes { name } } }`:                                                                 `{"groups":{"nodes":[{"name":"south"}]}}`,
			`{ groups(search: "%") { totalCount } }`:                                                                        `{"groups":{"totalCount":0}}`,
			`{ groups(search: "  ") { totalCount } }`:                                                                       `{"groups":{"totalCount":7}}`,
			`{ users(under: "` + sales + `", roleId: "` + agent + `", search: "a@example") { totalCount nodes { name } } }`: `{"users":{"totalCount":2,"nodes":[{"name":"ana"},{"name":"carla"}]}}`,
			`{ users(status: DEACTIVATED) { totalCount } }`:                                                                 `{"users":{"totalCount":0}}`,
			`{ roleGrants(userId: "` + w.id(relay.KindUser, "ana") + `") { nodes { role { key } group { name } } } }`:       `{"roleGrants":{"nodes":[{"role":{"key":"AGENT"},"group":{"name":"north"}}]}}`,
			`{ roleGrants(roleId: "` + agent + `", groupId: "` + w.id(relay.KindGroup, "north") + `") { totalCount } }`:     `{"roleGrants":{"totalCount":2}}`,
			`{ agents(availability: AVAILABLE) { totalCount } }`:                                                            `{"agents":{"totalCount":0}}`,
		} {
			same(t, w.ask("olga", "%s", query), want)
		}
		if got := w.refused(w.as("ana"), `{ users { totalCount } }`, nil); got["permission"] != "USERS_VIEW" {
			t.Errorf("got %v", got)
		}
	})
}

// TestUnderIsBlamedEverywhere wants one answer of all lists to a group that is not there for the viewer.
func TestUnderIsBlamedEverywhere(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	for _, list := range []string{"groups", "users", "agents", "contacts", "inbox"} {
		query := fmt.Sprintf(`query($under: ID!) { %s(under: $under) { totalCount } }`, list)
		if list == "inbox" {
			query = `query($under: ID!) { inbox(box: YOU, under: $under) { totalCount } }`
		}
		for viewer, under := range map[string]string{"olga": relay.NewID(relay.KindGroup, 1<<40).String(), "ana": w.id(relay.KindGroup, "cellar")} {
			got := w.refused(w.as(viewer), query, map[string]any{"under": under})
			if got["code"] != "NOT_FOUND" || got["field"] != "under" {
				t.Errorf("%s, %s: %v", viewer, list, got)
			}
		}
	}
}

// TestSearchIsCheckedEverywhere wants one answer of all searches to what nobody may search for.
func TestSearchIsCheckedEverywhere(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		for _, list := range []string{"groups", "users", "contacts"} {
			query := fmt.Sprintf(`query($search: String!, $under: ID) { %s(search: $search, under: $under) { totalCount } }`, list)
			for _, text := range []string{"\x00", "a\x00b", "a\tb", "\u0085", strings.Repeat("ã", 101)} {
				answer := w.run(w.as("olga"), query, map[string]any{"search": text})
				got := w.refused(w.as("olga"), query, map[string]any{"search": text})
				if got["code"] != "BAD_USER_INPUT" || got["field"] != "search" || !strings.Contains(answer, "at most 100 characters, none of them control characters.") {
					t.Errorf("%s, %q: %s", list, text, answer)
				}
				nowhere := map[string]any{"search": text, "under": relay.NewID(relay.KindGroup, 1<<40).String()}
				if got := w.refused(w.as("olga"), query, nowhere); got["code"] != "NOT_FOUND" {
					t.Errorf("%s, %q below nothing: %v", list, text, got)
				}
			}
			same(t, w.run(w.as("olga"), query, map[string]any{"search": strings.Repeat("ã", 100)}), `{"data":{"`+list+`":{"totalCount":0}}}`)
		}
	})
}

func TestRequestsSayWhoAsks(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.request("sales", "adam")
	const query = `{ groupRequests { nodes { requestedBy { name email agent { name } } } } }`
	for _, name := range []string{"adam", "olga"} {
		same(t, w.ask(name, query), `{"groupRequests":{"nodes":[{"requestedBy":{"name":"adam","email":"adam@example.com","agent":null}}]}}`)
	}
	// A supervisor sees the request and not the directory of users.
	same(t, w.ask("sue", query), `{"groupRequests":{"nodes":[{"requestedBy":null}]}}`)
}

// TestChangedPlanIsAnswered asks as a billing manager, who may change the plan and not look at the account's status.
func TestChangedPlanIsAnswered(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.user("bill", "root", authz.RoleBillingManager)
	same(t, w.ask("bill", `mutation { changePlan(input: {plan: STARTER}) { plan account { name } } }`), `{"changePlan":{"plan":"STARTER","account":{"name":"acacia"}}}`)
	if got := w.refused(w.as("bill"), `mutation { changePlan(input: {plan: PRO}) { account { plan } } }`, nil); got["permission"] != "ACCOUNT_STATUS_VIEW" {
		t.Errorf("got %v", got)
	}
}

// TestAuditTrailGivesDetailsOfWhatTheReaderMaySee records a change of something gone of each kind, and asks as people
// who see the trail and one thing more.
func TestAuditTrailGivesDetailsOfWhatTheReaderMaySee(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		for _, kind := range allKinds {
			w.record(string(kind), kind, 1<<40, map[string]any{"text": "secret of " + string(kind)}, nil)
		}
		const query = `{ auditEvents(first: 200) { nodes { changes { before } reason target { id } } } }`
		service := string([]relay.Kind{relay.KindContact, relay.KindContactAssignment, relay.KindConversation, relay.KindMessage, relay.KindHistoryEntry, relay.KindNote})
		for extra, want := range map[authz.Permission]string{
			authz.AuditView:         "",
			authz.GroupsView:        string([]relay.Kind{relay.KindGroup, relay.KindGroupRequest, relay.KindGroupMove}),
			authz.UsersView:         string([]relay.Kind{relay.KindUser, relay.KindSession}),
			authz.RolesView:         string([]relay.Kind{relay.KindRole, relay.KindRoleGrant}),
			authz.ConversationsView: service + string(relay.KindTag),
			authz.ContactsView:      service,
			authz.QueueView:         string(relay.KindTag),
			authz.InboxSettingsEdit: string(relay.KindTag),
		} {
			name := "reader with " + extra.String()
			w.role("role of "+name, authz.Pair{Permission: authz.AuditView, Scope: authz.ScopeAccount}, authz.Pair{Permission: extra, Scope: authz.ScopeAccount})
			w.user(name, "root", "role of "+name)
			answer := w.ask(name, query)
			for _, kind := range allKinds {
				shown := kind == relay.KindAccount || strings.ContainsRune(want, rune(kind))
				if got := strings.Contains(answer, "secret of "+string(kind)+`\`); got != shown {
					t.Errorf("%s, kind %c: changes are shown: %t", name, kind, got)
				}
				if got := strings.Contains(answer, `"reason of `+string(kind)+`"`); got != shown {
					t.Errorf("%s, kind %c: the reason is shown: %t", name, kind, got)
				}
			}
		}
	})
}

// TestAuditTrailGivesDetailsOfABranch asks as somebody who sees the trail, and the groups of a branch.
func TestAuditTrailGivesDetailsOfABranch(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.role("reader", authz.Pair{Permission: authz.AuditView, Scope: authz.ScopeAccount}, authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeSubtree})
	w.user("rita", "sales", "reader")
	w.record("gone", relay.KindGroup, 1<<40, map[string]any{"name": "gone"}, nil)
	w.record("vault", relay.KindGroup, w.ids["vault"], nil, map[string]any{"name": "vault"})
	w.record("north", relay.KindGroup, w.ids["north"], nil, map[string]any{"name": "north"})
	same(t, w.ask("rita", `{ auditEvents { nodes { target { ... on Group { name } } changes { field } reason } } }`), `{"auditEvents":{"nodes":[`+
		`{"target":{"name":"north"},"changes":[{"field":"name"}],"reason":"reason of north"},`+
		`{"target":null,"changes":[],"reason":""},{"target":null,"changes":[],"reason":""}]}}`)
}

func TestAuditTrailShowsWhatDiffers(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.record("about sales", relay.KindGroup, w.ids["sales"],
			map[string]any{"name": "sales", "pairs": []any{map[string]any{"a": 1, "b": 2}}, "capacity": nil, "closeAfter": 60, "gone": 1},
			map[string]any{"name": "sales", "pairs": []any{map[string]any{"a": 1, "b": 2}}, "capacity": nil, "closeAfter": nil, "new": "1"})
		same(t, w.ask("olga", `{ auditEvents { nodes { changes { field before after } } } }`), `{"auditEvents":{"nodes":[{"changes":[`+
			`{"field":"closeAfter","before":"60","after":"null"},{"field":"gone","before":"1","after":null},{"field":"new","before":null,"after":"\"1\""}]}]}}`)
	})
}

func TestAuditTrailHidesContactsThatTheReaderDoesNotSee(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.eventful()
	const query = `{ auditEvents { nodes { action targetId target { ... on Group { name } ... on Contact { name } } changes { field before after } } } }`
	w.ask("olga", query)
	same(t, w.ask("adam", query), `{"auditEvents":{"nodes":[`+
		`{"action":"TESTED","targetId":null,"target":null,"changes":[{"field":"name","before":"\"gone\"","after":null}]},`+
		`{"action":"TESTED","targetId":null,"target":null,"changes":[]},`+
		`{"action":"TESTED","targetId":null,"target":null,"changes":[]},`+
		`{"action":"TESTED","targetId":"`+w.id(relay.KindGroup, "vault")+`","target":{"name":"vault"},"changes":[{"field":"depth","before":null,"after":"1"},{"field":"name","before":"\"safe\"","after":"\"vault\""}]}]}}`)
	same(t, w.ask("olga", `{ auditEvents(targetId: "%s") { totalCount nodes { changes { after } } } }`, w.id(relay.KindContact, "Kim")),
		`{"auditEvents":{"totalCount":1,"nodes":[{"changes":[{"after":"\"+55 •••• 5678\""}]}]}}`)
	same(t, w.ask("olga", `{ auditEvents(action: "NOTHING", from: "2027-01-01T00:00:00+01:00", until: "2027-12-31T00:00:00Z") { totalCount } }`), `{"auditEvents":{"totalCount":0}}`)
}

// TestSnoozedUntilIsJudgedWhenAsked puts conversations aside until a moment to come and until now, which is over.
func TestSnoozedUntilIsJudgedWhenAsked(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return errors.Join(
				tx.Conversation.UpdateOneID(w.ids["Kim conversation"]).SetSnoozedUntil(now.Add(time.Second)).Exec(ctx),
				tx.Conversation.UpdateOneID(w.ids["Max conversation"]).SetSnoozedUntil(now).Exec(ctx))
		})
		const query = `{ conversation(id: "%s") { snoozedUntil } }`
		same(t, w.ask("olga", query, w.id(relay.KindConversation, "Kim conversation")), `{"conversation":{"snoozedUntil":"`+now.Add(time.Second).Format("2006-01-02T15:04:05.000000Z")+`"}}`)
		same(t, w.ask("olga", query, w.id(relay.KindConversation, "Max conversation")), `{"conversation":{"snoozedUntil":null}}`)
	})
}
