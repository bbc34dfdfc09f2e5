package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"entgo.io/ent/dialect"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
)

// connectTimeout is how long a server may take to accept a connection, where its address has no connect_timeout.
const connectTimeout = 5 * time.Second

// openPostgres opens a pool that writes and two that cannot.
func (db *DB) openPostgres() error {
	var err error
	if db.write, err = openPostgres(db.options.URL, nil); err != nil {
		return err
	}
	limitPostgres(db.write, db.options.Writers, 16)
	if db.read, err = openPostgres(db.options.URL, reading(customPlans)); err != nil {
		return err
	}
	limitPostgres(db.read, db.options.Readers, 16)
	if db.keyed, err = openPostgres(db.options.URL, reading(onePlan)); err != nil {
		return err
	}
	limitPostgres(db.keyed, db.options.Readers, 16)
	return nil
}

// How a connection plans statements. Row rules compare paths, and how many groups are in a range only the values tell: a
// plan made for any values reads twenty times as much. Planning takes 0.2 ms.
const (
	customPlans = "force_custom_plan"
	onePlan     = "force_generic_plan"
)

// Analyze lets PostgreSQL count anew what its tables hold. It does so by itself a minute or two after they have grown, but
// a connection that checked a foreign key while a table was empty goes on by the plan of that time until then, and reads
// all groups for each new one. SQLite has statistics from the migrations, and nothing is done.
func (db *DB) Analyze(ctx context.Context) error {
	if db.dialect != dialect.Postgres {
		return nil
	}
	if _, err := db.write.ExecContext(ctx, "ANALYZE accounts, groups, group_counters, users, roles, role_grants, contacts, contact_assignments"); err != nil {
		return fmt.Errorf("store: analyzing: %w", err)
	}
	return nil
}

// reading are the settings of a pool that cannot write.
func reading(plans string) map[string]string {
	return map[string]string{"default_transaction_read_only": "on", "plan_cache_mode": plans}
}

// limitPostgres lets idle connections go after a while: unlike those of SQLite they cost the server memory.
func limitPostgres(pool *sql.DB, connections, preset int) {
	if connections <= 0 {
		connections = preset
	}
	limit(pool, connections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
}

func openPostgres(address string, settings map[string]string) (*sql.DB, error) {
	config, err := postgresConfig(address, settings)
	if err != nil {
		return nil, err
	}
	return stdlib.OpenDB(*config, stdlib.OptionAfterConnect(scanUTC)), nil
}

// postgresConfig is how every connection to PostgreSQL is made.
func postgresConfig(address string, settings map[string]string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("store: the database address cannot be read: %w", err)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.RuntimeParams["timezone"] = "UTC"
	if config.RuntimeParams["jit"] == "" {
		// Statements here take a millisecond, and compiling one, when the planner takes it for a long one, takes hundreds.
		config.RuntimeParams["jit"] = "off"
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "canopy"
	}
	for name, value := range settings {
		config.RuntimeParams[name] = value
	}
	return config, nil
}

// scanUTC makes times come back in UTC, as they do from SQLite, wherever the program runs.
func scanUTC(_ context.Context, c *pgx.Conn) error {
	c.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}
