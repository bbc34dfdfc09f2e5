package rule

import (
	"context"
	"slices"
	"time"

	"canopy/authz"

	"entgo.io/ent/dialect/sql"
)

// Accounts are the viewer's own.
func Accounts(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, account row) clause { return text("? = ?", column(account("id")), v.AccountID) })
}

// Groups are those that GROUPS_VIEW reaches, and the viewer's home group.
func Groups(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, g row) clause {
		return allOf(owned(v, g), anyOf(text("? = ?", column(g("id")), v.Home.GroupID), group(g, v.Reach(authz.GroupsView))))
	})
}

// GroupsWith are those that the permission reaches.
func GroupsWith(ctx context.Context, p authz.Permission) Predicate {
	return limited(ctx, func(v *authz.Viewer, g row) clause { return allOf(owned(v, g), group(g, v.Reach(p))) })
}

// GroupRequests are the viewer's own, and those for groups below one that GROUPS_CREATE reaches.
func GroupRequests(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, request row) clause {
		return allOf(owned(v, request), anyOf(
			text("? = ?", column(request("requested_by_id")), v.UserID),
			at(request("parent_id"), v.Reach(authz.GroupsCreate))))
	})
}

// GroupMoves are those of groups that the viewer sees.
func GroupMoves(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, move row) clause {
		return allOf(owned(v, move), anyOf(
			text("? = ?", column(move("group_id")), v.Home.GroupID),
			at(move("group_id"), v.Reach(authz.GroupsView))))
	})
}

// Users are the viewer, and those whose home group USERS_VIEW reaches.
func Users(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, user row) clause {
		return allOf(owned(v, user), anyOf(
			text("? = ?", column(user("id")), v.UserID),
			at(user("home_group_id"), v.Reach(authz.UsersView))))
	})
}

// Cards are the users who serve and whose agent card the viewer sees (ruling 6): their own, those of the same home
// group, those that AGENT_PANEL_VIEW reaches, and that of whoever serves a contact that the viewer sees.
func Cards(ctx context.Context) Predicate { return limited(ctx, visibleCard) }

func visibleCard(v *authz.Viewer, user row) clause {
	return allOf(owned(v, user), serves(user, v.At), anyOf(
		text("? = ?", column(user("id")), v.UserID),
		text("? = ?", column(user("home_group_id")), v.Home.GroupID),
		at(user("home_group_id"), v.Reach(authz.AgentPanelView)),
		text("EXISTS (SELECT 1 FROM contacts AS rule_contact WHERE rule_contact.assigned_user_id = ? AND ?)",
			column(user("id")), reachedContact(v, aliased("rule_contact")))))
}

// Covers are those of users whose agent card the viewer sees.
func Covers(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, cover row) clause {
		return allOf(owned(v, cover), text("EXISTS (SELECT 1 FROM users AS rule_covered WHERE rule_covered.id = ? AND ?)",
			column(cover("user_id")), visibleCard(v, aliased("rule_covered"))))
	})
}

// Serving narrows users to those who serve at that moment, whoever asks: active, with CONVERSATIONS_REPLY in force.
func Serving(at time.Time) Predicate {
	return func(s *sql.Selector) { s.Where(sql.P(serves(s.C, at))) }
}

// serves reads the pairs of custom roles as text, which both databases can, because the name of a permission in quotes
// occurs in them only where the role holds it.
func serves(user row, at time.Time) clause {
	var keys []clause
	for _, r := range authz.BuiltInRoles() {
		if r.Pairs.Permissions().Has(authz.ConversationsReply) {
			keys = append(keys, text("rule_role.key = ?", r.Key))
		}
	}
	custom := text("rule_role.key IS NULL AND CAST(rule_role.pairs AS TEXT) LIKE ? AND EXISTS "+
		"(SELECT 1 FROM accounts AS rule_account WHERE rule_account.id = rule_role.account_id AND rule_account.custom_roles_enabled)",
		`%"`+authz.ConversationsReply.String()+`"%`)
	return allOf(
		text("? = 'ACTIVE'", column(user("status"))),
		text("EXISTS (SELECT 1 FROM role_grants AS rule_grant JOIN roles AS rule_role ON rule_role.id = rule_grant.role_id"+
			" WHERE rule_grant.user_id = ? AND ? AND ?)", column(user("id")), inForce(aliased("rule_grant"), at), anyOf(append(keys, custom)...)))
}

// inForce is true for a grant that counts at that moment (ruling 1).
func inForce(grant row, at time.Time) clause {
	return text("? IS NULL AND ? <= ? AND (? IS NULL OR ? > ?)", column(grant("revoked_at")),
		column(grant("valid_from")), at, column(grant("valid_until")), column(grant("valid_until")), at)
}

// Sessions are the viewer's own.
func Sessions(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, session row) clause {
		return allOf(owned(v, session), text("? = ?", column(session("user_id")), v.UserID))
	})
}

// ImportRuns are the viewer's own.
func ImportRuns(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, run row) clause {
		return allOf(owned(v, run), text("? = ?", column(run("user_id")), v.UserID))
	})
}

// ReadMarks are the viewer's own.
func ReadMarks(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, mark row) clause {
		return allOf(owned(v, mark), text("? = ?", column(mark("user_id")), v.UserID))
	})
}

