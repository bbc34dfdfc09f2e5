package graph_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/group"
	"canopy/ent/generated/session"
	"canopy/ent/generated/user"
	"canopy/graph"
	"canopy/graph/generated"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/relay"
	"canopy/store"

	"github.com/alexedwards/argon2id"
	"github.com/vektah/gqlparser/v2/ast"
)

// access is a row of the table of access: a root field, a call of it that is good in the world of the table, and the
// rule by which the oracle says what each viewer hears.
//
// Arguments name things as "kind name", with the letter of package relay: "G desk" is the id of the group desk. Whoever
// does not see one of them hears NOT_FOUND. The rule lists, apart by commas, what else is needed:
//
//	GROUPS_EDIT at G desk    a permission at a thing; "at home": at the viewer's home group
//	USERS_VIEW somewhere     a permission held anywhere
//	SETTINGS_EDIT            a permission on the account
//	open                     nothing: what the viewer does not see is left out of the answer
//	offered C kim            the contact is on offer to the viewer
//	A or B at G desk         one of two permissions at a thing; who has neither hears of the first
//	sees V case              seeing a thing that no argument names by its id; NOT_FOUND for who does not
//	root or null             seeing the root of the own account; null for who does not
//
// But says what stops a viewer besides: the limits on giving access, and the state of the world.
type access struct {
	field, args, rule string
	but               map[string]string
}

