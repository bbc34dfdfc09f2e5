package graph_test

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/importrun"
	"canopy/graph/generated"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"

	"github.com/vektah/gqlparser/v2/ast"
)

// shadows are things that can be added to the maze: hidden from some, and then these must not hear that anything has
// changed. Their names come before, between and after those that are there.
var shadows = map[string]func(w *world){
	"an account": func(w *world) {
		own, ids := w.account, maps.Clone(w.ids)
		w.newAccount("cedar")
		w.groups("root", false, "north", "shadow group")
		w.user("shadow owner", "north", authz.RoleOwner)
		w.contact("Kim shadow", "north", "shadow owner")
		w.contact("Lee shadow", "north", "")
		w.role("shadow role")
		w.event("shadow event")
		w.account, w.ids = own, ids
	},
	"a private branch": func(w *world) {
		w.groups("sales", true, "Aa shadow", "norti shadow", "zz shadow")
		north := w.ids["north"]
		w.groups("norti shadow", false, "north", "shadow below")
		w.ids["north"] = north
		w.user("Aa shadow user", "norti shadow", authz.RoleAgent)
		w.user("zz shadow user", "shadow below", authz.RoleDashboardAdministrator)
		w.contact("Kim in the shadow", "norti shadow", "Aa shadow user")
		w.contact("Zoe in the shadow", "shadow below", "")
		w.request("norti shadow", "zz shadow user")
		w.groupMove("shadow below")
		w.session("zz shadow user")
	},
	"groups elsewhere": func(w *world) {
		w.groups("vault", false, "shadow vault")
		w.groups("support", false, "Aa shadow support", "zz shadow support")
		w.groupMove("shadow vault")
	},
	"users who serve nobody": func(w *world) {
		for _, home := range []string{"root", "north", "south", "support", "vault"} {
			w.user("Aa shadow of "+home, home)
			w.user("zz shadow of "+home, home, authz.RoleBillingManager)
		}
	},
	"contacts of others": func(w *world) {
		w.contact("Aa shadow contact", "north", "carla")
		w.contact("Kim shadow contact", "vault", "vic")
		w.again("Kim shadow contact", "vera")
		w.say("Kim shadow contact conversation")
	},
	"words about others": func(w *world) {
		w.again("Nil", "vera")
		w.say("Nil conversation")
		w.session("vic")
	},
	"a contact that waits in private": func(w *world) { w.contact("Lee shadow", "cellar", "") },
	"roles": func(w *world) {
		w.role("Aa shadow role", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
		w.role("zz shadow role")
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.Role.UpdateOneID(w.ids["role of lisa"]).AddMayGiveIDs(w.ids["Aa shadow role"]).Exec(ctx)
		})
	},
	"grants": func(w *world) {
		w.grant("ana", authz.RoleBillingManager, "cellar")
		w.grant("gone", authz.RoleAdministrator, "vault")
		w.grant("nora", authz.RoleDeveloper, "north")
	},
	"papers": func(w *world) {
		w.request("vault", "vic")
		w.request("sales", "bill")
		w.event("shadow event")
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.ImportRun.Create().SetAccountID(w.account).SetUserID(w.ids["vic"]).SetKind(importrun.KindGROUPS).SetFingerprint("x").SetStartedAt(now).Exec(ctx)
		})
	},
}

// tells says whether the thing changes a number that the user sees without seeing the thing: the totals of a group,
// its report, and the load on an agent's card.
func (o *oracle) tells(user int64, id relay.ID) bool {
	n := id.As(id.Kind())
	if o.accountOf(id) != o.users[user].AccountID {
		return false
	}
	switch id.Kind() {
	case relay.KindUser:
		return o.counts(user, o.users[n].HomeGroupID)
	case relay.KindContact:
		c := o.contacts[n]
		return o.counts(user, c.GroupID) || c.AssignedUserID != nil && o.sees(user, relay.NewID(relay.KindAgent, *c.AssignedUserID))
	case relay.KindConversation:
		return o.counts(user, o.contacts[o.conversations[n].ContactID].GroupID)
	case relay.KindRoleGrant:
		return o.grants[n].UserID == user
	}
	return false
}

// counts says whether the group is in totals or in a report that the user sees.
func (o *oracle) counts(user, group int64) bool {
	reported := o.sees(user, relay.NewID(relay.KindGroup, group)) && o.holds(user, authz.AnalyticsView, spot{group: group})
	return reported || slices.ContainsFunc(o.line(group), func(g *ent.Group) bool {
		return o.sees(user, relay.NewID(relay.KindGroup, g.ID)) && o.holds(user, authz.DashboardsView, spot{group: group})
	})
}

// hides says whether nothing of what the shadow adds is there for the user.
func (o *oracle) hides(user int64, before *oracle) bool {
	old := before.ids()
	return !slices.ContainsFunc(o.ids(), func(id relay.ID) bool {
		return !slices.Contains(old, id) && (o.reachable(user, id) || o.tells(user, id))
	})
}

// TestHiddenRowsLeaveNoTrace asks everything of two worlds, of which one has more in it that is hidden from who asks:
// the answers are the same to the byte, whole lists, pages, counts, searches, branches and places in lists that the
// hidden things have.
func TestHiddenRowsLeaveNoTrace(t *testing.T) {
	var w *world
	fresh := testdb.Copies(t, func(db *store.DB) { w = maze(t, db) })
	onSQLite := func(t testing.TB) *world { return w.over(t, fresh(t), unlimited) }
	hidden := hiddenFrom(t, onSQLite)
	t.Run("sqlite", func(t *testing.T) { leaveNoTrace(t, crawlers, hidden, onSQLite) })
	t.Run("postgres", func(t *testing.T) {
		leaveNoTrace(t, []string{"adam", "ana", "sue"}, hidden, func(t testing.TB) *world { return maze(t, testdb.Postgres(t), unlimited) })
	})
}

