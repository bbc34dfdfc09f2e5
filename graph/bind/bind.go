// Package bind holds the Go types of the schema that are neither rows nor written by the generator: connections,
// agent cards, the viewer, settings, and the scalars Time and Int.
//
// It is a package of its own because generated code imports it. It runs no query and decides no access; package graph
// fills its types.
package bind

import (
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/relay"
)

// Node is everything that has an id.
type Node interface{ GlobalID() relay.ID }

type (
	// GroupConnection is a page of groups.
	GroupConnection = relay.Connection[*ent.Group]
	// GroupEdge is one group of a page.
	GroupEdge = relay.Edge[*ent.Group]

	// GroupMoveConnection is a page of moves of big branches.
	GroupMoveConnection = relay.Connection[*ent.GroupMove]
	// GroupMoveEdge is one move of a page.
	GroupMoveEdge = relay.Edge[*ent.GroupMove]
	// GroupRequestConnection is a page of requests for groups.
	GroupRequestConnection = relay.Connection[*ent.GroupRequest]
	// GroupRequestEdge is one request of a page.
	GroupRequestEdge = relay.Edge[*ent.GroupRequest]

	// UserConnection is a page of users.
	UserConnection = relay.Connection[*ent.User]
	// UserEdge is one user of a page.
	UserEdge = relay.Edge[*ent.User]

	// AgentConnection is a page of agent cards.
	AgentConnection = relay.Connection[*Agent]
	// AgentEdge is one card of a page.
	AgentEdge = relay.Edge[*Agent]

	// AgentPanelConnection is a page of a panel.
	AgentPanelConnection = relay.Connection[*AgentPanelEntry]
	// AgentPanelEdge is one agent of a page of a panel.
	AgentPanelEdge = relay.Edge[*AgentPanelEntry]

	// RoleGrantConnection is a page of grants.
	RoleGrantConnection = relay.Connection[*ent.RoleGrant]
	// RoleGrantEdge is one grant of a page.
	RoleGrantEdge = relay.Edge[*ent.RoleGrant]

	// ContactConnection is a page of contacts.
	ContactConnection = relay.Connection[*ent.Contact]
	// ContactEdge is one contact of a page.
	ContactEdge = relay.Edge[*ent.Contact]

	// ContactAssignmentConnection is a page of assignments.
	ContactAssignmentConnection = relay.Connection[*ent.ContactAssignment]
	// ContactAssignmentEdge is one assignment of a page.
	ContactAssignmentEdge = relay.Edge[*ent.ContactAssignment]

	// HistoryEntryConnection is a page of a history.
	HistoryEntryConnection = relay.Connection[*ent.HistoryEntry]
	// HistoryEntryEdge is one entry of a page.
	HistoryEntryEdge = relay.Edge[*ent.HistoryEntry]

	// ConversationConnection is a page of conversations.
	ConversationConnection = relay.Connection[*ent.Conversation]
	// ConversationEdge is one conversation of a page.
	ConversationEdge = relay.Edge[*ent.Conversation]

	// MessageConnection is a page of messages.
	MessageConnection = relay.Connection[*ent.Message]
	// MessageEdge is one message of a page.
	MessageEdge = relay.Edge[*ent.Message]

	// NoteConnection is a page of notes.
	NoteConnection = relay.Connection[*ent.Note]
	// NoteEdge is one note of a page.
	NoteEdge = relay.Edge[*ent.Note]

	// AccessChangeConnection is a page of changes of access.
	AccessChangeConnection = relay.Connection[*directory.AccessChange]
	// AccessChangeEdge is one change of a page.
	AccessChangeEdge = relay.Edge[*directory.AccessChange]

	// AuditEventConnection is a page of recorded changes.
	AuditEventConnection = relay.Connection[*ent.AuditEvent]
	// AuditEventEdge is one change of a page.
	AuditEventEdge = relay.Edge[*ent.AuditEvent]
)

// Agent is the card of a user who serves contacts: what colleagues and supervisors see of them. Its number is the
// user's, its id is not.
type Agent struct{ *ent.User }

// NewAgent returns the card of the user, nil for nil.
func NewAgent(u *ent.User) *Agent {
	if u == nil {
		return nil
	}
	return &Agent{u}
}