// table has a row for each root field; the order is the schema's.
var table = []access{
	{"viewer", ``, ``, nil},
	{"node", `id: "U tom"`, ``, nil},
	{"nodes", `ids: ["U tom", "C Carol"]`, `open`, nil},
	{"rootGroup", ``, `root or null`, nil},
	{"group", `id: "G desk"`, ``, nil},
	{"groups", ``, ``, nil},
	{"groupMoves", ``, ``, nil},
	{"groupRequests", ``, ``, nil},
	{"user", `id: "U tom"`, ``, nil},
	{"users", ``, `USERS_VIEW somewhere`, nil},
	{"agent", `id: "P tom"`, ``, nil},
	{"agents", ``, ``, nil},
	{"agentPanel", `groupId: "G branch"`, `AGENT_PANEL_VIEW at G branch`, nil},
	{"groupReport", `groupId: "G branch", from: "2027-02-01T00:00:00Z", to: "2027-04-01T00:00:00Z"`, `ANALYTICS_VIEW at G branch`, nil},
	{"role", `id: "R Reader"`, ``, nil},
	{"roles", ``, ``, nil},
	{"roleGrants", ``, `ROLES_VIEW somewhere`, nil},
	{"grantExpiries", ``, `ROLES_ASSIGN somewhere`, nil},
	{"roleTemplates", ``, ``, nil},
	{"permissionChart", ``, ``, nil},
	{"explainAccess", `permission: GROUPS_MOVE, userId: "U tom", targetId: "G desk"`, `ACCESS_EXPLAIN`, nil},
	{"whoCan", `permission: GROUPS_VIEW`, `ACCESS_EXPLAIN`, nil},
	{"previewMoveGroup", `input: {groupId: "G desk", parentId: "G annex"}`, `ACCESS_EXPLAIN, GROUPS_MOVE at G desk, GROUPS_MOVE at G branch, GROUPS_MOVE at G annex`, nil},
	{"previewMoveUser", `input: {userId: "U tom", homeGroupId: "G annex"}`, `ACCESS_EXPLAIN, USERS_EDIT at U tom, USERS_EDIT at G annex, ROLES_ASSIGN at G annex`, nil},
	{"previewRoleChange", `input: {roleId: "R Reader", description: "Reads."}`, `ACCESS_EXPLAIN, ROLES_MANAGE`, nil},
	{"previewGrant", `input: {userId: "U tom", roleId: "R DEVELOPER"}`, `ACCESS_EXPLAIN, ROLES_ASSIGN at U tom`, nil},
	{"previewDeactivateUser", `input: {userId: "U tom"}`, `USERS_DEACTIVATE at U tom`, nil},
	{"contact", `id: "C Carol"`, ``, nil},
	{"contacts", ``, ``, nil},
	{"inbox", `box: QUEUE`, ``, nil},
	{"inboxCounts", ``, ``, nil},
	{"conversation", `id: "V Carol conversation"`, ``, nil},
	{"conversationByNumber", `number: 1`, `sees V Carol conversation`, nil},
	{"tags", ``, ``, nil},
	{"auditEvents", ``, `AUDIT_VIEW`, nil},

	{"logIn", `input: {email: "tom@example.com", password: "correct horse battery"}`, ``, nil},
	{"logOut", ``, ``, nil},
	{"logOutEverywhere", ``, ``, nil},
	{"setPassword", `input: {token: "cnps_ida", password: "correct horse battery"}`, ``, nil},
	{"changePassword", `input: {currentPassword: "correct horse battery", newPassword: "battery horse correct"}`, ``, nil},
	{"updateViewer", `input: {name: "Somebody"}`, ``, nil},
	{"updateAccount", `input: {name: "Acacia"}`, `SETTINGS_EDIT`, nil},
	{"changePlan", `input: {plan: PRO}`, `SUBSCRIPTION_MANAGE`, nil},
	{"transferOwnership", `input: {userId: "U OWNER outside"}`, `OWNERSHIP_TRANSFER`,
		map[string]string{"OWNER outside": "FORBIDDEN OWNERSHIP_TRANSFER"}}, // not the primary owner
	{"deleteAccount", `input: {confirmName: "acacia"}`, `ACCOUNT_DELETE`,
		map[string]string{"OWNER outside": "FORBIDDEN ACCOUNT_DELETE", "another account's OWNER": "BAD_USER_INPUT"}}, // which has another name
	{"createGroup", `input: {parentId: "G desk", name: "New"}`, `GROUPS_CREATE at G desk`, nil},
	{"updateGroup", `input: {groupId: "G desk", name: "Renamed"}`, `GROUPS_EDIT at G desk`, nil},
	{"moveGroup", `input: {groupId: "G desk", parentId: "G annex"}`, `GROUPS_MOVE at G desk, GROUPS_MOVE at G branch, GROUPS_MOVE at G annex`, nil},
	{"deleteGroup", `input: {groupId: "G desk"}`, `GROUPS_DELETE at G desk`, nil},
	{"updateGroupSettings", `input: {groupId: "G desk", sharedInbox: true}`, `INBOX_SETTINGS_EDIT at G desk`, nil},
	{"inviteUser", `input: {name: "New", email: "new@example.com", homeGroupId: "G branch"}`, `USERS_INVITE at G branch`, nil},
	{"updateUser", `input: {userId: "U tom", name: "Thomas"}`, `USERS_EDIT at U tom`, nil},
	{"resetPassword", `input: {userId: "U tom"}`, `USERS_EDIT at U tom`, nil},
	{"moveUser", `input: {userId: "U tom", homeGroupId: "G annex"}`, `USERS_EDIT at U tom, USERS_EDIT at G annex, ROLES_ASSIGN at G annex`, nil},
	{"deactivateUser", `input: {userId: "U tom"}`, `USERS_DEACTIVATE at U tom`, nil},
	{"reactivateUser", `input: {userId: "U mia"}`, `USERS_DEACTIVATE at U mia`, nil},
	{"deleteUser", `input: {userId: "U mia"}`, `USERS_DELETE at U mia`, nil},
	{"updateAgentSettings", `input: {agentId: "P tom", capacity: 3}`, `AGENT_SETTINGS_EDIT at P tom`, nil},
	{"startCover", `input: {agentId: "P tom", toAgentId: "P AGENT who serves", until: "2027-03-02T00:00:00Z"}`,
		`AGENT_SETTINGS_EDIT at P tom, CONVERSATIONS_ASSIGN at G branch`, nil},
	{"endCover", `input: {agentId: "P kai"}`, `AGENT_SETTINGS_EDIT at P kai, CONVERSATIONS_ASSIGN at G branch`, nil},
	{"grantRole", `input: {userId: "U tom", roleId: "R DEVELOPER"}`, `ROLES_ASSIGN at U tom`, nil},
	{"revokeRole", `input: {grantId: "N tom AGENT"}`, `ROLES_ASSIGN at N tom AGENT`, nil},
	{"createRole", `input: {name: "New", pairs: [{permission: GROUPS_VIEW, scope: SUBTREE}]}`, `ROLES_MANAGE`, nil},
	{"cloneRole", `input: {roleId: "R Reader", name: "New"}`, `ROLES_MANAGE`, nil},
	{"updateRole", `input: {roleId: "R Reader", description: "Reads."}`, `ROLES_MANAGE`, nil},
	{"deleteRole", `input: {roleId: "R Reader"}`, `ROLES_MANAGE`, nil},
	{"createContact", `input: {groupId: "G branch", name: "New"}`, `CONTACTS_CREATE at G branch`, nil},
	{"importRecords", `input: {kind: GROUPS, format: CSV, data: "path\nbranch/New\n"}`, ``, nil},
	{"updateContact", `input: {contactId: "C Carol", name: "Caroline"}`, `CONTACTS_EDIT at C Carol`, nil},
	{"deleteContact", `input: {contactId: "C Carol"}`, `CONTACTS_DELETE at C Carol`, nil},
	{"claimContact", `input: {contactId: "C Wade"}`, `QUEUE_CLAIM at C Wade`, nil},
	{"declineOffer", `input: {contactId: "C Xena"}`, `offered C Xena`, nil},
	{"assignContact", `input: {contactId: "C Wade", agentId: "P tom"}`, `CONVERSATIONS_ASSIGN at C Wade`, nil},
	{"transferContact", `input: {contactId: "C Carol", agentId: "P tom"}`, `CONVERSATIONS_TRANSFER at C Carol`, nil},
	{"assignContacts", `input: {contactIds: ["C Wade"], agentId: "P tom"}`, `CONVERSATIONS_ASSIGN at C Wade`, nil},
	{"transferContacts", `input: {contactIds: ["C Carol"], agentId: "P tom"}`, `CONVERSATIONS_TRANSFER at C Carol`, nil},
	{"openConversation", `input: {contactId: "C Zoe"}`, `CONVERSATIONS_OPEN at C Zoe`, nil},
	{"startConversation", `input: {name: "New", phone: "+5511987654321"}`, `CONVERSATIONS_OPEN at home`, nil},
	{"closeConversation", `input: {conversationId: "V Carol conversation"}`, `CONVERSATIONS_CLOSE at V Carol conversation`, nil},
	{"closeConversations", `input: {conversationIds: ["V Carol conversation"]}`, `CONVERSATIONS_CLOSE at V Carol conversation`, nil},
	{"markRead", `input: {conversationId: "V Carol conversation"}`, ``, nil},
	{"markUnread", `input: {conversationId: "V Carol conversation"}`, ``, nil},
	{"updateConversation", `input: {conversationId: "V Carol conversation", subject: "Else", priority: HIGH}`, `CONVERSATIONS_REPLY or CONVERSATIONS_ASSIGN at V Carol conversation`, nil},
	{"tagConversation", `input: {conversationId: "V Carol conversation", addTagIds: ["L Zoe tag"], removeTagIds: ["L Carol tag"]}`, `CONVERSATIONS_REPLY or CONVERSATIONS_ASSIGN at V Carol conversation`, nil},
	{"snoozeConversation", `input: {conversationId: "V Carol conversation", until: "2027-03-02T09:30:00Z"}`, `CONVERSATIONS_REPLY or CONVERSATIONS_ASSIGN at V Carol conversation`, nil},
	{"addNote", `input: {conversationId: "V Carol conversation", text: "Call back"}`, `CONVERSATIONS_REPLY or CONVERSATIONS_ASSIGN at V Carol conversation`, nil},
	{"deleteNote", `input: {noteId: "D tom's note"}`, `CONVERSATIONS_ASSIGN at V Carol conversation`, nil},
	{"createTag", `input: {name: "VIP", colour: RED}`, `INBOX_SETTINGS_EDIT`, nil},
	{"updateTag", `input: {tagId: "L Carol tag", name: "VIP", colour: RED}`, `INBOX_SETTINGS_EDIT`, nil},
	{"deleteTag", `input: {tagId: "L Carol tag"}`, `INBOX_SETTINGS_EDIT`, nil},
	{"sendMessage", `input: {conversationId: "V Carol conversation", text: "Hello"}`, `CONVERSATIONS_REPLY at V Carol conversation`, nil},
	{"receiveMessage", `input: {channel: "whatsapp", address: "+5511987654321", text: "Hello", externalId: "1"}`, `INTEGRATIONS_MANAGE`, nil},

	{"inboxChanged", `box: QUEUE, under: "G desk"`, ``, nil},
	{"conversationUpdated", `id: "V Carol conversation"`, ``, nil},
	{"messageAdded", `conversationId: "V Carol conversation"`, ``, nil},
	{"groupTreeChanged", `under: "G desk"`, ``, nil},
	{"agentPanelChanged", `group: "G branch"`, `AGENT_PANEL_VIEW at G branch`, nil},
	{"viewerChanged", ``, ``, nil},
}

