package graph_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/internal/testdb"
	"canopy/relay"
)

// TestWhatIsTakenTellsNoMore: names of groups below one parent and e-mail addresses of users are unique also where one
// of two is hidden, so whoever may create hears that a name is taken. That is all they hear: the refusal is, to the
// byte, the one for a name that they see. What is not unique tells nothing.
func TestWhatIsTakenTellsNoMore(t *testing.T) {
	w := maze(t, testdb.SQLite(t), served)
	shadows["a private branch"](w)
	w.role("branch manager",
		authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.GroupsCreate, Scope: authz.ScopeSubtree},
		authz.Pair{Permission: authz.GroupsEdit, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.GroupsMove, Scope: authz.ScopeSubtree},
		authz.Pair{Permission: authz.GroupsDelete, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.UsersView, Scope: authz.ScopeSubtree},
		authz.Pair{Permission: authz.UsersInvite, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.UsersEdit, Scope: authz.ScopeSubtree},
		authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.ContactsCreate, Scope: authz.ScopeSubtree})
	w.user("max", "sales", "branch manager")
	o := w.oracle()
	group := func(name string) string { return w.id(relay.KindGroup, name) }
	hidden, seen := relay.NewID(relay.KindGroup, w.ids["norti shadow"]), relay.NewID(relay.KindGroup, w.ids["south"])
	if o.sees(w.ids["max"], hidden) || !o.sees(w.ids["max"], seen) {
		t.Fatal("the world is not what the test wants")
	}
	for name, c := range map[string]struct{ call, hidden, seen, free, reason string }{
		"a sibling's name": {`createGroup(input: {parentId: "` + group("sales") + `", name: "%s"}) { group { name } }`, "norti shadow", "south", "new", "NAME_TAKEN"},
		"renaming":         {`updateGroup(input: {groupId: "` + group("north") + `", name: "%s"}) { group { name } }`, "norti shadow", "south", "free", "NAME_TAKEN"},
		"an address":       {`inviteUser(input: {homeGroupId: "` + group("north") + `", name: "New", email: "%s"}) { user { name } }`, "vic@example.com", "ana@example.com", "new@example.com", "EMAIL_TAKEN"},
		"another address":  {`updateUser(input: {userId: "` + w.id(relay.KindUser, "nora") + `", email: "%s"}) { user { name } }`, "vic@example.com", "ana@example.com", "free@example.com", "EMAIL_TAKEN"},
		"a contact's address": {`createContact(input: {groupId: "` + group("north") + `", name: "New", email: "%s"}) { contact { name masked } }`,
			*o.contacts[w.ids["Nil"]].Email, *o.contacts[w.ids["Kim"]].Email, "free@customers.example", ""},
		"a name of another account": {`createGroup(input: {parentId: "` + group("north") + `", name: "%s"}) { group { name } }`, "root", "sales", "vault", ""},
	} {
		t.Run(name, func(t *testing.T) {
			ask := func(value string) string {
				answer := w.run(w.as("max"), "mutation { "+fmt.Sprintf(c.call, value)+" }", nil)
				return regexp.MustCompile(`"name":"[^"]*"`).ReplaceAllString(answer, "")
			}
			byHidden, bySeen, byFree := ask(c.hidden), ask(c.seen), ask(c.free)
			if byHidden != bySeen {
				t.Errorf("hidden %s\nseen   %s", byHidden, bySeen)
			}
			if told := c.reason != ""; strings.Contains(byHidden, `"reason":"`+c.reason+`"`) != told || strings.Contains(byFree, "errors") || !told && byHidden != byFree {
				t.Errorf("hidden %s\nfree   %s", byHidden, byFree)
			}
		})
	}
}

// TestAGroupThatSeemsEmpty holds a private group only: that it is not empty is all that whoever deletes it hears.
func TestAGroupThatSeemsEmpty(t *testing.T) {
	w := newWorld(t, testdb.SQLite(t))
	w.groups("root", false, "sales")
	w.groups("sales", false, "holder", "full")
	w.groups("holder", true, "private")
	w.groups("full", false, "open")
	w.role("deleter", authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.GroupsDelete, Scope: authz.ScopeSubtree})
	w.user("max", "sales", "deleter")
	ask := func(name string) string {
		return w.run(w.as("max"), `mutation { deleteGroup(input: {groupId: "`+w.id(relay.KindGroup, name)+`"}) { deletedGroupId } }`, nil)
	}
	if private, open := ask("holder"), ask("full"); private != open || !strings.Contains(open, "GROUP_NOT_EMPTY") {
		t.Errorf("private %s\nopen    %s", private, open)
	}
}