// GlobalID returns the id of the card as clients see it.
func (a *Agent) GlobalID() relay.ID { return relay.NewID(relay.KindAgent, a.ID) }

// AccessPaused says whether the agent is shut out until somebody resumes their access.
func (a *Agent) AccessPaused() bool { return a.AccessPausedAt != nil }

// ConsideredOutcome is what became of an agent who came into question for a contact, in the words of package desk.
type ConsideredOutcome string

// Considered is an agent who came into question for a contact.
type Considered struct {
	Agent   *Agent
	Outcome ConsideredOutcome
	Earlier bool // what happened to them happened before the entry: the contact does not go to them by it
}

// Words say what became of it, continuing the agent's name.
func (c *Considered) Words() string {
	switch c.Outcome {
	case "CHOSEN":
		return "got the contact"
	case "ASKED":
		if c.Earlier {
			return "had been asked before"
		}
		return "was asked"
	case "UNAVAILABLE":
		return "was not available"
	case "PAUSED":
		return "could not work: their access was paused"
	case "FULL":
		return "had as many open conversations as they may hold"
	case "OUTSIDE_HOURS":
		return "was outside their working hours"
	case "COVERED":
		return "was covered by somebody else"
	case "SERVED_BEFORE":
		return "served it until it was passed on"
	case "NOT_SERVING":
		return "did not serve"
	case "LEFT_OUT":
		return "had not waited as long as somebody else"
	}
	return "was passed over"
}

// AgentPanel is the panel of a group, or with Below of its whole branch.
type AgentPanel struct {
	Group *ent.Group
	Below bool
}

// AgentPanelEntry is one agent of a panel.
type AgentPanelEntry struct {
	Agent          *Agent
	State          desk.AgentState
	Load           int
	Capacity       *AgentCapacity
	LastActivityAt *time.Time
}

// PausedSince is since when the agent's access is paused; nil while it is not.
func (e *AgentPanelEntry) PausedSince() *time.Time { return e.Agent.AccessPausedAt }

// Viewer is who asks, as clients see it.
type Viewer struct{ *authz.Viewer }

// NewViewer returns what clients see of the viewer.
func NewViewer(v *authz.Viewer) *Viewer { return &Viewer{v} }

// Allowed lists all that the viewer may do somewhere, in the order of the chart.
func (v *Viewer) Allowed() []authz.Permission { return Spell(v.Permissions()) }

// Modules lists the parts of the product of which the viewer may do anything.
func (v *Viewer) Modules() []authz.Module {
	if modules := v.Permissions().Modules(); modules != nil {
		return modules
	}
	return []authz.Module{}
}

// Spell lists the permissions of a set in the order of the chart; it is never nil.
func Spell(s authz.Set) []authz.Permission {
	list := make([]authz.Permission, 0, s.Len())
	for p := range s.All() {
		list = append(list, p)
	}
	return list
}

// Offer is a contact on offer to an agent. Its number is the contact's.
type Offer struct {
	ContactID int64
	AgentID   int64 // may be of somebody whose card the viewer does not see
	ExpiresAt time.Time
}

// Setting is one setting of a group: the value in force and where it comes from.
type Setting[T any] struct {
	Value T
	Own   bool
	// SetByID is the number of the group that sets it, 0 for the default. It may name a group that the viewer does not
	// see.
	SetByID int64
}

type (
	// BooleanSetting is on or off.
	BooleanSetting = Setting[bool]
	// IntSetting is a number or a time in seconds.
	IntSetting = Setting[int]
	// AgentCapacity is the capacity in force for an agent, with SetByID 0 where it is their own.
	AgentCapacity = Setting[int]
	// AssignmentModeSetting says what happens with arriving contacts.
	AssignmentModeSetting = Setting[group.AssignmentMode]
)

// GroupSettings are the settings of a group, inherited ones resolved.
type GroupSettings struct {
	SharedInbox    BooleanSetting
	AssignmentMode AssignmentModeSetting
	Capacity       IntSetting
	RadarWindow    IntSetting
	EscalateAfter  IntSetting
	ReassignAfter  IntSetting
	CloseAfter     IntSetting
}
