package authz

import (
	"fmt"
	"io"
	"iter"
	"math/bits"
	"strconv"
)

// Permission is one thing that can be allowed. The zero value is no permission and is never held.
//
// The numbers are in memory only: what is stored and what clients see is the name, so the list may be reordered.
type Permission uint8

// The permissions, by module, in the order of the chart.
const (
	_ Permission = iota

	ConversationsView
	ConversationsOpen
	ConversationsReply
	ConversationsTransfer
	ConversationsClose
	ConversationsAssign
	QueueView
	QueueClaim
	CustomerDataView

	ContactsView
	ContactsCreate
	ContactsEdit
	ContactsDelete
	ContactsImport
	ContactsExport

	DashboardsView
	AgentPanelView
	AgentSettingsEdit
	GroupsView
	GroupsCreate
	InboxSettingsEdit

	AnalyticsView

	BroadcastsView
	BroadcastsManage

	GroupsEdit
	GroupsMove
	GroupsDelete
	UsersView
	UsersInvite
	UsersEdit
	UsersDeactivate
	UsersDelete
	RolesView
	RolesAssign
	RolesManage

	SettingsView
	SettingsEdit
	AccountStatusView
	AccountDelete
	OwnershipTransfer

	BillingView
	BillingEdit
	SubscriptionManage
	PaymentsManage
	InvoicesView

	APIKeysManage
	WebhooksManage
	IntegrationsManage

	AuditView
	AuditExport
	AccessExplain
	AccessReviewManage
	AccessReviewDecide

	permissionEnd // one past the last
)

// A Set holds every permission in one machine word; this fails to compile when the list outgrows it.
const _ = uint(64 - permissionEnd)

// Module is a part of the product that permissions belong to; a frontend shows a module when the viewer holds any
// of its permissions.
type Module string

// The modules, in the order in which they are shown.
const (
	ModuleService        Module = "SERVICE"
	ModuleContacts       Module = "CONTACTS"
	ModuleDashboards     Module = "DASHBOARDS"
	ModuleAnalytics      Module = "ANALYTICS"
	ModuleBroadcasts     Module = "BROADCASTS"
	ModuleGroupsAndUsers Module = "GROUPS_AND_USERS"
	ModuleSettings       Module = "SETTINGS"
	ModuleBilling        Module = "BILLING"
	ModuleDevelopers     Module = "DEVELOPERS"
	ModuleAccountability Module = "ACCOUNTABILITY"
)

// Definition is the row of a permission in the one table of permissions.
type Definition struct {
	Permission  Permission
	Name        string
	Module      Module
	Description string
	// AccountOnly marks permissions on the account itself, which custom roles hold at scope ACCOUNT only (ruling 19).
	AccountOnly bool
	// Requires lists permissions without which this one is of no use: a custom role that holds this one holds those
	// too, at no narrower scope.
	Requires []Permission
}

