package live_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/internal/testdb"
	"canopy/live"
	"canopy/relay"
	"canopy/store"
	"canopy/tree"
)

// BenchmarkWriteWithEvents writes what a message changes, alternately with and without the two events that it publishes,
// and reports the ratio of the medians.
func BenchmarkWriteWithEvents(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *store.DB{"sqlite": durable, "postgres": testdb.Postgres} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, open(b))
			kim := w.contact("Kim", "root")
			took := map[bool][]time.Duration{}
			for b.Loop() {
				for _, publishing := range []bool{true, false} {
					began := time.Now()
					w.write(func(ctx context.Context, tx *ent.Tx) error { return w.message(ctx, tx, kim, publishing) })
					took[publishing] = append(took[publishing], time.Since(began))
				}
			}
			b.ReportMetric(float64(median(took[true]))/float64(median(took[false])), "ratio")
			b.ReportMetric(float64(median(took[true]).Microseconds()), "us/write")
		})
	}
}

// durable is a SQLite database whose commits survive a power cut, as those of `canopy serve` do.
func durable(t testing.TB) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Options{URL: filepath.Join(t.TempDir(), "canopy.db")})
	if err == nil {
		err = db.Migrate(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// message does what sending one does: the row, the place of the contact in its lists, the audit event.
func (w *world) message(ctx context.Context, tx *ent.Tx, contactID int64, publishing bool) error {
	if err := tree.LockContact(ctx, tx, contactID); err != nil {
		return err
	}
	at := time.Now().UTC().Truncate(time.Microsecond)
	if err := tx.Contact.Update().Where(contact.ID(contactID)).SetLastActivityAt(at).Exec(authz.Trusted(ctx)); err != nil {
		return err
	}
	err := tree.UpdateContact(ctx, tx, contactID, tree.Placement{GroupID: w.groups["root"], Box: tree.BoxOf(tree.None, false), SortKey: at.UnixMicro()})
	if err != nil {
		return err
	}
	if publishing {
		stands := &live.Stand{GroupID: w.groups["root"]}
		for _, e := range []live.Event{
			{AccountID: w.account, Kind: live.Contact, ContactID: contactID, Was: stands, Now: stands, At: at},
			{AccountID: w.account, Kind: live.Message, ContactID: contactID, ConversationID: 1, MessageID: 1, At: at},
		} {
			if err := live.Publish(ctx, e); err != nil {
				return err
			}
		}
	}
	return audit.Record(ctx, tx, audit.Event{AccountID: w.account, Action: "MESSAGE_SENT", TargetKind: relay.KindMessage, TargetID: 1, At: at,
		After: audit.Fields{"conversation": fmt.Sprint(1)}})
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}
