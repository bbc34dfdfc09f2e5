package rule_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/migrate"
	"canopy/ent/generated/role"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/refusal"

	"entgo.io/ent/dialect/sql"
)

// serving are the users of the company who serve, by name: active, with CONVERSATIONS_REPLY in force by some grant.
var serving = []string{"city agent", "consul", "helper", "owner", "safe agent", "shed agent", "shop agent"}

func TestCardsAreOfWhomTheViewerMayMeet(t *testing.T) {
	want := map[string][]string{
		"nobody":        {"consul"},                                       // of the same home group
		"consul":        {"city agent", "consul", "helper", "shop agent"}, // AGENT_PANEL_VIEW at the city and below
		"city agent":    {"city agent", "helper", "shop agent"},           // who serve contacts of the city, whose inbox is shared
		"shop agent":    {"helper", "shop agent"},                         // the shop's inbox is not shared
		"safe agent":    {"city agent", "safe agent", "shop agent"},
		"helper":        {"helper", "shop agent"},
		"warden":        {"city agent", "safe agent", "shop agent"}, // the private branch, and who serve contacts in it
		"administrator": serving,
		"owner":         serving,
		"rival agent":   {"rival agent"},
	}
	each(t, func(t *testing.T, c *company) {
		for who, cards := range want {
			ctx := c.as(who)
			found, err := c.db.Read.User.Query().Order(user.ByName()).All(rule.AsCards(ctx))
			if err != nil {
				t.Fatal(err)
			}
			if got := names(found); !slices.Equal(got, cards) {
				t.Errorf("%s sees the cards of %v and not of %v", who, got, cards)
			}
			for _, u := range found {
				err := c.db.Write(rule.AsCards(ctx), func(ctx context.Context, tx *ent.Tx) error {
					return errors.Join(tx.User.UpdateOneID(u.ID).SetName("x").Exec(ctx), errUndo)
				})
				_, hidden := c.db.Read.User.Get(ctx, u.ID)
				if ent.IsNotFound(hidden) && !ent.IsNotFound(err) {
					t.Errorf("%s changes the user behind the card of %s: %v", who, u.Name, err)
				}
			}
		}
		if n, err := c.db.Read.User.Query().Count(rule.AsCards(t.Context())); n != 0 || err != nil {
			t.Errorf("without a viewer there are %d cards, %v", n, err)
		}
	})
}

func names(users []*ent.User) []string {
	var list []string
	for _, u := range users {
		list = append(list, u.Name)
	}
	return list
}