// viewers are the columns of the table. Inside is the home of the target, outside a group beside it.
func viewersOfTable() []string {
	list := []string{"anonymous", "another account's OWNER"}
	for _, where := range []string{" inside", " outside"} {
		for _, r := range authz.BuiltInRoles() {
			list = append(list, r.Key+where)
		}
	}
	return append(list, "AGENT who serves", "holder of nothing", "deactivated OWNER", "paused AGENT")
}

const password = "correct horse battery"

// stage is the world of the table:
//
//	root            MANUAL
//	├ branch        tom, mia and kai, who are looked at; everybody "inside"; contacts Carol, Zoe (closed) and Wade (waits)
//	│ ├ desk        empty
//	│ └ annex       empty
//	└ elsewhere     everybody "outside"
func stage(t testing.TB, db *store.DB) *world {
	t.Helper()
	w := newWorld(t, db, served)
	w.set("root", func(u *ent.GroupUpdateOne) { u.SetAssignmentMode(group.AssignmentModeMANUAL) })
	w.groups("root", false, "branch", "elsewhere")
	w.groups("branch", false, "desk", "annex")
	w.user("tom", "branch", authz.RoleAgent)
	w.user("mia", "branch", authz.RoleAgent)
	w.user("ida", "branch")
	w.user("kai", "branch", authz.RoleAgent)
	w.cover("kai", "tom", 1)
	for _, viewer := range viewersOfTable() {
		key, where, _ := strings.Cut(viewer, " ")
		home := "branch"
		if where == "outside" {
			home = "elsewhere"
		}
		switch viewer {
		case "anonymous", "another account's OWNER":
		case "holder of nothing":
			w.user(viewer, home)
		case "deactivated OWNER", "paused AGENT":
			w.user(viewer, home, where)
		default:
			w.user(viewer, home, key)
		}
	}
	w.contact("Carol", "branch", "AGENT who serves")
	w.contact("Zoe", "branch", "AGENT who serves")
	w.contact("Wade", "branch", "")
	w.contact("Xena", "branch", "")
	w.changeContact("Xena", func(u *ent.ContactUpdateOne) {
		u.SetOfferedToID(w.ids["AGENT who serves"]).SetOfferEndsAt(now.Add(time.Hour))
	})
	w.note("tom's note", "Carol conversation", "tom")
	w.role("Reader", authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeSubtree})
	w.ask("OWNER inside", `mutation { closeConversation(input: {conversationId: "%s"}) { conversation { id } } }`, w.id(relay.KindConversation, "Zoe conversation"))
	own := w.account
	w.ids["another account's OWNER"] = w.another("birch")[relay.KindUser]
	w.account = own
	w.people()
	return w
}