// definitions is the one table of permissions: the SDL enum, docs/permissions.md and the chart are made from it or
// tested against it.
var definitions = [permissionEnd]Definition{
	ConversationsView:     {Name: "CONVERSATIONS_VIEW", Module: ModuleService, Description: "See contacts in service, their conversations and messages."},
	ConversationsOpen:     {Name: "CONVERSATIONS_OPEN", Module: ModuleService, Description: "Open a conversation with a contact."},
	ConversationsReply:    {Name: "CONVERSATIONS_REPLY", Module: ModuleService, Description: "Answer contacts. Whoever holds it serves contacts and has an agent card.", Requires: []Permission{ConversationsView}},
	ConversationsTransfer: {Name: "CONVERSATIONS_TRANSFER", Module: ModuleService, Description: "Pass a contact on to another agent or group.", Requires: []Permission{ConversationsView}},
	ConversationsClose:    {Name: "CONVERSATIONS_CLOSE", Module: ModuleService, Description: "Close a conversation.", Requires: []Permission{ConversationsView}},
	ConversationsAssign:   {Name: "CONVERSATIONS_ASSIGN", Module: ModuleService, Description: "Decide who serves a contact.", Requires: []Permission{ConversationsView}},
	QueueView:             {Name: "QUEUE_VIEW", Module: ModuleService, Description: "See the unassigned contacts of a queue."},
	QueueClaim:            {Name: "QUEUE_CLAIM", Module: ModuleService, Description: "Take an unassigned contact out of the queue.", Requires: []Permission{QueueView}},
	CustomerDataView:      {Name: "CUSTOMER_DATA_VIEW", Module: ModuleService, Description: "See phone numbers and e-mail addresses unmasked."},

	ContactsView:   {Name: "CONTACTS_VIEW", Module: ModuleContacts, Description: "See contacts."},
	ContactsCreate: {Name: "CONTACTS_CREATE", Module: ModuleContacts, Description: "Create contacts in a group.", Requires: []Permission{ContactsView}},
	ContactsEdit:   {Name: "CONTACTS_EDIT", Module: ModuleContacts, Description: "Change a contact's name, phone and e-mail.", Requires: []Permission{ContactsView}},
	ContactsDelete: {Name: "CONTACTS_DELETE", Module: ModuleContacts, Description: "Delete a contact with everything said to it.", Requires: []Permission{ContactsView}},
	ContactsImport: {Name: "CONTACTS_IMPORT", Module: ModuleContacts, Description: "Import contacts from a file.", Requires: []Permission{ContactsView}},
	ContactsExport: {Name: "CONTACTS_EXPORT", Module: ModuleContacts, Description: "Export contacts to a file.", Requires: []Permission{ContactsView}},

	DashboardsView:    {Name: "DASHBOARDS_VIEW", Module: ModuleDashboards, Description: "See the totals of a group and its subtree."},
	AgentPanelView:    {Name: "AGENT_PANEL_VIEW", Module: ModuleDashboards, Description: "See the agent cards of a group: availability, load, capacity."},
	AgentSettingsEdit: {Name: "AGENT_SETTINGS_EDIT", Module: ModuleDashboards, Description: "Change availability, capacity and paused access of users who are agents and nothing else.", Requires: []Permission{AgentPanelView}},
	GroupsView:        {Name: "GROUPS_VIEW", Module: ModuleDashboards, Description: "See groups and their place in the tree."},
	GroupsCreate:      {Name: "GROUPS_CREATE", Module: ModuleDashboards, Description: "Create groups below a group.", Requires: []Permission{GroupsView}},
	InboxSettingsEdit: {Name: "INBOX_SETTINGS_EDIT", Module: ModuleDashboards, Description: "Change a group's inbox settings.", Requires: []Permission{GroupsView}},

	AnalyticsView: {Name: "ANALYTICS_VIEW", Module: ModuleAnalytics, Description: "See reports."},

	BroadcastsView:   {Name: "BROADCASTS_VIEW", Module: ModuleBroadcasts, Description: "See broadcasts."},
	BroadcastsManage: {Name: "BROADCASTS_MANAGE", Module: ModuleBroadcasts, Description: "Create and send broadcasts.", Requires: []Permission{BroadcastsView}},

	GroupsEdit:      {Name: "GROUPS_EDIT", Module: ModuleGroupsAndUsers, Description: "Rename a group and change its visibility.", Requires: []Permission{GroupsView}},
	GroupsMove:      {Name: "GROUPS_MOVE", Module: ModuleGroupsAndUsers, Description: "Move a group with everything below it.", Requires: []Permission{GroupsView}},
	GroupsDelete:    {Name: "GROUPS_DELETE", Module: ModuleGroupsAndUsers, Description: "Delete a group.", Requires: []Permission{GroupsView}},
	UsersView:       {Name: "USERS_VIEW", Module: ModuleGroupsAndUsers, Description: "See users, with e-mail address and state."},
	UsersInvite:     {Name: "USERS_INVITE", Module: ModuleGroupsAndUsers, Description: "Invite users into a group.", Requires: []Permission{UsersView}},
	UsersEdit:       {Name: "USERS_EDIT", Module: ModuleGroupsAndUsers, Description: "Change a user's name and e-mail address, reset the password, move the user to another group.", Requires: []Permission{UsersView}},
	UsersDeactivate: {Name: "USERS_DEACTIVATE", Module: ModuleGroupsAndUsers, Description: "Deactivate users and activate them again.", Requires: []Permission{UsersView}},
	UsersDelete:     {Name: "USERS_DELETE", Module: ModuleGroupsAndUsers, Description: "Delete deactivated users for good.", Requires: []Permission{UsersView}},
	RolesView:       {Name: "ROLES_VIEW", Module: ModuleGroupsAndUsers, Description: "See roles and who holds them.", AccountOnly: true},
	RolesAssign:     {Name: "ROLES_ASSIGN", Module: ModuleGroupsAndUsers, Description: "Give roles to users and revoke them.", Requires: []Permission{UsersView}},
	RolesManage:     {Name: "ROLES_MANAGE", Module: ModuleGroupsAndUsers, Description: "Create, change and delete custom roles.", AccountOnly: true, Requires: []Permission{RolesView}},

	SettingsView:      {Name: "SETTINGS_VIEW", Module: ModuleSettings, Description: "See the account's settings.", AccountOnly: true},
	SettingsEdit:      {Name: "SETTINGS_EDIT", Module: ModuleSettings, Description: "Change the account's settings.", AccountOnly: true, Requires: []Permission{SettingsView}},
	AccountStatusView: {Name: "ACCOUNT_STATUS_VIEW", Module: ModuleSettings, Description: "See the account's plan and limits.", AccountOnly: true},
	AccountDelete:     {Name: "ACCOUNT_DELETE", Module: ModuleSettings, Description: "Delete the account with everything in it. The primary owner alone.", AccountOnly: true},
	OwnershipTransfer: {Name: "OWNERSHIP_TRANSFER", Module: ModuleSettings, Description: "Hand the place of primary owner to another owner. The primary owner alone.", AccountOnly: true},

	BillingView:        {Name: "BILLING_VIEW", Module: ModuleBilling, Description: "See billing details.", AccountOnly: true},
	BillingEdit:        {Name: "BILLING_EDIT", Module: ModuleBilling, Description: "Change billing details.", AccountOnly: true, Requires: []Permission{BillingView}},
	SubscriptionManage: {Name: "SUBSCRIPTION_MANAGE", Module: ModuleBilling, Description: "Change the plan.", AccountOnly: true, Requires: []Permission{BillingView}},
	PaymentsManage:     {Name: "PAYMENTS_MANAGE", Module: ModuleBilling, Description: "Manage means of payment.", AccountOnly: true, Requires: []Permission{BillingView}},
	InvoicesView:       {Name: "INVOICES_VIEW", Module: ModuleBilling, Description: "See invoices.", AccountOnly: true},

	APIKeysManage:      {Name: "API_KEYS_MANAGE", Module: ModuleDevelopers, Description: "Create and revoke API keys.", AccountOnly: true},
	WebhooksManage:     {Name: "WEBHOOKS_MANAGE", Module: ModuleDevelopers, Description: "Manage webhooks.", AccountOnly: true},
	IntegrationsManage: {Name: "INTEGRATIONS_MANAGE", Module: ModuleDevelopers, Description: "Connect channels and hand in the messages that arrive on them.", AccountOnly: true},

	AuditView:          {Name: "AUDIT_VIEW", Module: ModuleAccountability, Description: "See the audit trail.", AccountOnly: true},
	AuditExport:        {Name: "AUDIT_EXPORT", Module: ModuleAccountability, Description: "Export the audit trail.", AccountOnly: true, Requires: []Permission{AuditView}},
	AccessExplain:      {Name: "ACCESS_EXPLAIN", Module: ModuleAccountability, Description: "Ask why somebody else may or may not do something.", AccountOnly: true, Requires: []Permission{UsersView, RolesView}},
	AccessReviewManage: {Name: "ACCESS_REVIEW_MANAGE", Module: ModuleAccountability, Description: "Start and finish access reviews.", AccountOnly: true},
	AccessReviewDecide: {Name: "ACCESS_REVIEW_DECIDE", Module: ModuleAccountability, Description: "Confirm or withdraw access in a review."},
}

