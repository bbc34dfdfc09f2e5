package authz

// Template is a custom role that many accounts want, to be made from it and then changed like any other.
type Template struct {
	Key         string
	Name        string
	Description string
	PolicyNote  string
	Pairs       Pairs
	// MayGive lists the keys of the built-in roles that holders may give.
	MayGive []string
}

// The keys of the templates.
const (
	TemplateContactEditor = "CONTACT_EDITOR"
	TemplateBranchManager = "BRANCH_MANAGER"
	TemplateAuditor       = "AUDITOR"
)

// Templates returns the templates of custom roles. Administrators may make each of them.
func Templates() []Template {
	var editor, manager, auditor Pairs

	editor[ScopeSubtree] = SetOf(ContactsView, ContactsCreate, ContactsEdit, CustomerDataView, GroupsView)

	supervisor, _ := BuiltInRole(RoleDashboardAdministrator)
	manager = supervisor.Pairs
	manager[ScopeSubtree] |= SetOf(UsersView, UsersInvite, UsersEdit, UsersDeactivate, RolesAssign)

	auditor[ScopeAccount] = SetOf(GroupsView, UsersView, RolesView, SettingsView, AccountStatusView, AuditView, AuditExport, AccessExplain)

	return []Template{
		{Key: TemplateContactEditor, Name: "Contact Editor",
			Description: "Keeps the contact data of a branch: creates and changes contacts, phone numbers and e-mail addresses included, and answers nobody.",
			PolicyNote:  "Grant it at the branch. It sees personal data unmasked; it deletes, imports and exports nothing.", Pairs: editor},
		{Key: TemplateBranchManager, Name: "Branch Manager",
			Description: "Runs a branch: everything of a Dashboard Administrator, and the users of the branch.",
			PolicyNote: "Grant it at the branch, at a fixed group, so that it stays there when the manager moves. Managers make agents and " +
				"supervisors of their own branch and nothing else.",
			Pairs: manager, MayGive: []string{RoleDashboardAdministrator, RoleAgent}},
		{Key: TemplateAuditor, Name: "Auditor",
			Description: "Sees groups, users, roles, settings and the audit trail, and may ask why somebody may do something. Changes nothing, and sees no contacts and no invoices.",
			PolicyNote:  "Give it an end.", Pairs: auditor},
	}
}

// TemplateOf returns the template of that key, or false.
func TemplateOf(key string) (Template, bool) {
	for _, t := range Templates() {
		if t.Key == key {
			return t, true
		}
	}
	return Template{}, false
}
