package desk_test

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/internal/testdb"
	"canopy/store"

	"entgo.io/ent/dialect"
)

// BenchmarkGroupReport reports by day on a branch with half of an account's conversations, over a year, which is all of
// their time, and over a twentieth of it, beside a floor: the rows of the same stays, read and scanned and nothing else.
// BENCH_STAYS is how many there are, 100,000 if it is not set. One in ten lasts for 30 days.
func BenchmarkGroupReport(b *testing.B) {
	n := 100_000
	if text := os.Getenv("BENCH_STAYS"); text != "" {
		n, _ = strconv.Atoi(text)
	}
	b.Run("sqlite", func(b *testing.B) { benchReport(b, testdb.SQLite(b), n) })
	b.Run("postgres", func(b *testing.B) { benchReport(b, testdb.Postgres(b), n) })
}

func benchReport(b *testing.B, db *store.DB, n int) {
	w := &history{world: newBenchWorld(b, db, n)}
	begin := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	ctx := w.as("sue")
	for name, days := range map[string]int{"a year": benchDays, "a twentieth": benchDays / 20} {
		to := begin.AddDate(0, 0, benchDays)
		from := to.AddDate(0, 0, -days)
		b.Run(name, func(b *testing.B) {
			var floor, report time.Duration
			for range b.N {
				start := time.Now()
				w.readStays(b, from, to)
				floor += time.Since(start)
				start = time.Now()
				if _, err := w.desk.GroupReport(ctx, desk.ReportQuery{GroupID: w.groups["sales"], From: from, To: to, Every: desk.Day, TimeZone: "Europe/Lisbon"}); err != nil {
					b.Fatal(err)
				}
				report += time.Since(start)
			}
			b.ReportMetric(float64(report.Milliseconds())/float64(b.N), "ms/report")
			b.ReportMetric(float64(report)/float64(floor), "×floor")
		})
	}
}

// benchDays is over how many days the stays are spread.
const benchDays = 365

// newBenchWorld has n stays of as many conversations, spread over 200 groups of which half are below sales.
func newBenchWorld(b *testing.B, db *store.DB, n int) *world {
	w := newWorldCalled(b, db, "acacia")
	w.build()
	for i := range 196 {
		w.group(fmt.Sprint("g", i), []string{"north", "support"}[i%2])
	}
	c := w.arrives("Kim", "north")
	series := "WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < " + strconv.Itoa(n) + ")"
	first := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	step := (benchDays * 24 * time.Hour).Microseconds() / int64(n)
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		for _, statement := range []string{
			fmt.Sprintf(`INSERT INTO conversations (account_id, contact_id, number, subject, opened_at, closed_at) %s
				SELECT %d, %d, 1000 + i, '', k.created_at, k.created_at FROM numbers, contacts AS k WHERE k.id = %d`, series, w.account, c, c),
			fmt.Sprintf(`INSERT INTO stays (account_id, contact_id, conversation_id, group_id, agent_id, started_at, ended_at, entered, ending, begun_at, unanswered, answered_at)
				SELECT v.account_id, v.contact_id, v.id, %d + v.number %% 196, %d, %d + (v.number - 1000) * %d, %d + (v.number - 1000) * %d + CASE WHEN v.number / 7 %% 10 = 0 THEN 2592000000000 ELSE 60000000 * (v.number %% 97) END, 1, 1,
				%d + (v.number - 1000) * %d, TRUE, %d + (v.number - 1000) * %d + 1000000 * (v.number %% 53)
				FROM conversations AS v`, w.groups["g0"], w.users["ana"], first, step, first, step, first, step, first, step),
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if db.Dialect() == dialect.Postgres { // as it does by itself sooner or later
		analyze(b, db)
	}
	return w
}

func analyze(b *testing.B, db *store.DB) {
	err := db.Write(all(), func(ctx context.Context, tx *ent.Tx) error {
		_, err := tx.ExecContext(ctx, "ANALYZE stays")
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

// readStays is the floor.
func (h *history) readStays(b *testing.B, from, to time.Time) {
	args := []any{h.account, from.UnixMicro(), to.UnixMicro()}
	rows := 0
	err := store.EachRow(context.Background(), h.db.Read, `SELECT s.group_id, COALESCE(s.agent_id, 0), s.started_at, s.ended_at, s.entered, s.ending, s.begun_at, COALESCE(s.answered_at, 0)
		FROM groups AS g CROSS JOIN stays AS s WHERE g.account_id = $1 AND g.path >= (SELECT path FROM groups WHERE name = 'sales')
		AND g.path < (SELECT path FROM groups WHERE name = 'support') AND s.group_id = g.id AND s.ended_at >= $2 AND s.started_at < $3`, args, func(r *stdsql.Rows) error {
		var a, b, c, d, e, f, g, h int64
		rows++
		return r.Scan(&a, &b, &c, &d, &e, &f, &g, &h)
	})
	if err != nil || rows == 0 {
		b.Fatal(rows, err)
	}
}
