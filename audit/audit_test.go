package audit_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"
)

var at = time.Date(2027, 3, 1, 9, 0, 0, 1000, time.UTC)

func account(t *testing.T, db *store.DB) int64 {
	t.Helper()
	var id int64
	err := db.Write(authz.Trusted(context.Background()), func(ctx context.Context, tx *ent.Tx) error {
		a, err := tx.Account.Create().SetName("Acacia").SetSlug("acacia").SetPlan("PRO").SetCreatedAt(at).Save(ctx)
		if err == nil {
			id = a.ID
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func record(t *testing.T, db *store.DB, ctx context.Context, e audit.Event) error {
	t.Helper()
	return db.Write(ctx, func(ctx context.Context, tx *ent.Tx) error { return audit.Record(ctx, tx, e) })
}

func only(t *testing.T, db *store.DB) *ent.AuditEvent {
	t.Helper()
	e, err := db.Read.AuditEvent.Query().Only(authz.Trusted(context.Background()))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestRecordMasksCustomers(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		id := account(t, db)
		phone := "+5511912341234"
		ctx := audit.WithRequestID(context.Background(), "request-1")
		err := record(t, db, ctx, audit.Event{AccountID: id, Action: "CONTACT_UPDATED", TargetKind: relay.KindContact, TargetID: 7, At: at, Reason: "asked",
			Before: struct {
				Phone *string `json:"phone"`
				Email *string `json:"email"`
			}{&phone, nil},
			After: audit.Fields{"name": "Carla", "phone": phone, "email": "carla@shop.example", "contact": map[string]any{"address": "carla@shop.example"}}})
		if err != nil {
			t.Fatal(err)
		}
		e := only(t, db)
		for _, secret := range []string{"9123", "carla@"} {
			if strings.Contains(string(e.Before)+string(e.After), secret) {
				t.Errorf("recorded %s and %s", e.Before, e.After)
			}
		}
		if !strings.Contains(string(e.Before), "+55") || !strings.Contains(string(e.After), "Carla") || !strings.Contains(string(e.Before), "null") {
			t.Errorf("recorded %s and %s", e.Before, e.After)
		}
		if e.UserID != nil || e.RequestID != "request-1" || e.Reason != "asked" || !e.At.Equal(at) || e.TargetKind != "C" || e.TargetID != 7 {
			t.Errorf("recorded %+v", e)
		}
	})
}

func TestRecordNeedsSomebodyWhoseChangeItIs(t *testing.T) {
	db := testdb.SQLite(t)
	if err := record(t, db, context.Background(), audit.Event{Action: "NOTHING", TargetKind: relay.KindGroup, At: at}); err == nil {
		t.Error("an event of no account was recorded")
	}
}

func TestTheEventGoesWithTheChange(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		id := account(t, db)
		failure := errors.New("later")
		err := db.Write(context.Background(), func(ctx context.Context, tx *ent.Tx) error {
			if err := audit.Record(ctx, tx, audit.Event{AccountID: id, Action: "GROUP_MOVED", TargetKind: relay.KindGroup, At: at}); err != nil {
				return err
			}
			return failure
		})
		if !errors.Is(err, failure) {
			t.Fatal(err)
		}
		if n := db.Read.AuditEvent.Query().CountX(authz.Trusted(context.Background())); n != 0 {
			t.Error("an event of what did not happen was recorded")
		}
	})
}

func TestForget(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		id := account(t, db)
		err := record(t, db, context.Background(), audit.Event{AccountID: id, Action: "USER_UPDATED", TargetKind: relay.KindUser, TargetID: 3, At: at,
			Before: audit.Fields{"name": "Vera", "availability": "AWAY"}, After: audit.Fields{"availability": "AVAILABLE"}})
		if err != nil {
			t.Fatal(err)
		}
		forget := func(user int64) *ent.AuditEvent {
			err := db.Write(context.Background(), func(ctx context.Context, tx *ent.Tx) error {
				return audit.Forget(ctx, tx, id, relay.KindUser, user, "name", "email")
			})
			if err != nil {
				t.Fatal(err)
			}
			return only(t, db)
		}
		if e := forget(4); !strings.Contains(string(e.Before), "Vera") {
			t.Error("somebody else was forgotten")
		}
		e := forget(3)
		if strings.Contains(string(e.Before), "Vera") || !strings.Contains(string(e.Before), "AWAY") || !strings.Contains(string(e.After), "AVAILABLE") {
			t.Errorf("what is left is %s and %s", e.Before, e.After)
		}
	})
}

func TestRequestIDIsCut(t *testing.T) {
	id := audit.RequestID(audit.WithRequestID(context.Background(), strings.Repeat("x", 63)+"é"))
	if id != strings.Repeat("x", 63) {
		t.Errorf("the id is %q", id)
	}
}
