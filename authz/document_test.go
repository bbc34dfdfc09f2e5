package authz_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"canopy/authz"
)

var update = flag.Bool("update", false, "write docs/permissions.md from the table")

// TestPermissionsPageIsTheTable compares docs/permissions.md with the table; -update writes it.
func TestPermissionsPageIsTheTable(t *testing.T) {
	const file = "../docs/permissions.md"
	want := page()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the table says; run: go test ./authz -update", file)
	}
}

// headings are the titles of the modules on the page.
var headings = map[authz.Module]string{
	authz.ModuleService:        "Service: answering contacts",
	authz.ModuleContacts:       "Contacts: the contact directory",
	authz.ModuleDashboards:     "Dashboards: supervising groups and agents",
	authz.ModuleAnalytics:      "Analytics: reports",
	authz.ModuleBroadcasts:     "Broadcasts: messages to many",
	authz.ModuleGroupsAndUsers: "Groups and users: the tree, users and roles",
	authz.ModuleSettings:       "Settings: the account",
	authz.ModuleBilling:        "Billing: plan, payments, invoices",
	authz.ModuleDevelopers:     "Developers: connections to other systems",
	authz.ModuleAccountability: "Accountability: audit and access reviews",
}

// scopeTexts explain the scopes on the page.
var scopeTexts = map[authz.Scope]string{
	authz.ScopeAccount:  "everything in the account, and the account itself",
	authz.ScopeSubtree:  "the grant's group and everything below it, except private branches that begin below it",
	authz.ScopeGroup:    "the grant's group only, not the groups below",
	authz.ScopeTeam:     "the contacts assigned to the user; and the grant's whole group while its Shared Inbox is on",
	authz.ScopeQueue:    "the unassigned contacts of the grant's group and of the groups above it, in those of these groups where assignment is MANUAL",
	authz.ScopeAssigned: "the contacts assigned to the user, wherever they are",
	authz.ScopeSelf:     "the user's own record",
}

// page writes the whole page.
func page() string {
	var b strings.Builder
	b.WriteString(pageHead)
	writeScopes(&b)
	b.WriteString(pageRoles)
	writeRoles(&b)
	b.WriteString(pageChart)
	writeChart(&b)
	b.WriteString(pageGiving)
	writeGiving(&b)
	b.WriteString(pageCustom)
	writeRequirements(&b)
	return b.String()
}

