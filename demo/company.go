package demo

import (
	"canopy/authz"
	"canopy/ent/generated/account"
	"canopy/ent/generated/group"
)

// company is an account to make.
type company struct {
	name, slug string
	plan       account.Plan
	tree       branch
	cast       []person // those that are named by hand; the first is the primary owner
	people     int      // how many there shall be in all
	contacts   int      // how many there shall be in all
}

// People of the cast whom the story needs.
const (
	loginInvited = "invited" // never answered the invitation
	loginGateway = "gateway" // the connection to the channels
)

// address is the e-mail address of a person of the company.
func (c company) address(login string) string { return login + "@" + c.slug + ".example" }

// branch is a group with what is below it.
type branch struct {
	name       string
	restricted bool
	settings   settings
	below      []branch
}

// settings are those that a group sets itself; what is nil is inherited.
type settings struct {
	sharedInbox                                      *bool
	mode                                             *group.AssignmentMode
	capacity, radarWindow, reassignAfter, closeAfter *int
}

// person is a user who is named by hand.
type person struct {
	login string // before the @ of the e-mail address
	name  string
	home  string   // name of the group; empty: the root
	roles []string // keys of built-in roles, following the home group
	label string   // what they show, for who chooses whom to log in as; empty: not offered
	about string
}

// acaciaOutfitters is the large company: five levels from the company down to the teams.
func acaciaOutfitters() company {
	return company{
		name: "Acacia Outfitters (demo)", slug: acacia, plan: account.PlanPRO, people: 200, contacts: 2000,
		tree: acaciaTree(), cast: acaciaCast(),
	}
}

func acaciaTree() branch {
	return branch{
		name:     "Acacia Outfitters (demo)",
		settings: settings{capacity: new(12)}, // and no closeAfter: all lies in the past, and would be closed as soon as it is served
		below: []branch{
			{name: "Northern Region", settings: settings{mode: new(group.AssignmentModeMANUAL), capacity: new(8)}, below: []branch{
				{name: "Larkmoor", below: []branch{
					{name: "Larkmoor Harbour", settings: settings{capacity: new(6)}, below: []branch{
						{name: "Harbour Sales"},
						{name: "Harbour Service", settings: settings{sharedInbox: new(true)}},
					}},
					{name: "Larkmoor Station", below: teams("Station")},
				}},
				{name: "Pinewick", settings: settings{mode: new(group.AssignmentModeROUND_ROBIN)}, below: []branch{
					{name: "Pinewick Market", below: []branch{
						{name: "Market Sales"},
						{name: "Market Service", settings: settings{mode: new(group.AssignmentModeMANUAL)}},
					}},
					{name: "Pinewick Mill", below: teams("Mill")},
				}},
				{name: "Saltmere", below: []branch{
					{name: "Saltmere Quay", below: teams("Quay")},
					{name: "Saltmere Lighthouse", below: teams("Lighthouse")},
				}},
			}},
			{name: "Southern Region", settings: settings{reassignAfter: new(3 * day)}, below: []branch{
				{name: "Dunhollow", below: []branch{
					{name: "Dunhollow Gate", below: teams("Gate")},
					{name: "Dunhollow Park", below: teams("Park")},
				}},
				{name: "Ferncastle", below: []branch{
					{name: "Ferncastle Old Town", below: teams("Old Town")},
					{
						name: "Private Clients", restricted: true,
						settings: settings{mode: new(group.AssignmentModeMANUAL), closeAfter: new(never)},
						below:    []branch{{name: "Concierge"}, {name: "Bespoke Orders"}},
					},
				}},
				{name: "Coppergate", below: []branch{
					{name: "Coppergate Mint", below: teams("Mint")},
					{name: "Coppergate Canal", below: teams("Canal")},
				}},
			}},
			{name: "Online", settings: settings{mode: new(group.AssignmentModeRADAR), radarWindow: new(60)}, below: []branch{
				{name: "Web Shop", below: []branch{
					{name: "Web Chat", settings: settings{capacity: new(unlimited)}, below: []branch{{name: "Early Shift"}, {name: "Late Shift"}}},
					{name: "Web Returns", below: []branch{{name: "Returns Desk"}, {name: "Refunds Desk"}}},
				}},
				{name: "Marketplace", below: []branch{
					{name: "Marketplace Support", below: []branch{{name: "Sellers"}, {name: "Buyers"}}},
				}},
			}},
			{name: "Head Office", below: []branch{{name: "People"}, {name: "Finance"}}},
		},
	}
}

// What stands for "as many as you like" and "not at all" in settings, and how long a day is in them.
const (
	unlimited = -1
	never     = -1
	day       = 24 * 60 * 60
)

func teams(of string) []branch { return []branch{{name: of + " Sales"}, {name: of + " Service"}} }

