package store

import (
	"cmp"
	"context"
	"fmt"

	"ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"
)

// Drift returns the statements that would make the database what ent/schema says, and none when it already is. It
// looks at the tables of ent/schema only; package tree owns others, made by the migrations. PostgreSQL words the
// conditions of checks its own way, so there a check is compared by its name.
func (db *DB) Drift(ctx context.Context) ([]string, error) {
	var statements []string
	collect := func(p *migrate.Plan) ([]migrate.File, error) {
		for _, c := range p.Changes {
			statements = append(statements, c.Cmd)
		}
		return nil, nil
	}
	m, err := schema.NewMigrate(entsql.OpenDB(db.dialect, db.write),
		schema.WithDir(&migrate.MemDir{}), schema.WithFormatter(formatter(collect)),
		schema.WithMigrationMode(schema.ModeInspect), schema.WithDropColumn(true), schema.WithDropIndex(true), schema.WithIndent("  "))
	if err != nil {
		return nil, err
	}
	if err := m.NamedDiff(ctx, "drift", Tables(db.dialect)...); err != nil {
		return nil, err
	}
	orders, err := db.driftOfOrder(ctx)
	return append(statements, orders...), err
}

// driftOfOrder compares what Ent's comparison leaves out: in which order PostgreSQL sorts a column.
func (db *DB) driftOfOrder(ctx context.Context) (statements []string, err error) {
	if db.dialect != dialect.Postgres {
		return nil, nil
	}
	rows, err := db.write.QueryContext(ctx, "SELECT table_name, column_name, data_type, COALESCE(collation_name, '') "+
		"FROM information_schema.columns WHERE table_schema = current_schema()")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	wanted := columnOrders()
	for rows.Next() {
		var table, column, kind, order string
		if err := rows.Scan(&table, &column, &kind, &order); err != nil {
			return nil, err
		}
		if want, known := wanted[table+"."+column]; known && want != order {
			statements = append(statements, fmt.Sprintf("ALTER TABLE %q ALTER COLUMN %q TYPE %s COLLATE %q",
				table, column, kind, cmp.Or(want, "default")))
		}
	}
	return statements, rows.Err()
}

// columnOrders returns the collation of each column by table and name, empty for that of the database.
func columnOrders() map[string]string {
	orders := map[string]string{}
	for _, t := range Tables(dialect.Postgres) {
		for _, c := range t.Columns {
			orders[t.Name+"."+c.Name] = c.Collation
		}
	}
	return orders
}

type formatter func(*migrate.Plan) ([]migrate.File, error)

func (f formatter) Format(p *migrate.Plan) ([]migrate.File, error) { return f(p) }