// served gives the use-cases what `canopy serve` gives them, with passwords that cost nothing.
func served(c *graph.Config) {
	c.Directory.Handover = &desk.Service{DB: c.DB, Now: c.Now}
	c.Directory.Argon2 = argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 16}
}

// people gives everybody a password and a session, and some of them their state.
func (w *world) people() {
	w.t.Helper()
	cfg := graph.Config{Directory: &directory.Service{}}
	served(&cfg)
	hash, err := cfg.Directory.HashPassword(context.Background(), password)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		if err := tx.User.Update().SetPasswordHash(hash).Exec(ctx); err != nil {
			return err
		}
		for _, u := range tx.User.Query().AllX(ctx) {
			err := tx.Session.Create().SetAccountID(u.AccountID).SetUserID(u.ID).SetTokenHash(hashOf(tokenOf(u.ID))).
				SetKind(session.KindTOKEN).SetCreatedAt(now).SetExpiresAt(now.Add(time.Hour)).Exec(ctx)
			if err != nil {
				return err
			}
		}
		return errors.Join(
			tx.Account.Update().SetNextConversationNumber(w.numbers+1).Exec(ctx),
			tx.Account.UpdateOneID(w.account).SetPrimaryOwnerID(w.ids["OWNER inside"]).Exec(ctx),
			tx.Account.Update().Where(account.Slug("birch")).SetPrimaryOwnerID(w.ids["another account's OWNER"]).Exec(ctx),
			tx.User.UpdateOneID(w.ids["mia"]).SetStatus(user.StatusDEACTIVATED).SetDeactivatedAt(now).Exec(ctx),
			tx.User.UpdateOneID(w.ids["deactivated OWNER"]).SetStatus(user.StatusDEACTIVATED).SetDeactivatedAt(now).Exec(ctx),
			tx.User.UpdateOneID(w.ids["paused AGENT"]).SetAccessPausedAt(now).Exec(ctx),
			tx.User.UpdateOneID(w.ids["ida"]).SetStatus(user.StatusINVITED).ClearPasswordHash().
				SetSetupTokenHash(hashOf("cnps_ida")).SetSetupExpiresAt(now.Add(time.Hour)).Exec(ctx),
		)
	})
}