// Definition returns the permission's row of the table.
func (p Permission) Definition() Definition {
	d := definitions[p]
	d.Permission = p
	return d
}

// Permissions lists all permissions in the order of the chart.
func Permissions() []Permission {
	all := make([]Permission, 0, permissionEnd-1)
	for p := Permission(1); p < permissionEnd; p++ {
		all = append(all, p)
	}
	return all
}

// ParsePermission returns the permission of that name, or an error that names it.
func ParsePermission(name string) (Permission, error) {
	for p := Permission(1); p < permissionEnd; p++ {
		if definitions[p].Name == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%q is not a permission", name)
}

func (p Permission) String() string {
	if p == 0 || p >= permissionEnd {
		return "Permission(" + strconv.Itoa(int(p)) + ")"
	}
	return definitions[p].Name
}

// MarshalText writes the name; it fails for a value that is not in the table.
func (p Permission) MarshalText() ([]byte, error) {
	if p == 0 || p >= permissionEnd {
		return nil, fmt.Errorf("%s is not in the table", p)
	}
	return []byte(p.String()), nil
}

// UnmarshalText reads a name.
func (p *Permission) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePermission(string(text))
	return err
}

// MarshalGQL writes the name as a GraphQL enum value.
func (p Permission) MarshalGQL(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(p.String())) }

// UnmarshalGQL reads a GraphQL enum value.
func (p *Permission) UnmarshalGQL(v any) error {
	name, ok := v.(string)
	if !ok {
		return fmt.Errorf("a permission is a name, not %T", v)
	}
	return p.UnmarshalText([]byte(name))
}

// Set is a set of permissions.
type Set uint64

// SetOf returns the set of the given permissions.
func SetOf(permissions ...Permission) Set {
	var s Set
	for _, p := range permissions {
		s |= 1 << p
	}
	return s
}

// AllPermissions is the set that OWNER holds: computed from the table, so a new permission is in it by itself.
const AllPermissions Set = 1<<permissionEnd - 2

// Has says whether the permission is in the set.
func (s Set) Has(p Permission) bool { return s>>p&1 != 0 }

// Within says whether every permission of s is in the other set too.
func (s Set) Within(other Set) bool { return s&^other == 0 }

// Len is the number of permissions in the set.
func (s Set) Len() int { return bits.OnesCount64(uint64(s)) }

// All yields the permissions of the set in the order of the chart.
func (s Set) All() iter.Seq[Permission] {
	return func(yield func(Permission) bool) {
		for p := Permission(1); p < permissionEnd; p++ {
			if s.Has(p) && !yield(p) {
				return
			}
		}
	}
}

// Modules lists, in their order, the modules of which the set has any permission.
func (s Set) Modules() []Module {
	var modules []Module
	for p := range s.All() {
		if m := definitions[p].Module; len(modules) == 0 || modules[len(modules)-1] != m {
			modules = append(modules, m)
		}
	}
	return modules
}
