package rule

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"canopy/authz"
	"canopy/tree"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// row spells a column of the row that is judged, with the name or alias of its table.
type row func(column string) string

// aliased is a row of a table that a rule joins itself.
func aliased(alias string) row { return func(column string) string { return alias + "." + column } }

// clause writes a condition. The nil clause is true.
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
				write(b, arg)
			case column:
				b.WriteString(string(arg))
			default:
				b.Arg(arg)
			}
		}
	}
}

func write(b *sql.Builder, c clause) {
	if c == nil {
		b.WriteString("TRUE")
		return
	}
	c(b)
}

// anyOf is true when one of the clauses is; of none it is false.
func anyOf(clauses ...clause) clause {
	if slices.ContainsFunc(clauses, func(c clause) bool { return c == nil }) {
		return nil
	}
	if len(clauses) == 0 {
		return func(b *sql.Builder) { b.WriteString("FALSE") }
	}
	return joined(" OR ", clauses)
}

// allOf is true when all the clauses are.
func allOf(clauses ...clause) clause {
	clauses = slices.DeleteFunc(clauses, func(c clause) bool { return c == nil })
	if len(clauses) == 0 {
		return nil
	}
	return joined(" AND ", clauses)
}

func joined(word string, clauses []clause) clause {
	if len(clauses) == 1 {
		return clauses[0]
	}
	return func(b *sql.Builder) {
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
		return nil
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
		return nil
	}
	var ways []clause
	if len(r.Groups) > 0 {
		ways = append(ways, in(col, r.Groups))
	}
	if len(r.Subtrees) > 0 {
		ways = append(ways, text("EXISTS (SELECT 1 FROM groups AS rule_group WHERE rule_group.id = ? AND ?)",
			column(col), inSubtrees(aliased("rule_group"), r.Subtrees)))
	}
	return anyOf(ways...)
}

// fewPlaces is up to how many places comparing with each is as fast as looking up.
const fewPlaces = 3

// inSubtrees is inSubtree of any of the places, for a group that is found by its number. SQLite looks it up and
// compares with all of them: so of many places it compares with those at each depth at once. PostgreSQL may begin with
// the groups in the ranges, and shall.
func inSubtrees(group row, places []authz.Place) clause {
	var each, levels []clause
	byLength := map[int][]string{}
	for _, p := range places {
		each = append(each, inSubtree(group, p))
		byLength[len(p.Path)] = append(byLength[len(p.Path)], p.Path)
	}
	for _, n := range slices.Sorted(maps.Keys(byLength)) {
		paths, err := json.Marshal(byLength[n])
		if err != nil {
			panic(err) // texts only: it cannot fail
		}
		levels = append(levels, text("(length(?) <= ? AND substr(?, 1, ?) IN (SELECT value FROM json_each(?)))",
			column(group("wall")), n, column(group("path")), n, string(paths)))
	}
	return func(b *sql.Builder) {
		if b.Dialect() == dialect.SQLite && len(places) > fewPlaces {
			write(b, anyOf(levels...))
		} else {
			write(b, anyOf(each...))
		}
	}
}

// contact is true for a row of the table contacts that one of the permissions reaches.
func contact(c row, v *authz.Viewer, permissions ...authz.Permission) clause {
	var all, waiting authz.Reach
	for _, p := range permissions {
		if r := v.Reach(p); r.Waiting {
			merge(&waiting, r)
		} else {
			merge(&all, r)
		}
	}
	queues := slices.Concat(waiting.Groups, waiting.Queues)
	// What is reached anyway need not be looked up once more for unassigned contacts.
	waiting.Subtrees = slices.DeleteFunc(waiting.Subtrees, func(p authz.Place) bool { return slices.Contains(all.Subtrees, p) })
	waiting.Groups = append(waiting.Groups, waiting.Queues...)
	waiting.Groups = append(waiting.Groups, all.Queues...)
	waiting.Groups = slices.DeleteFunc(waiting.Groups, func(id int64) bool { return slices.Contains(all.Groups, id) })

	ways := []clause{at(c("group_id"), all)}
	if all.Assigned && !all.Account {
		ways = append(ways, text("? = ?", column(c("assigned_user_id")), v.UserID))
	}
	if !waiting.Empty() {
		ways = append(ways, allOf(text("? IS NULL", column(c("assigned_user_id"))), at(c("group_id"), waiting)))
	}
	if len(queues) > 0 {
		ways = append(ways, allOf(text("? IS NULL", column(c("assigned_user_id"))), in(c("escalated_to_id"), queues)))
	}
	if (all.Offered || waiting.Offered) && !all.Account {
		ways = append(ways, text("(? = ? AND ? > ?)", column(c("offered_to_id")), v.UserID, column(c("offer_ends_at")), v.At))
	}
	return anyOf(ways...)
}

// union adds what a list has not got. One role holds several permissions at the same place, and each row would be judged
// by that place as often.
func union[T comparable](list, more []T) []T {
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}

// merge adds a reach to another one.
func merge(to *authz.Reach, r authz.Reach) {
	to.Account = to.Account || r.Account
	to.Assigned = to.Assigned || r.Assigned
	to.Offered = to.Offered || r.Offered
	to.Subtrees = union(to.Subtrees, r.Subtrees)
	to.Groups = union(to.Groups, r.Groups)
	to.Queues = union(to.Queues, r.Queues)
}