func tokenOf(user int64) string { return fmt.Sprint("cnp_", user) }

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// with returns the context of a request that carries the token of somebody, as server makes it; 0 is nobody.
func (w *world) with(user int64) context.Context {
	w.t.Helper()
	ctx := context.Background()
	if user == 0 {
		return ctx
	}
	v, err := (&directory.Service{DB: w.db, Now: func() time.Time { return now }}).Authenticate(ctx, tokenOf(user))
	var refused *refusal.Refusal
	switch {
	case err == nil:
		return authz.NewContext(ctx, v)
	case errors.As(err, &refused):
		return graph.WithRefusal(ctx, refused)
	}
	w.t.Fatal(err)
	return nil
}

// over is the same world in another database, with an API over it.
func (w *world) over(t testing.TB, db *store.DB, change ...func(*graph.Config)) *world {
	t.Helper()
	other := &world{t: t, db: db, log: &strings.Builder{}, account: w.account, ids: w.ids, numbers: w.numbers}
	other.serve(change...)
	return other
}

var thing = regexp.MustCompile(`"([A-Z]) ([^"]+)"`)

// things are what a text names as "kind name".
func (w *world) things(text string) []relay.ID {
	w.t.Helper()
	var ids []relay.ID
	for _, m := range thing.FindAllStringSubmatch(text, -1) {
		ids = append(ids, w.thing(m[1], m[2]))
	}
	return ids
}

func (w *world) thing(kind, name string) relay.ID {
	w.t.Helper()
	n, ok := w.ids[name]
	if !ok {
		w.t.Fatalf("nothing is called %q", name)
	}
	return relay.NewID(relay.Kind(kind[0]), n)
}

// call writes the call of a row as a document with that selection, which scalars do not have.
func (w *world) call(schema *ast.Schema, row access, selection string) string {
	w.t.Helper()
	operation, field := rootField(schema, row.field)
	if field == nil {
		w.t.Fatalf("the schema has no field %s: take its row out of the table", row.field)
	}
	text := thing.ReplaceAllStringFunc(row.args, func(name string) string {
		m := thing.FindStringSubmatch(name)
		return `"` + w.thing(m[1], m[2]).String() + `"`
	})
	if text != "" {
		text = "(" + text + ")"
	}
	if kind := schema.Types[field.Type.Name()].Kind; kind == ast.Scalar || kind == ast.Enum {
		selection = ""
	}
	return fmt.Sprintf("%s { %s%s %s }", operation, row.field, text, selection)
}

