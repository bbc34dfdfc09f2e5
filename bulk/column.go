package bulk

import (
	"strconv"
	"strings"
	"time"

	"canopy/refusal"
)

// column is a column of a CSV file: how a record gives its cell, and how it takes one.
type column struct {
	name     string
	required bool // to be in the header, and not to be empty
	number   bool // nothing but a number or a word of Canopy's: no spreadsheet takes it for a formula
	cell     func(Record) string
	take     func(Record, string) *refusal.Refusal
}

// columns returns those of a kind, in the order in which they are written.
func columns(kind Kind) []column {
	switch kind {
	case Groups:
		return groupColumns()
	case Users:
		return userColumns()
	case Contacts:
		return contactColumns()
	}
	return nil
}

func groupColumns() []column {
	return []column{
		{name: "path", required: true, cell: func(r Record) string { return r.Group.Path.String() },
			take: func(r Record, c string) *refusal.Refusal { r.Group.Path = parsePath(c); return nil }},
		{name: "visibility", number: true, cell: func(r Record) string { return r.Group.Visibility },
			take: text(func(r Record) *string { return &r.Group.Visibility })},
		{name: "sharedInbox", number: true, cell: func(r Record) string { return ifSet(r.Group.SharedInbox, strconv.FormatBool) },
			take: takeBool},
		{name: "assignmentMode", number: true, cell: func(r Record) string { return ifSet(r.Group.AssignmentMode, strings.Clone) },
			take: func(r Record, c string) *refusal.Refusal { r.Group.AssignmentMode = given(c); return nil }},
		whole("capacity", func(g *Group) **int { return &g.Capacity }),
		whole("radarWindow", func(g *Group) **int { return &g.RadarWindow }),
		whole("escalateAfter", func(g *Group) **int { return &g.EscalateAfter }),
		whole("reassignAfter", func(g *Group) **int { return &g.ReassignAfter }),
		whole("closeAfter", func(g *Group) **int { return &g.CloseAfter }),
	}
}

func userColumns() []column {
	return []column{
		{name: "email", required: true, cell: func(r Record) string { return r.User.Email }, take: text(func(r Record) *string { return &r.User.Email })},
		{name: "name", required: true, cell: func(r Record) string { return r.User.Name }, take: text(func(r Record) *string { return &r.User.Name })},
		{name: "home", required: true, cell: func(r Record) string { return visible(r.User.Home) },
			take: func(r Record, c string) *refusal.Refusal { r.User.Home = parsePath(c); return nil }},
		{name: "grants", cell: func(r Record) string { return formatGrants(r.User.Grants) }, take: takeGrants},
	}
}

func contactColumns() []column {
	of := func(name string, field func(*Contact) *string) column {
		return column{name: name, cell: func(r Record) string { return *field(r.Contact) },
			take: text(func(r Record) *string { return field(r.Contact) })}
	}
	name := of("name", func(c *Contact) *string { return &c.Name })
	name.required = true
	return []column{
		name,
		of("phone", func(c *Contact) *string { return &c.Phone }),
		of("email", func(c *Contact) *string { return &c.Email }),
		of("channel", func(c *Contact) *string { return &c.Channel }),
		of("address", func(c *Contact) *string { return &c.Address }),
		{name: "group", required: true, cell: func(r Record) string { return visible(r.Contact.Group) },
			take: func(r Record, c string) *refusal.Refusal { r.Contact.Group = parsePath(c); return nil }},
		of("agent", func(c *Contact) *string { return &c.Agent }),
	}
}

// visible writes a path, and nothing for that of a group that is hidden from whoever exports.
func visible(p Path) string {
	if p == nil {
		return ""
	}
	return p.String()
}

func text(field func(Record) *string) func(Record, string) *refusal.Refusal {
	return func(r Record, cell string) *refusal.Refusal {
		*field(r) = cell
		return nil
	}
}

func ifSet[T any](v *T, format func(T) string) string {
	if v == nil {
		return ""
	}
	return format(*v)
}

func takeBool(r Record, cell string) *refusal.Refusal {
	if cell == "" {
		return nil
	}
	v, err := strconv.ParseBool(cell)
	if err != nil {
		return refusal.BadInput("sharedInbox", "%q is neither true nor false. Leave the cell empty to inherit.", cell)
	}
	r.Group.SharedInbox = &v
	return nil
}

// whole is a column of a setting that is a number.
func whole(name string, field func(*Group) **int) column {
	return column{name: name, number: true, cell: func(r Record) string { return ifSet(*field(r.Group), strconv.Itoa) },
		take: func(r Record, cell string) *refusal.Refusal {
			if cell == "" {
				return nil
			}
			n, err := strconv.Atoi(cell)
			if err != nil {
				return refusal.BadInput(name, "%q is not a whole number. Leave the cell empty to inherit.", cell)
			}
			*field(r.Group) = &n
			return nil
		}}
}

// formatGrants writes grants as a cell: ROLE, ROLE@group, ROLE|until or ROLE@group|until, with semicolons between them.
func formatGrants(grants []Grant) string {
	cells := make([]string, len(grants))
	for i, g := range grants {
		cells[i] = escape(g.Role)
		if g.Group != nil {
			cells[i] += "@" + g.Group.String()
		}
		if g.Until != nil {
			cells[i] += "|" + g.Until.UTC().Format(time.RFC3339Nano)
		}
	}
	return strings.Join(cells, ";")
}

func takeGrants(r Record, cell string) *refusal.Refusal {
	if cell == "" {
		return nil
	}
	for _, part := range split(cell, ';') {
		what, until, ends := cut(part, '|')
		role, at, fixed := cut(what, '@')
		g := Grant{Role: unescape(strings.TrimSpace(role))}
		if fixed {
			path := parsePath(strings.TrimSpace(at))
			g.Group = &path
		}
		if ends {
			moment, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(until))
			if err != nil {
				return refusal.BadInput("grants", "%q is not a moment. Write one like 2027-03-31T18:00:00Z.", until)
			}
			g.Until = &moment
		}
		r.User.Grants = append(r.User.Grants, g)
	}
	return nil
}

func cut(text string, separator byte) (before, after string, found bool) {
	parts := split(text, separator)
	return parts[0], strings.Join(parts[1:], string(separator)), len(parts) > 1
}
