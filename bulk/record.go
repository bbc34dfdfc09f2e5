package bulk

import (
	"strings"
	"time"

	"canopy/desk"
	"canopy/directory"
	"canopy/ent/generated/group"
	"canopy/internal/mask"
	"canopy/internal/optional"
	"canopy/refusal"
)

// Kind is what the records of a file are.
type Kind string

// The kinds.
const (
	Groups   Kind = "GROUPS"
	Users    Kind = "USERS"
	Contacts Kind = "CONTACTS"
)

// Record is one row of an input: exactly one of the three is set, or it says why the row cannot be read.
type Record struct {
	Line    int
	Group   *Group
	User    *User
	Contact *Contact
	Bad     *refusal.Refusal
}

// Path names a group as the viewer sees the tree: the names from below the root, or from the topmost group that they
// see. The empty path is the root.
type Path []string

// Group is a group to create. What is nil is inherited; periods are in seconds, and -1 is an explicit "unlimited" or
// "never".
type Group struct {
	Path           Path    `json:"path"`
	Visibility     string  `json:"visibility,omitempty"` // RESTRICTED; empty is INHERITED
	SharedInbox    *bool   `json:"sharedInbox,omitempty"`
	AssignmentMode *string `json:"assignmentMode,omitempty"`
	Capacity       *int    `json:"capacity,omitempty"`
	RadarWindow    *int    `json:"radarWindow,omitempty"`
	EscalateAfter  *int    `json:"escalateAfter,omitempty"`
	ReassignAfter  *int    `json:"reassignAfter,omitempty"`
	CloseAfter     *int    `json:"closeAfter,omitempty"`
}

// User is a user to invite.
type User struct {
	Email  string  `json:"email"`
	Name   string  `json:"name"`
	Home   Path    `json:"home"`
	Grants []Grant `json:"grants,omitempty"`
}

// Grant is a role that a user begins with.
type Grant struct {
	Role  string     `json:"role"`            // key of a built-in role, or name
	Group *Path      `json:"group,omitempty"` // nil: follows the home group
	Until *time.Time `json:"until,omitempty"`
}

// Contact is a contact to create. It is known again by its address on its channel; one without is new each time.
type Contact struct {
	Name    string `json:"name"`
	Phone   string `json:"phone,omitempty"`
	Email   string `json:"email,omitempty"`
	Channel string `json:"channel,omitempty"`
	Address string `json:"address,omitempty"`
	Group   Path   `json:"group"`
	Agent   string `json:"agent,omitempty"` // e-mail address of whom serves it; empty: it waits
}

// maxDepth bounds the length of a path before anything is looked up.
const maxDepth = 100

// check refuses a record that is not of the kind, and text that cannot be stored.
func (r Record) check(kind Kind) error {
	if r.Bad != nil {
		return r.Bad
	}
	switch {
	case kind == Groups && r.Group != nil:
		return texts{"path": r.Group.Path, "visibility": {r.Group.Visibility}}.check()
	case kind == Users && r.User != nil:
		return r.User.texts().check()
	case kind == Contacts && r.Contact != nil:
		c := r.Contact
		for column, text := range map[string]string{"phone": c.Phone, "email": c.Email, "address": c.Address} {
			if strings.Contains(text, mask.Hidden[:len("•")]) {
				return refusal.BadInput(column, "The value is masked: whoever exported it may not see it. Leave it out, or export it as somebody who may.")
			}
		}
		return texts{"name": {c.Name}, "phone": {c.Phone}, "email": {c.Email}, "channel": {c.Channel}, "address": {c.Address},
			"group": c.Group, "agent": {c.Agent}}.check()
	}
	return refusal.BadInput("", "The row is not one of %s.", kind)
}

func (u User) texts() texts {
	t := texts{"email": {u.Email}, "name": {u.Name}, "home": u.Home}
	for _, g := range u.Grants {
		t["grants"] = append(t["grants"], g.Role)
		if g.Group != nil {
			t["grants"] = append(t["grants"], *g.Group...)
		}
	}
	return t
}

// texts are those of a record, by column.
type texts map[string][]string

func (t texts) check() error {
	for column, list := range t {
		if len(list) > maxDepth && column != "grants" {
			return refusal.BadInput(column, "The path has more than %d names.", maxDepth)
		}
		for _, text := range list {
			if !writable(text) {
				return refusal.BadInput(column, "The text is not valid. Write it as UTF-8, without null characters.")
			}
		}
	}
	return nil
}

func (g Group) input() directory.ImportGroup {
	in := directory.ImportGroup{Path: g.Path, Visibility: group.Visibility(g.Visibility)}
	in.Settings = directory.UpdateGroupSettings{
		SharedInbox: setting(g.SharedInbox), Capacity: setting(g.Capacity), RadarWindow: setting(g.RadarWindow),
		EscalateAfter: setting(g.EscalateAfter), ReassignAfter: setting(g.ReassignAfter), CloseAfter: setting(g.CloseAfter),
	}
	if g.AssignmentMode != nil {
		in.Settings.AssignmentMode = optional.To(group.AssignmentMode(*g.AssignmentMode))
	}
	return in
}

func setting[T any](v *T) optional.Value[T] {
	if v == nil {
		return optional.Value[T]{}
	}
	return optional.To(*v)
}

func (u User) input() directory.ImportUser {
	in := directory.ImportUser{Name: u.Name, Email: u.Email, Home: u.Home}
	for _, g := range u.Grants {
		grant := directory.ImportGrant{Role: g.Role, Until: g.Until}
		if g.Group != nil {
			grant.AtGroup, grant.Group = true, *g.Group
		}
		in.Grants = append(in.Grants, grant)
	}
	return in
}

func (c Contact) input() desk.ImportContact {
	return desk.ImportContact{Name: c.Name, Phone: given(c.Phone), Email: given(c.Email), Channel: given(c.Channel), Address: given(c.Address)}
}

// given returns nil for a cell that is empty.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