// roots are the types of root fields, by the word that begins an operation on them.
func roots(schema *ast.Schema) map[string]*ast.Definition {
	return map[string]*ast.Definition{"query": schema.Query, "mutation": schema.Mutation, "subscription": schema.Subscription}
}

func rootField(schema *ast.Schema, name string) (operation string, field *ast.FieldDefinition) {
	for operation, def := range roots(schema) {
		if field := def.Fields.ForName(name); field != nil {
			return operation, field
		}
	}
	return "", nil
}

// selectionOf is what is asked of the answer: where one of many is answered by itself, why it was refused.
func selectionOf(row access) string {
	if isBulk(row.field) {
		return "{ items { refusal { code reason permission } } }"
	}
	return "{ __typename }"
}

// isBulk says of which fields the answer has one for each of many.
func isBulk(field string) bool {
	return slices.Contains([]string{"assignContacts", "transferContacts", "closeConversations"}, field)
}

// refusalOfItem finds the refusal of the only item in an answer.
var refusalOfItem = regexp.MustCompile(`"items":\[\{"refusal":\{"code":"(\w+)","reason":(?:null|"(\w*)"),"permission":(?:null|"(\w*)")\}\}\]`)

// heard is an answer as the table writes it. What one of many was refused for counts as if it had been asked for alone.
func heard(t testing.TB, answer string) string {
	t.Helper()
	var response struct {
		Data   map[string]json.RawMessage
		Errors []struct {
			Message    string
			Extensions struct{ Code, Reason, Permission string }
		}
	}
	if err := json.Unmarshal([]byte(answer), &response); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	switch len(response.Errors) {
	case 0:
		if item := refusalOfItem.FindStringSubmatch(answer); item != nil {
			return words(item[1:]...)
		}
		for _, value := range response.Data {
			if string(value) == "null" {
				return "null"
			}
		}
		return "OK"
	case 1:
		e := response.Errors[0].Extensions
		return words(e.Code, e.Reason, e.Permission)
	}
	t.Fatalf("several errors: %s", answer)
	return ""
}

func words(list ...string) string {
	return strings.Join(slices.DeleteFunc(list, func(word string) bool { return word == "" }), " ")
}

// expected is what the rule of the row makes a viewer hear, judged by the oracle.
func (w *world) expected(o *oracle, schema *ast.Schema, row access, viewer string) string {
	w.t.Helper()
	_, field := rootField(schema, row.field)
	public := field.Directives.ForName("public") != nil
	switch {
	case public:
		return orElse(row.but[viewer], "OK")
	case viewer == "anonymous", viewer == "deactivated OWNER":
		return "UNAUTHENTICATED"
	case viewer == "paused AGENT":
		return "UNAUTHENTICATED ACCESS_PAUSED"
	}
	who, rules := w.ids[viewer], strings.Split(row.rule, ", ")
	if row.rule != "open" {
		for _, id := range w.things(row.args) {
			if !o.sees(who, id) {
				return "NOT_FOUND"
			}
		}
	}
	for _, rule := range rules {
		if rule == "root or null" && !o.sees(who, relay.NewID(relay.KindGroup, o.root(who))) {
			return "null"
		}
		if offer, ok := strings.CutPrefix(rule, "offered "); ok {
			if o.spotOf(w.thing(offer[:1], offer[2:])).offered != who {
				return "NOT_FOUND"
			}
			continue
		}
		if unnamed, ok := strings.CutPrefix(rule, "sees "); ok {
			if !o.sees(who, w.thing(unnamed[:1], unnamed[2:])) {
				return "NOT_FOUND"
			}
			continue
		}
		name, held := w.judgedEither(o, who, rule)
		if !held {
			return "FORBIDDEN " + name
		}
	}
	return orElse(row.but[viewer], "OK")
}

