package authz

// BuiltIn is a role that every account has and nobody can change. Its key is stored; what it holds is only here.
type BuiltIn struct {
	Key         string
	Name        string
	Description string
	Pairs       Pairs
	// MayGive lists the keys of the built-in roles that its holders may give within the reach of their ROLES_ASSIGN.
	MayGive []string
	// GivesCustom says whether its holders may give custom roles: GivesAllCustom any, GivesCoveredCustom those whose
	// every pair lies in roles that they may give (ruling 19).
	GivesCustom CustomGiving
}

// CustomGiving is how far the holders of a built-in role may give custom roles.
type CustomGiving uint8

// The ways of giving custom roles.
const (
	GivesNoCustom CustomGiving = iota
	GivesCoveredCustom
	GivesAllCustom
)

// The keys of the built-in roles.
const (
	RoleOwner                  = "OWNER"
	RoleAdministrator          = "ADMINISTRATOR"
	RoleDashboardAdministrator = "DASHBOARD_ADMINISTRATOR"
	RoleBillingManager         = "BILLING_MANAGER"
	RoleAgent                  = "AGENT"
	RoleDeveloper              = "DEVELOPER"
)

// BuiltInRoles returns the built-in roles, the chart of section 3 of the domain, in its order.
func BuiltInRoles() []BuiltIn {
	var agent, dashboard, administrator, billing, developer, owner Pairs

	owner[ScopeAccount] = AllPermissions

	administrator[ScopeAccount] = SetOf(
		DashboardsView, AgentPanelView, AgentSettingsEdit, GroupsView, GroupsCreate, InboxSettingsEdit, AnalyticsView,
		GroupsEdit, GroupsMove, GroupsDelete, UsersView, UsersInvite, UsersEdit, UsersDeactivate,
		RolesView, RolesAssign, RolesManage, SettingsView, SettingsEdit, AccountStatusView, IntegrationsManage,
		AuditView, AuditExport, AccessExplain, AccessReviewManage, AccessReviewDecide)

	dashboard[ScopeSubtree] = SetOf(
		ConversationsView, ConversationsOpen, ConversationsTransfer, ConversationsClose, ConversationsAssign,
		QueueView, CustomerDataView, ContactsView, ContactsCreate, ContactsEdit, ContactsDelete,
		DashboardsView, AgentPanelView, AgentSettingsEdit, GroupsView, GroupsCreate, InboxSettingsEdit, AnalyticsView,
		AccessReviewDecide)

	billing[ScopeAccount] = SetOf(BillingView, BillingEdit, SubscriptionManage, PaymentsManage, InvoicesView)

	agent[ScopeTeam] = SetOf(ConversationsView)
	agent[ScopeGroup] = SetOf(ConversationsOpen)
	agent[ScopeAssigned] = SetOf(ConversationsReply, ConversationsTransfer, ConversationsClose, CustomerDataView)
	agent[ScopeQueue] = SetOf(QueueView, QueueClaim)

	developer[ScopeAccount] = SetOf(APIKeysManage, WebhooksManage, IntegrationsManage)

	return []BuiltIn{
		{Key: RoleOwner, Name: "User Administrator", Description: "Holds every permission in the whole account.",
			Pairs: owner, GivesCustom: GivesAllCustom,
			MayGive: []string{RoleOwner, RoleAdministrator, RoleDashboardAdministrator, RoleBillingManager, RoleAgent, RoleDeveloper}},
		{Key: RoleAdministrator, Name: "Administrator", Description: "Runs groups, users, roles and settings; sees no contacts and no invoices.",
			Pairs: administrator, GivesCustom: GivesCoveredCustom,
			MayGive: []string{RoleAdministrator, RoleDashboardAdministrator, RoleBillingManager, RoleAgent, RoleDeveloper}},
		{Key: RoleDashboardAdministrator, Name: "Dashboard Administrator", Description: "Supervises the service of a branch: its groups, agents, contacts and reports.", Pairs: dashboard},
		{Key: RoleBillingManager, Name: "Billing Manager", Description: "Manages plan, payments and invoices.", Pairs: billing},
		{Key: RoleAgent, Name: "Agent", Description: "Serves contacts: claims them from the queue and answers them.", Pairs: agent},
		{Key: RoleDeveloper, Name: "Developer", Description: "Connects other systems.", Pairs: developer},
	}
}

// BuiltInRole returns the built-in role of that key, or false.
func BuiltInRole(key string) (BuiltIn, bool) {
	for _, r := range BuiltInRoles() {
		if r.Key == key {
			return r, true
		}
	}
	return BuiltIn{}, false
}