// hiddenFrom lists the shadows that each viewer sees nothing of.
func hiddenFrom(t *testing.T, open func(t testing.TB) *world) map[string][]string {
	before, hidden := open(t).oracle(), map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(shadows)) {
		w := open(t).copy()
		shadows[name](w)
		after, someone := w.oracle(), false
		for _, viewer := range crawlers {
			if after.hides(w.ids[viewer], before) {
				hidden[viewer] = append(hidden[viewer], name)
				someone = true
			}
		}
		if !someone {
			t.Errorf("%s: it is hidden from nobody", name)
		}
	}
	return hidden
}

func leaveNoTrace(t *testing.T, viewers []string, hidden map[string][]string, open func(t testing.TB) *world) {
	without := open(t)
	for _, viewer := range viewers {
		t.Run(viewer, func(t *testing.T) {
			if len(hidden[viewer]) == 0 {
				t.Fatal("nothing can be hidden from them")
			}
			with := open(t).copy()
			for _, name := range hidden[viewer] {
				shadows[name](with)
			}
			with.stays()
			compareTwins(t, viewer, without, with)
		})
	}
}

// copy is the world with names of its own, so that what is added to it leaves those of others alone.
func (w *world) copy() *world {
	c := *w
	c.ids = maps.Clone(w.ids)
	return &c
}

func compareTwins(t *testing.T, viewer string, without, with *world) {
	t.Helper()
	c := &crawl{world: without, schema: generated.NewExecutableSchema(generated.Config{}).Schema(), visited: map[string]bool{}, ids: map[relay.ID]string{}}
	old, all := without.oracle().ids(), with.oracle().ids()
	added := slices.DeleteFunc(slices.Clone(all), func(id relay.ID) bool { return slices.Contains(old, id) })
	here, there := without.as(viewer), with.as(viewer)
	same := func(document string) string {
		t.Helper()
		a, b := without.run(here, document, nil), with.run(there, document, nil)
		if strings.Contains(a+b, "INTERNAL_SERVER_ERROR") || strings.Contains(a+b, "GRAPHQL_") {
			t.Fatalf("%.300s\n%.500s\n%.500s\n%s%s", document, a, b, without.log, with.log)
		}
		if a != b {
			t.Errorf("%s asks %.300s…\n%s", viewer, document, apart(a, b))
		}
		return a
	}
	for _, field := range c.schema.Query.Fields {
		if strings.HasPrefix(field.Name, "__") {
			continue
		}
		byID := slices.ContainsFunc(field.Arguments, func(a *ast.ArgumentDefinition) bool { return a.Type.String() == "ID!" })
		selection := c.below(c.schema.Types[field.Type.Name()], 1)
		// What has an id is asked by node, but for these.
		whole := field.Name == "agentPanel" || field.Name == "groupReport"
		if !byID || whole {
			things := all
			if whole {
				things = old
			}
			for _, call := range c.calls(field, things) {
				same("{ " + call + " " + selection + " }")
			}
		}
		for _, args := range c.probes(field, added) {
			same("{ " + field.Name + args + " { __typename } }")
		}
	}
	for _, list := range without.lists() {
		turnPages(pages(list), with, same)
	}
}

// apart shows where two answers differ.
func apart(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	from := max(0, i-120)
	return fmt.Sprintf("without %s\nwith    %s", a[from:min(len(a), i+200)], b[from:min(len(b), i+200)])
}

// probes are arguments that ask for what has been added: by id, as a branch, and by words of names, addresses and
// numbers.
func (c *crawl) probes(field *ast.FieldDefinition, added []relay.ID) []string {
	var probes []string
	for _, arg := range field.Arguments {
		switch {
		case arg.Type.Name() == "ID":
			kinds := kindOf(idArgument{field: field, path: []string{arg.Name}})
			for _, id := range added {
				if !slices.Contains(kinds, id.Kind()) {
					continue
				}
				value := `"` + id.String() + `"`
				if arg.Type.Elem != nil {
					value = "[" + value + "]"
				}
				probes = append(probes, c.argumentsWith(field, arg.Name, value))
			}
		case arg.Name == "search":
			for _, word := range []string{"shadow", "Kim", "north", "a", "@example.com", "5678", "@customers.example"} {
				probes = append(probes, c.argumentsWith(field, arg.Name, fmt.Sprintf("%q", word)))
			}
		}
	}
	return probes
}

// pages asks for a page of a list with those arguments.
func pages(list string) func(args string) string {
	return func(args string) string {
		return "{ " + fmt.Sprintf(list, args) + " { totalCount edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } " +
			strings.Repeat("} ", strings.Count(list, "{")) + "}"
	}
}

var (
	nextPage = regexp.MustCompile(`"hasNextPage":true,.*"endCursor":"([^"]*)"`)
	cursors  = regexp.MustCompile(`"cursor":"([^"]*)"`)
)

// turnPages goes through a list by small pages, and from every place in it that the owner knows in the fuller world.
func turnPages(document func(args string) string, with *world, same func(string) string) {
	args := "first: 2"
	for range 30 {
		next := nextPage.FindStringSubmatch(same(document(args)))
		if next == nil {
			break
		}
		args = fmt.Sprintf("first: 2, after: %q", next[1])
	}
	for _, known := range cursors.FindAllStringSubmatch(with.run(with.as("olga"), document("first: 200"), nil), -1) {
		same(document(fmt.Sprintf("first: 2, after: %q", known[1])))
	}
}
