package rule

import (
	"strings"

	"canopy/authz"
	"canopy/tree"

	"entgo.io/ent/dialect/sql"
)

// row spells a column of the row that is judged, with the name or alias of its table.
type row func(column string) string

// aliased is a row of a table that a rule joins itself.
func aliased(alias string) row { return func(column string) string { return alias + "." + column } }

// clause writes a condition.
type clause = func(*sql.Builder)

// column is an argument of text that is written as it is.
type column string

// text writes SQL in which each ? stands for one argument: a clause or column in place, anything else as a parameter.
func text(format string, args ...any) clause {
	parts := strings.Split(format, "?")
	return func(b *sql.Builder) {
		for i, part := range parts {
			b.WriteString(part)
			if i == len(parts)-1 {
				return
			}
			switch arg := args[i].(type) {
			case clause:
				arg(b)
			case column:
				b.WriteString(string(arg))
			default:
				b.Arg(arg)
			}
		}
	}
}

// anyOf is true when one of the clauses is; of none it is false.
func anyOf(clauses ...clause) clause { return joined(" OR ", "FALSE", clauses) }

// allOf is true when all the clauses are.
func allOf(clauses ...clause) clause { return joined(" AND ", "TRUE", clauses) }

func joined(word, ofNone string, clauses []clause) clause {
	return func(b *sql.Builder) {
		if len(clauses) == 0 {
			b.WriteString(ofNone)
			return
		}
		b.WriteByte('(')
		for i, c := range clauses {
			if i > 0 {
				b.WriteString(word)
			}
			c(b)
		}
		b.WriteByte(')')
	}
}

// in is true when the column holds one of the ids.
func in(col string, ids []int64) clause {
	return func(b *sql.Builder) {
		b.WriteString(col).WriteString(" IN (")
		for i, id := range ids {
			if i > 0 {
				b.Comma()
			}
			b.Arg(id)
		}
		b.WriteByte(')')
	}
}

// inSubtree is true for a group at or below the place with no wall between. Wall and place are both prefixes of the
// group's path then, and of two such prefixes the shorter sorts first.
func inSubtree(group row, p authz.Place) clause {
	from, to := tree.Range(p.Path)
	return text("(? >= ? AND ? < ? AND ? <= ?)", column(group("path")), from, column(group("path")), to,
		column(group("wall")), p.Path)
}

// group is true for a row of the table groups that the reach contains as a group.
func group(g row, r authz.Reach) clause {
	if r.Account {
		return allOf()
	}
	var ways []clause
	for _, p := range r.Subtrees {
		ways = append(ways, inSubtree(g, p))
	}
	if len(r.Groups) > 0 {
		ways = append(ways, in(g("id"), r.Groups))
	}
	return anyOf(ways...)
}

// at is true when the column holds the id of a group that the reach contains.
func at(col string, r authz.Reach) clause {
	if r.Account {
		return allOf()
	}
	var ways, subtrees []clause
	for _, p := range r.Subtrees {
		subtrees = append(subtrees, inSubtree(aliased("rule_group"), p))
	}
	if len(subtrees) > 0 {
		ways = append(ways, text("EXISTS (SELECT 1 FROM groups AS rule_group WHERE rule_group.id = ? AND ?)",
			column(col), anyOf(subtrees...)))
	}
	if len(r.Groups) > 0 {
		ways = append(ways, in(col, r.Groups))
	}
	return anyOf(ways...)
}

// contact is true for a row of the table contacts that the reach contains.
func contact(c row, v *authz.Viewer, r authz.Reach) clause {
	waits := text("? IS NULL", column(c("assigned_user_id")))
	ways := []clause{at(c("group_id"), r)}
	if r.Assigned && !r.Account {
		ways = append(ways, text("? = ?", column(c("assigned_user_id")), v.UserID))
	}
	if len(r.Queues) > 0 {
		ways = append(ways, allOf(waits, in(c("group_id"), r.Queues)))
	}
	if r.Waiting {
		return allOf(waits, anyOf(ways...))
	}
	return anyOf(ways...)
}