func writeScopes(b *strings.Builder) {
	b.WriteString("| scope | reaches | covers |\n|---|---|---|\n")
	for _, s := range authz.Scopes() {
		var covered []string
		for _, other := range authz.Scopes() {
			if other != s && s.Covers(other) {
				covered = append(covered, "`"+other.String()+"`")
			}
		}
		if s == authz.ScopeAccount {
			covered = []string{"all others"}
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", s, scopeTexts[s], strings.Join(covered, ", "))
	}
}

func writeRoles(b *strings.Builder) {
	b.WriteString("| role | key | what for | modules it opens |\n|---|---|---|---|\n")
	for _, r := range authz.BuiltInRoles() {
		modules := "all"
		if opened := r.Pairs.Permissions().Modules(); r.Pairs.Permissions() != authz.AllPermissions {
			modules = ""
			for i, m := range opened {
				if i > 0 {
					modules += ", "
				}
				modules += string(m)
			}
		}
		fmt.Fprintf(b, "| %s | `%s` | %s | %s |\n", r.Name, r.Key, r.Description, modules)
	}
}

func writeChart(b *strings.Builder) {
	var module authz.Module
	for _, p := range authz.Permissions() {
		d := p.Definition()
		if d.Module != module {
			module = d.Module
			fmt.Fprintf(b, "\n### %s\n\n| permission | lets its holder |", headings[module])
			for _, r := range authz.BuiltInRoles() {
				fmt.Fprintf(b, " %s |", r.Name)
			}
			b.WriteString("\n|---|---|" + strings.Repeat("---|", len(authz.BuiltInRoles())) + "\n")
		}
		fmt.Fprintf(b, "| `%s` | %s |", d.Name, d.Description)
		for _, r := range authz.BuiltInRoles() {
			cell := " |"
			for scope, set := range r.Pairs {
				if set.Has(p) {
					cell = fmt.Sprintf(" %s |", authz.Scope(scope))
				}
			}
			b.WriteString(cell)
		}
		b.WriteString("\n")
	}
}

func writeGiving(b *strings.Builder) {
	giving := map[authz.CustomGiving]string{
		authz.GivesNoCustom:      "none",
		authz.GivesCoveredCustom: "those whose every pair lies in a role that they may give",
		authz.GivesAllCustom:     "all",
	}
	b.WriteString("| holders of | may give these built-in roles | and these custom roles |\n|---|---|---|\n")
	for _, r := range authz.BuiltInRoles() {
		given := "none"
		switch {
		case len(r.MayGive) == len(authz.BuiltInRoles()):
			given = "all"
		case len(r.MayGive) > 0:
			var names []string
			for _, key := range r.MayGive {
				role, _ := authz.BuiltInRole(key)
				names = append(names, role.Name)
			}
			given = strings.Join(names, ", ")
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", r.Name, given, giving[r.GivesCustom])
	}
	b.WriteString("| a custom role | those chosen for it | those chosen for it |\n")
}

func writeRequirements(b *strings.Builder) {
	b.WriteString("| permission | needs |\n|---|---|\n")
	for _, p := range authz.Permissions() {
		d := p.Definition()
		var needs []string
		for _, n := range d.Requires {
			needs = append(needs, "`"+n.String()+"`")
		}
		if d.AccountOnly {
			needs = append(needs, "scope ACCOUNT")
		}
		if len(needs) > 0 {
			fmt.Fprintf(b, "| `%s` | %s |\n", d.Name, strings.Join(needs, ", "))
		}
	}
}

func TestThePageExplainsEveryScopeAndModule(t *testing.T) {
	for _, s := range authz.Scopes() {
		if scopeTexts[s] == "" {
			t.Errorf("the page does not explain %s", s)
		}
	}
	for _, m := range authz.AllPermissions.Modules() {
		if headings[m] == "" {
			t.Errorf("the page has no heading for %s", m)
		}
	}
	if !slices.IsSorted(authz.Permissions()) {
		t.Error("the page is not in the order of the chart")
	}
}

const pageHead = `<!-- Written from the table in package authz by: go test ./authz -update. Do not edit it here. -->

# Permissions

Who may do what in Canopy, for those who run an account. Every rule on this page is enforced by the server on every
request; clients only show what it answers.

## How access works

- A **permission** is one thing that can be allowed, such as moving a group. The list is closed: it is the chart below.
- A **role** is a named set of permissions, each with a **scope** that says how far it reaches.
- A **grant** gives one user one role at one group, from a time and, if wanted, until a time. ` + "`validFrom`" + ` is its first
  moment, ` + "`validUntil`" + ` the first moment without it.
- A grant without a group of its own stands at the user's home group and follows when the user moves. With one, it stays
  there.
- **Access only adds up.** A user may do what any grant that is in force gives. Nothing is ever forbidden by a grant, so
  adding one takes nothing away. "Cannot" means that no grant gives it.
- Changes count at the next request: grants that begin, end or are revoked, deactivated users, a Shared Inbox or an
  assignment mode that is switched.
- What somebody may not see does not exist for them: it is missing from lists, counts and searches, and by its id it is
  "not found". What they see but may not change is "forbidden", and the answer names the missing permission.

Everybody who is logged in may, without any permission: see themselves and their home group, change their own name,
password and availability, ask why they were refused, and log out.

## Scopes

Supervision looks **down** the tree; only the queue looks **up**, because contacts that arrive high are for whoever below
takes them first. A scope covers another if it always reaches at least as much.

`

const pageRoles = `
- ` + "`ASSIGNED`, `SELF` and the first half of `TEAM`" + ` do not depend on where the grant stands.
- The account itself (its settings, roles, billing, developers' and audit pages) is reached by ` + "`ACCOUNT`" + ` alone.
- ` + "`QUEUE_VIEW` and `QUEUE_CLAIM`" + ` reach unassigned contacts only, whatever their scope.
- **Private branches.** A group can be RESTRICTED. Grants above it with scope ` + "`SUBTREE`" + ` stop at its edge; those of scope
  ` + "`ACCOUNT`" + ` do not, so owners never lose sight. Grants at the group or below it work as ever, and its agents still see
  the queues above.

## Built-in roles

Built-in roles are the same in every account and never change.

`

const pageChart = `
## The chart

Each cell is the scope at which the role holds the permission; an empty cell means that it does not.
`

const pageGiving = `
## Limits on giving access

Who holds ` + "`ROLES_ASSIGN`" + ` gives roles to users in the groups that it reaches, and revokes them. Which roles depends on the
roles that the giver holds:

`

const pageCustom = `
Further limits, whoever asks:

- Nobody changes their own grants, nor a custom role that they hold (` + "`OWN_ACCESS`" + `).
- Nobody gives a role that none of their roles lets them give (` + "`MAY_NOT_GIVE`" + `).
- Nobody changes, revokes from, deactivates or resets a user who holds a permission that they neither hold nor may give
  (` + "`RANK`" + `), nor takes anything from a custom role that such a user holds.
- Nobody moves groups or users, deletes a group in favour of another, or opens a private branch, if they would then hold a
  permission over anything that they did not hold before (` + "`GAINS_ACCESS`" + `).
- An account always has at least one active owner whose grant has no end (` + "`LAST_OWNER`" + `), and exactly one primary owner, an
  active owner, who alone can hand over that place or delete the account. The primary owner's ownership cannot be revoked
  (` + "`PRIMARY_OWNER`" + `).
- ` + "`AGENT_SETTINGS_EDIT`" + ` reaches only users whose roles, present and coming, are Agent and nothing else, and only their
  availability, capacity and whether their access is paused.
- A privileged change (grant, revoke, change of a role, move) carries a reason; the account can require one
  (` + "`REASON_REQUIRED`" + `).

## Custom roles

An account can make roles of its own. A custom role holds only permissions that are in roles which its author may give, and
at no wider scope (` + "`WIDER_THAN_AUTHOR`" + `); its holders may give the roles that were chosen for it among what its author may give.
While custom roles are switched off for the account they cannot be made, changed or granted, and give nothing
(` + "`CUSTOM_ROLES_OFF`" + `). A role that is or will be held is deleted only in favour of another one (` + "`ROLE_IN_USE`" + `).

Some permissions are of no use without another: a custom role that holds them holds that one too, at no narrower scope.
Those on the account itself can be held at scope ` + "`ACCOUNT`" + ` only.

`