// The roles, short.
const (
	owner         = authz.RoleOwner
	administrator = authz.RoleAdministrator
	supervisor    = authz.RoleDashboardAdministrator
	billing       = authz.RoleBillingManager
	agent         = authz.RoleAgent
	developer     = authz.RoleDeveloper
)

func acaciaCast() []person {
	return []person{
		{"owner", "Olive Ashdown", "", []string{owner}, "Owner", "Olive Ashdown is the primary owner: everything in the account"},
		{"owner.two", "Oscar Brindle", "", []string{owner}, "Second owner", "Oscar Brindle may do all but what is for the primary owner alone"},
		{"administrator", "Ada Thornbury", "People", []string{administrator}, "Administrator", "Ada Thornbury runs groups, users and roles; sees no contact and no invoice"},
		{"supervisor", "Silas Overhill", "", []string{supervisor}, "Dashboard administrator, all", "Silas Overhill supervises from the root down; Private Clients is closed to him"},
		{"supervisor.north", "Nora Fellgate", "Northern Region", []string{supervisor}, "Dashboard administrator, region", "Nora Fellgate supervises the Northern Region"},
		{"supervisor.larkmoor", "Linus Merriweather", "Larkmoor", []string{supervisor}, "Dashboard administrator, city", "Linus Merriweather supervises Larkmoor"},
		{"supervisor.harbour", "Hazel Quillfeather", "Larkmoor Harbour", []string{supervisor}, "Dashboard administrator, branch", "Hazel Quillfeather supervises the Larkmoor Harbour branch"},
		{"supervisor.private", "Perla Vantongeren", "Private Clients", []string{supervisor}, "Dashboard administrator, private", "Perla Vantongeren supervises Private Clients, which is RESTRICTED"},
		{"agent", "Agatha Larkspur", "Harbour Service", []string{agent}, "Agent, Shared Inbox", "Agatha Larkspur serves in Harbour Service: sees what her team serves, claims from the queues above"},
		{"agent.station", "Stellan Pockett", "Station Sales", []string{agent}, "Agent, own contacts", "Stellan Pockett serves in Station Sales: sees what is his, claims from the queues above"},
		{"agent.market", "Marigold Tuck", "Market Sales", []string{agent}, "Agent, ROUND_ROBIN", "Marigold Tuck serves in Market Sales, whose queue is closed to her: assignment is ROUND_ROBIN; the region's is open"},
		{"agent.private", "Piers Underwick", "Concierge", []string{agent}, "Agent, private", "Piers Underwick serves in Concierge, inside the RESTRICTED branch"},
		{"lead", "Lotte Hollowell", "Harbour Sales", []string{agent, supervisor}, "Team lead", "Lotte Hollowell is agent and dashboard administrator of Harbour Sales"},
		{"neighbour", "Nils Barrowby", "Quay Sales", []string{agent}, "Agent with a second place", "Nils Barrowby is agent of Quay Sales, and dashboard administrator of Saltmere Lighthouse by a grant that stays there"},
		{"standin", "Stina Copperfield-Moss", "Station Service", []string{agent}, "Stand-in", "Stina Copperfield-Moss is agent, and dashboard administrator of Larkmoor Station until 2031"},
		{"coach", "Cosmo Winterbourne", "People", nil, "Custom role", "Cosmo Winterbourne is Quality Coach, a custom role: reads conversations in the Southern Region"},
		{"billing", "Bianca Pennyworth", "Finance", []string{billing}, "Billing manager", "Bianca Pennyworth may change the plan, and sees nothing else"},
		{"developer", "Dexter Cogsworth", "Head Office", []string{developer}, "Developer", "Dexter Cogsworth connects other systems, and sees no contact"},
		{loginGateway, "Channel Gateway", "", []string{developer}, "", ""},
		{"paused", "Primrose Haltwell", "Gate Sales", []string{agent}, "Paused agent", "Primrose Haltwell's access is paused: she is refused everything"},
		{"left", "Lionel Partridge-Gone", "Gate Service", []string{agent}, "", ""},
		{loginInvited, "Ines Newcombe", "Park Sales", []string{agent}, "", ""},
	}
}

// birchRepairs is the small company: one group is all that its plan allows.
func birchRepairs() company {
	return company{
		name: "Birch Repairs (demo)", slug: birch, plan: account.PlanSTARTER, people: 4, contacts: 20,
		tree: branch{name: "Birch Repairs (demo)", settings: settings{mode: new(group.AssignmentModeMANUAL), sharedInbox: new(true)}},
		cast: []person{
			{"owner", "Bertram Sawtooth", "", []string{owner}, "Owner, small company", "Bertram Sawtooth owns another account: nothing of Acacia exists for him"},
			{"agent", "Beryl Hingely", "", []string{agent}, "Agent, small company", "Beryl Hingely serves all contacts of Birch Repairs"},
		},
	}
}
