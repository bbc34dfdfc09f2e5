package store

import (
	"slices"

	"canopy/ent/generated/migrate"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
)

// bytewise are the columns that PostgreSQL compares byte by byte: those of the tree, because a subtree is a range of
// paths, and the folded names, so that lists have the same order on every server and on SQLite.
var bytewise = []string{"path", "wall", "name_key", "email_key"}

// Tables returns the tables of ent/schema as the database is to have them: a foreign key between two tables that
// both belong to an account includes the account, so that no row can refer to a row of another one.
func Tables(name string) []*schema.Table {
	tables := make([]*schema.Table, 0, len(migrate.Tables))
	byName := make(map[string]*schema.Table, len(migrate.Tables))
	for _, t := range migrate.Tables {
		c := copyTable(t)
		if name == dialect.Postgres {
			collate(c)
		}
		tables, byName[t.Name] = append(tables, c), c
	}
	for i, t := range migrate.Tables {
		for _, key := range t.ForeignKeys {
			tables[i].ForeignKeys = append(tables[i].ForeignKeys, withinAccount(tables[i], byName[key.RefTable.Name], key))
		}
	}
	return tables
}

// copyTable copies a table without its foreign keys. The generated tables are shared by the whole process, and a
// comparison of schemas writes into them.
func copyTable(t *schema.Table) *schema.Table {
	c := &schema.Table{Name: t.Name, Annotation: t.Annotation, Comment: t.Comment}
	for _, column := range t.Columns {
		copied := *column
		c.Columns = append(c.Columns, &copied)
	}
	for _, column := range t.PrimaryKey {
		c.PrimaryKey = append(c.PrimaryKey, mustColumn(c, column.Name))
	}
	for _, index := range t.Indexes {
		copied := &schema.Index{Name: index.Name, Unique: index.Unique, Annotation: index.Annotation}
		for _, column := range index.Columns {
			copied.Columns = append(copied.Columns, mustColumn(c, column.Name))
		}
		c.Indexes = append(c.Indexes, copied)
	}
	return c
}

func collate(t *schema.Table) {
	for _, column := range t.Columns {
		if slices.Contains(bytewise, column.Name) {
			column.Collation = "C"
		}
	}
}

// withinAccount copies a foreign key from t to ref, widened by the account if both tables have one. An account itself
// is the account of its primary owner.
func withinAccount(t, ref *schema.Table, key *schema.ForeignKey) *schema.ForeignKey {
	copied := &schema.ForeignKey{Symbol: key.Symbol, RefTable: ref, OnUpdate: key.OnUpdate, OnDelete: key.OnDelete}
	own, has := accountColumn(t)
	refOwn, refHas := accountColumn(ref)
	if has && refHas && ref.Name != "accounts" {
		copied.Columns = append(copied.Columns, mustColumn(t, own))
		copied.RefColumns = append(copied.RefColumns, mustColumn(ref, refOwn))
	}
	for i := range key.Columns {
		copied.Columns = append(copied.Columns, mustColumn(t, key.Columns[i].Name))
		copied.RefColumns = append(copied.RefColumns, mustColumn(ref, key.RefColumns[i].Name))
	}
	return copied
}

func accountColumn(t *schema.Table) (string, bool) {
	if t.Name == "accounts" {
		return "id", true
	}
	return "account_id", t.HasColumn("account_id")
}

func mustColumn(t *schema.Table, name string) *schema.Column {
	for _, c := range t.Columns {
		if c.Name == name {
			return c
		}
	}
	panic("store: table " + t.Name + " has no column " + name)
}
