package directory_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/tree"
)

// TestManyViewersAreLoadedAsEachIs compares LoadViewers with LoadViewer, walls, settings, times, revocation and
// switched-off custom roles included.
func TestManyViewersAreLoadedAsEachIs(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.role("Keeper", false, authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
		for name, home := range map[string]string{"ada": "city", "ben": "north", "cleo": "root", "dan": "south"} {
			o.user(name, home)
		}
		o.grant("ada", "AGENT", "")
		o.grant("ada", "Keeper", "south")
		o.grant("ben", "DASHBOARD_ADMINISTRATOR", "")
		o.grant("ben", "AGENT", "city", func(c *ent.RoleGrantCreate) { c.SetValidUntil(morning.Add(time.Hour)) })
		o.grant("cleo", "OWNER", "", func(c *ent.RoleGrantCreate) { c.SetRevokedAt(morning) })
		o.grant("cleo", "BILLING_MANAGER", "", func(c *ent.RoleGrantCreate) { c.SetValidFrom(morning.Add(time.Minute)) })
		o.changeGroup("root", func(u *ent.GroupUpdateOne) { u.SetAssignmentMode(group.AssignmentModeMANUAL) })
		o.changeGroup("north", func(u *ent.GroupUpdateOne) { u.SetSharedInbox(true) })
		o.write(func(ctx context.Context, tx *ent.Tx) error {
			return tree.SetRestricted(ctx, tx, o.acme, o.groups["north"], true)
		})
		for _, customRoles := range []bool{true, false} {
			o.write(func(ctx context.Context, tx *ent.Tx) error {
				return tx.Account.UpdateOneID(o.acme).SetCustomRolesEnabled(customRoles).Exec(ctx)
			})
			for _, at := range []time.Time{morning, morning.Add(time.Minute), morning.Add(time.Hour)} {
				o.clock = at
				ids := []int64{o.users["ada"], o.users["ben"], o.users["cleo"], o.users["dan"], 12345}
				many, err := o.LoadViewers(t.Context(), o.DB.Read, o.acme, ids, at)
				if err != nil {
					t.Fatal(err)
				}
				for _, id := range ids {
					one, err := o.LoadViewer(t.Context(), o.DB.Read, id)
					if err != nil {
						t.Fatal(err)
					}
					if got := many[id]; !reflect.DeepEqual(got, one) {
						t.Errorf("at %s user %d is loaded as\n%+v among others and alone as\n%+v", at, id, got, one)
					}
				}
			}
		}
		o.account("other")
		other, err := o.LoadViewers(t.Context(), o.DB.Read, o.acme+1, []int64{o.users["ada"]}, morning)
		if err != nil || len(other) != 0 {
			t.Errorf("for another account there are %v, %v", other, err)
		}
	})
}