func orElse(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

// judgedEither is judged for one of two permissions.
func (w *world) judgedEither(o *oracle, who int64, rule string) (name string, held bool) {
	w.t.Helper()
	permissions, at, _ := strings.Cut(rule, " at ")
	first, second, either := strings.Cut(permissions, " or ")
	if !either || rule == "root or null" {
		return w.judged(o, who, rule)
	}
	_, held = w.judged(o, who, second+" at "+at)
	name, also := w.judged(o, who, first+" at "+at)
	return name, held || also
}

// judged says which permission a part of a rule names, and whether the user holds it there.
func (w *world) judged(o *oracle, who int64, rule string) (name string, held bool) {
	w.t.Helper()
	if rule == "" || rule == "open" || rule == "root or null" {
		return "", true
	}
	name, at, placed := strings.Cut(rule, " at ")
	name, anywhere := strings.CutSuffix(name, " somewhere")
	p, err := authz.ParsePermission(name)
	if err != nil {
		w.t.Fatalf("the rule %q: %v", rule, err)
	}
	switch {
	case anywhere:
		return name, o.somewhere(who, p)
	case at == "home":
		return name, o.holds(who, p, spot{group: o.users[who].HomeGroupID})
	case placed:
		return name, o.holds(who, p, o.spotOf(w.thing(at[:1], at[2:])))
	}
	return name, o.holds(who, p, spot{})
}

// TestAccessTable calls every root field as every kind of viewer. What each hears must be what the row's rule and the
// chart say, and is written to testdata/access.txt, so that every change of it shows.
func TestAccessTable(t *testing.T) {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	everyRootFieldHasARow(t, schema)
	var w *world
	fresh := testdb.Copies(t, func(db *store.DB) { w = stage(t, db) })
	o := w.over(t, fresh(t)).oracle()
	cells := map[string]map[string]string{}
	for _, row := range table {
		t.Run(row.field, func(t *testing.T) {
			cells[row.field] = map[string]string{}
			var world *world
			for _, viewer := range viewersOfTable() {
				if world == nil {
					world = w.over(t, fresh(t), served)
				}
				query := world.call(schema, row, selectionOf(row))
				answer := world.run(world.with(w.ids[viewer]), query, nil)
				got := heard(t, answer)
				if want := world.expected(o, schema, row, viewer); got != want {
					t.Errorf("%s asks %s\nand hears %s\nthe rule %q says %s\n%s", viewer, query, answer, row.rule, want, world.log)
				}
				cells[row.field][viewer] = got
				if got == "OK" && strings.HasPrefix(query, "mutation") {
					world = nil // it has changed
				}
			}
		})
	}
	if len(cells) == len(table) { // not when only some rows were run
		compareAccess(t, cells)
	}
}

func everyRootFieldHasARow(t *testing.T, schema *ast.Schema) {
	t.Helper()
	for _, def := range roots(schema) {
		for _, field := range def.Fields {
			has := slices.ContainsFunc(table, func(row access) bool { return row.field == field.Name })
			if !has && !strings.HasPrefix(field.Name, "__") {
				t.Errorf("%s.%s has no row in the table of access. Add one to `table` in access_test.go: the field, arguments that are good"+
					" in the world of the table, and what it needs; then run `go test ./graph -run TestAccessTable -update`.", def.Name, field.Name)
			}
		}
	}
}

// compareAccess writes the table as text and compares it with the one that is kept.
func compareAccess(t *testing.T, cells map[string]map[string]string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("Who hears what from each root field. Written by `go test ./graph -run TestAccessTable -update` from real calls;\n" +
		"the world, and the rules that the answers are judged by, are in access_test.go. FORBIDDEN names the permission under needs.\n\n")
	tab := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "field\tneeds\t"+strings.Join(viewersOfTable(), "\t"))
	for _, row := range table {
		line := []string{row.field, orElse(row.rule, "-")}
		for _, viewer := range viewersOfTable() {
			cell := orElse(cells[row.field][viewer], "?")
			if refused, permission, _ := strings.Cut(cell, " "); refused == "FORBIDDEN" && strings.Contains(row.rule, permission) {
				cell = refused
			}
			line = append(line, cell)
		}
		fmt.Fprintln(tab, strings.Join(line, "\t"))
	}
	_ = tab.Flush()
	golden := filepath.Join("testdata", "access.txt")
	if graph.Updating() {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(kept) != b.String() && !t.Failed() {
		t.Errorf("the table of access has changed; look at it and run `go test ./graph -run TestAccessTable -update`:\n%s", graph.Differences(string(kept), b.String()))
	}
}