// Roles are the built-in ones, those that the viewer holds, held or is to hold, those that they may give because a role
// that they hold now lists them, and with ROLES_VIEW all.
func Roles(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, role row) clause {
		if v.CanAccount(authz.RolesView) {
			return owned(v, role)
		}
		ways := []clause{
			text("? IS NOT NULL", column(role("key"))),
			text("EXISTS (SELECT 1 FROM role_grants AS rule_grant WHERE rule_grant.role_id = ? AND rule_grant.user_id = ?)",
				column(role("id")), v.UserID),
		}
		if v.Permissions().Has(authz.RolesAssign) {
			ways = append(ways, text("EXISTS (SELECT 1 FROM role_may_give AS rule_list WHERE rule_list.given_id = ? AND ?)",
				column(role("id")), in("rule_list.role_id", heldNow(v))))
		}
		return allOf(owned(v, role), anyOf(ways...))
	})
}

// heldNow lists the roles that the viewer holds, each once.
func heldNow(v *authz.Viewer) []int64 {
	var ids []int64
	for i := range v.Grants {
		if !slices.Contains(ids, v.Grants[i].RoleID) {
			ids = append(ids, v.Grants[i].RoleID)
		}
	}
	return ids
}

// RoleGrants are the viewer's own, and those at groups that ROLES_VIEW reaches, or ROLES_ASSIGN: who may give and revoke
// roles in a branch sees what there is to revoke. A grant without a group is at the home group of its user.
func RoleGrants(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, grant row) clause {
		ways := []clause{text("? = ?", column(grant("user_id")), v.UserID)}
		for _, p := range []authz.Permission{authz.RolesView, authz.RolesAssign} {
			if r := v.Reach(p); !r.Empty() {
				ways = append(ways, at(grant("group_id"), r),
					text("(? IS NULL AND EXISTS (SELECT 1 FROM users AS rule_user WHERE rule_user.id = ? AND ?))",
						column(grant("group_id")), column(grant("user_id")), at("rule_user.home_group_id", r)))
			}
		}
		return allOf(owned(v, grant), anyOf(ways...))
	})
}

// Contacts are those that CONVERSATIONS_VIEW or CONTACTS_VIEW reaches, and unassigned ones that QUEUE_VIEW reaches.
func Contacts(ctx context.Context) Predicate {
	return limited(ctx, visibleContact)
}

// ContactsReached are the contacts at which the viewer holds one of the permissions, whether or not they see them: for
// what a list tells of contacts beside their being there, such as whether a phone number matches a search.
func ContactsReached(ctx context.Context, permissions ...authz.Permission) Predicate {
	return limited(ctx, func(v *authz.Viewer, c row) clause { return allOf(owned(v, c), contact(c, v, permissions...)) })
}

// ContactsHeard are those whose conversations the viewer sees.
func ContactsHeard(ctx context.Context) Predicate {
	return ContactsReached(ctx, heard()...)
}

// heard are the permissions that show the conversations of a contact.
func heard() []authz.Permission { return []authz.Permission{authz.ConversationsView, authz.QueueView} }

func visibleContact(v *authz.Viewer, c row) clause { return allOf(owned(v, c), reachedContact(v, c)) }

// reachedContact is for contacts that are known to be of the viewer's account; naming the account would lead SQLite to
// look through all of its contacts.
func reachedContact(v *authz.Viewer, c row) clause {
	return contact(c, v, authz.ConversationsView, authz.QueueView, authz.ContactsView)
}

// ContactAssignments are those of contacts whose conversations the viewer sees.
func ContactAssignments(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, assignment row) clause {
		return allOf(owned(v, assignment), ofContact(v, assignment("contact_id")))
	})
}

// HistoryEntries are those of contacts whose conversations the viewer sees.
func HistoryEntries(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, entry row) clause {
		return allOf(owned(v, entry), ofContact(v, entry("contact_id")))
	})
}

// Conversations are those of contacts that CONVERSATIONS_VIEW reaches, and of unassigned ones that QUEUE_VIEW reaches:
// a conversation is seen with its contact as the contact stands now (ruling 7), and CONTACTS_VIEW alone shows none.
func Conversations(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, conversation row) clause {
		return allOf(owned(v, conversation), ofContact(v, conversation("contact_id")))
	})
}

// Messages are those of visible conversations.
func Messages(ctx context.Context) Predicate {
	return limited(ctx, inConversation)
}

// Notes are those of visible conversations, like messages.
func Notes(ctx context.Context) Predicate {
	return limited(ctx, inConversation)
}

// ConversationTags are those of visible conversations.
func ConversationTags(ctx context.Context) Predicate {
	return limited(ctx, inConversation)
}

// inConversation is for rows that are part of a conversation and are seen with it.
func inConversation(v *authz.Viewer, part row) clause {
	seen := ofContact(v, "rule_conversation.contact_id")
	if seen == nil {
		return owned(v, part)
	}
	return allOf(owned(v, part), text("EXISTS (SELECT 1 FROM conversations AS rule_conversation WHERE rule_conversation.id = ? AND ?)",
		column(part("conversation_id")), seen))
}

// Tags are those of the account.
func Tags(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, tag row) clause {
		if v.SeesTags() {
			return owned(v, tag)
		}
		return anyOf()
	})
}

// ofContact is true when the column holds the id of a contact whose conversations the viewer sees.
func ofContact(v *authz.Viewer, col string) clause {
	seen := contact(aliased("rule_contact"), v, heard()...)
	if seen == nil {
		return nil
	}
	return text("EXISTS (SELECT 1 FROM contacts AS rule_contact WHERE rule_contact.id = ? AND ?)", column(col), seen)
}

// AuditEvents are visible to those who hold AUDIT_VIEW on the account.
func AuditEvents(ctx context.Context) Predicate {
	return limited(ctx, func(v *authz.Viewer, event row) clause {
		if !v.CanAccount(authz.AuditView) {
			return anyOf()
		}
		return owned(v, event)
	})
}

// owned is true for rows of the viewer's account. Every rule begins with it.
func owned(v *authz.Viewer, r row) clause { return text("? = ?", column(r("account_id")), v.AccountID) }