func TestServingFollowsStatusTimeAndCustomRoles(t *testing.T) {
	each(t, func(t *testing.T, c *company) {
		trusted := authz.Trusted(t.Context())
		ofAcme := func(extra ...func(*sql.Selector)) []string {
			q := c.db.Read.User.Query().Where(user.AccountID(c.accounts["acme"])).Order(user.ByName())
			for _, p := range extra {
				q.Where(p)
			}
			return names(must[[]*ent.User](t)(q.All(trusted)))
		}
		if got := ofAcme(rule.Serving(noon)); !slices.Equal(got, serving) {
			t.Errorf("at noon %v serve", got)
		}
		// At noon a grant of "nobody" ended and another one was revoked; a moment before, the first had not ended.
		if got := ofAcme(rule.Serving(noon.Add(-1e3))); !slices.Contains(got, "nobody") {
			t.Errorf("a microsecond before noon %v serve", got)
		}
		err := c.db.Write(trusted, func(ctx context.Context, tx *ent.Tx) error {
			return tx.Account.UpdateOneID(c.accounts["acme"]).SetCustomRolesEnabled(false).Exec(ctx)
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := ofAcme(rule.Serving(noon)); slices.Contains(got, "helper") || len(got) != len(serving)-1 {
			t.Errorf("with custom roles off %v serve", got)
		}
	})
}

// TestPredicatesStandInNestedSelects puts every predicate on an aliased table inside another select.
func TestPredicatesStandInNestedSelects(t *testing.T) {
	predicates := map[string]func(context.Context) rule.Predicate{
		"accounts": rule.Accounts, "groups": rule.Groups, "group_requests": rule.GroupRequests, "group_moves": rule.GroupMoves, "users": rule.Users,
		"sessions": rule.Sessions, "import_runs": rule.ImportRuns, "read_marks": rule.ReadMarks, "roles": rule.Roles, "role_grants": rule.RoleGrants, "contacts": rule.Contacts,
		"contact_assignments": rule.ContactAssignments, "conversations": rule.Conversations, "messages": rule.Messages,
		"notes": rule.Notes, "tags": rule.Tags, "conversation_tags": rule.ConversationTags,
		"audit_events": rule.AuditEvents, "history_entries": rule.HistoryEntries, "covers": rule.Covers,
	}
	each(t, func(t *testing.T, c *company) {
		rows := everything(t, c.db.Read)
		for _, who := range []string{"supervisor", "consul", "caretaker", "shed agent", "owner"} {
			v := c.viewer(who)
			seen := newOracle(v, rows).visible(rows)
			for _, e := range entities(c.db.Read) {
				name := tableOf(e.name)
				predicate := predicates[name]
				if predicate == nil {
					t.Fatalf("no predicate for %s (%s) is exported", e.name, name)
				}
				builder := sql.Dialect(c.db.Dialect())
				inner := builder.Table(name).As("x")
				nested := builder.Select(inner.C("id")).From(inner)
				predicate(authz.NewContext(t.Context(), v))(nested)
				outer := builder.Table(name).As("y")
				query, args := builder.Select(sql.Count("*")).From(outer).Where(sql.In(outer.C("id"), nested)).Query()
				found, err := c.db.Read.QueryContext(t.Context(), query, args...)
				if err != nil {
					t.Fatalf("%s: %v\n%s", name, err, query)
				}
				n, err := sql.ScanInt(found)
				if err = errors.Join(err, found.Close()); err != nil || n != len(seen[e.name]) {
					t.Errorf("%s sees %d of %d %s nested (%v)", who, n, len(seen[e.name]), name, err)
				}
			}
		}
	})
}

// tableOf is the table of an entity: its name in snake case, in the plural.
func tableOf(entity string) string {
	var b strings.Builder
	for i, r := range entity {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	name := strings.ToLower(b.String())
	for _, table := range migrate.Tables {
		if table.Name == name+"s" || table.Name == strings.TrimSuffix(name, "y")+"ies" {
			return table.Name
		}
	}
	return name
}

func TestTrustedLiftsTheRules(t *testing.T) {
	each(t, func(t *testing.T, c *company) {
		for _, ctx := range []context.Context{authz.Trusted(t.Context()), authz.Trusted(c.as("nobody"))} {
			if n := must[int](t)(c.db.Read.Account.Query().Count(ctx)); n != 2 {
				t.Errorf("a trusted context sees %d accounts", n)
			}
			err := c.db.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
				return tx.Account.UpdateOneID(c.accounts["rival"]).SetName("renamed").Exec(ctx)
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// TestEveryRowIsMadeInTheViewersAccount tries to create each entity in the other account, and in none.
func TestEveryRowIsMadeInTheViewersAccount(t *testing.T) {
	each(t, func(t *testing.T, c *company) {
		rows := everything(t, c.db.Read)
		crawl := &crawler{T: t, who: "owner", ctx: c.as("owner"), client: c.db.Read, all: rows,
			visible: newOracle(c.viewer("owner"), rows).visible(rows)}
		for _, e := range entities(c.db.Read) {
			for _, bulk := range []bool{false, true} {
				err := crawl.try(c, "creating", func(client *ent.Client) error {
					create := copyOf(client, e, rows[e.name][anyOf(crawl.visible[e.name])], nil)
					if set := create.MethodByName("SetAccountID"); set.IsValid() {
						set.Call([]reflect.Value{reflect.ValueOf(c.accounts["rival"])})
					}
					if bulk {
						create = on(client, e).MethodByName("CreateBulk").Call([]reflect.Value{create})[0]
					}
					_, err := call(create, "Save", crawl.ctx)
					return err
				})
				if !errors.Is(err, refusal.NotFound("")) {
					t.Errorf("creating a %s in another account (in bulk: %t) ends as %v", e.name, bulk, err)
				}
			}
		}
	})
}

// copyOf is a builder that creates a row like the given one, but for the columns in instead.
func copyOf(client *ent.Client, e entity, row any, instead map[string]any) reflect.Value {
	create, _ := call(on(client, e), "Create")
	values := setters(create, row)
	delete(values, "SetID")
	for setter, value := range values {
		field := strings.TrimPrefix(setter, "Set")
		if v, ok := instead[field]; ok {
			value = reflect.ValueOf(v)
		}
		create.MethodByName(setter).Call([]reflect.Value{value})
	}
	return create
}

// TestARowPointsOnlyAtRowsOfItsAccount sets every edge that is a column to a row of the other account: by an update
// where the column can change, else by a copy of the row.
func TestARowPointsOnlyAtRowsOfItsAccount(t *testing.T) {
	each(t, func(t *testing.T, c *company) {
		rows := everything(t, c.db.Read)
		owner, rival := c.viewer("owner"), c.viewer("rival owner")
		mine, theirs := newOracle(owner, rows).visible(rows), newOracle(rival, rows).visible(rows)
		crawl := &crawler{T: t, who: "owner", ctx: authz.NewContext(t.Context(), owner), client: c.db.Read, all: rows, visible: mine}
		tried := 0
		for _, e := range entities(c.db.Read) {
			for _, edge := range edges(e.query()) {
				target, _ := call(e.query(), "Query"+edge)
				foreign := anyOf(theirs[strings.TrimSuffix(target.Type().Elem().Name(), "Query")])
				id := anyOf(mine[e.name])
				err := crawl.try(c, e.name+"."+edge, func(client *ent.Client) error {
					update, _ := call(on(client, e), "UpdateOneID", id)
					method, builder := "Set"+edge+"ID", update
					switch {
					case update.MethodByName(method).IsValid():
						update.MethodByName(method).Call([]reflect.Value{reflect.ValueOf(foreign)})
					case update.MethodByName("Add" + singular(edge) + "IDs").IsValid():
						update.MethodByName("Add" + singular(edge) + "IDs").Call([]reflect.Value{reflect.ValueOf(foreign)})
					case edge == "Account":
						return errors.New("tested above")
					default:
						like := rows[e.name][withEdge(rows[e.name], mine[e.name], edge)]
						if e.name == ent.TypeReadMark { // of which there is one for a user and a conversation
							client.ReadMark.DeleteOneID(like.(*ent.ReadMark).ID).ExecX(crawl.ctx)
						}
						if _, err := call(copyOf(client, e, like, nil), "Save", crawl.ctx); err != nil {
							t.Errorf("a copy of %s cannot be made: %v", e.name, err)
						}
						if e.name == ent.TypeReadMark {
							client.ReadMark.Delete().ExecX(crawl.ctx)
						}
						builder = copyOf(client, e, like, map[string]any{edge + "ID": foreign})
					}
					tried++
					_, err := call(builder, "Save", crawl.ctx)
					return err
				})
				if err == nil {
					t.Errorf("%s.%s points at a row of another account", e.name, edge)
				}
			}
		}
		if tried < 20 {
			t.Errorf("only %d edges were tried", tried)
		}
	})
}

func anyOf(ids map[int64]bool) int64 {
	for id := range ids {
		return id
	}
	return 0
}

// withEdge is a row in which the edge is set.
func withEdge(rows map[int64]any, visible map[int64]bool, edge string) int64 {
	for id := range visible {
		f := reflect.ValueOf(rows[id]).Elem().FieldByName(edge + "ID")
		if f.Kind() != reflect.Pointer || !f.IsNil() {
			return id
		}
	}
	return 0
}

func singular(edge string) string {
	if edge == "Children" {
		return "Child"
	}
	return edge
}

// TestEdgesInOtherRowsAreGuarded: what Ent stores elsewhere than in the row carries no predicate of its own.
func TestEdgesInOtherRowsAreGuarded(t *testing.T) {
	each(t, func(t *testing.T, c *company) {
		helper, caretaker, theirs := c.roles["acme/Helper"], c.roles["acme/Caretaker"], c.roles["rival/Helper"]
		change := func(who string, fn func(ctx context.Context, tx *ent.Tx) error) error {
			return c.db.Write(c.as(who), fn)
		}
		if err := change("owner", func(ctx context.Context, tx *ent.Tx) error {
			return tx.Role.UpdateOneID(helper).AddMayGiveIDs(theirs).Exec(ctx)
		}); !errors.Is(err, refusal.NotFound("")) {
			t.Errorf("giving a role of another account: %v", err)
		}
		if err := change("owner", func(ctx context.Context, tx *ent.Tx) error {
			return tx.Role.UpdateOneID(helper).AddGivenByIDs(theirs).Exec(ctx)
		}); !errors.Is(err, refusal.NotFound("")) {
			t.Errorf("being given by a role of another account: %v", err)
		}
		if err := change("nobody", func(ctx context.Context, tx *ent.Tx) error {
			return tx.Role.UpdateOneID(helper).AddMayGiveIDs(c.roles["acme/AGENT"]).Exec(ctx)
		}); !ent.IsNotFound(err) {
			t.Errorf("changing what a hidden role may give: %v", err)
		}
		if err := change("owner", func(ctx context.Context, tx *ent.Tx) error {
			return tx.Group.UpdateOneID(c.groups["south"]).AddChildIDs(c.groups["city"]).Exec(ctx)
		}); err == nil {
			t.Error("a group was moved from the side of its parent")
		}
		if err := change("owner", func(ctx context.Context, tx *ent.Tx) error {
			return tx.Role.UpdateOneID(helper).SetDescription("helps").AddMayGiveIDs(c.roles["acme/AGENT"]).Exec(ctx)
		}); err != nil {
			t.Errorf("an owner changes what a role may give: %v", err)
		}
		// Giving is not mutual: the caretaker gives the helper, the helper does not give the caretaker.
		ctx := authz.Trusted(t.Context())
		gives := must[[]int64](t)(c.db.Read.Role.Query().Where(role.ID(helper)).QueryMayGive().IDs(ctx))
		if !slices.Equal(gives, []int64{c.roles["acme/AGENT"]}) {
			t.Errorf("the helper gives the roles %v, the caretaker is %d", gives, caretaker)
		}
	})
}
