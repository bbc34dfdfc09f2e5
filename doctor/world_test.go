package doctor_test

import (
	"context"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	"canopy/doctor"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/role"
	"canopy/internal/optional"
	"canopy/store"

	"github.com/alexedwards/argon2id"
)

// company is an account made by the use-cases, as everybody makes one:
//
//	root     MANUAL; the owner serves Kim, whose conversation is open
//	├ north  the agent ana
//	└ south  Lee waits
type company struct {
	t       testing.TB
	db      *store.DB
	dir     *directory.Service
	desk    *desk.Service
	slug    string
	account int64
	root    int64
	owner   int64
	roles   map[string]int64
}

func newCompany(t testing.TB, db *store.DB, slug string) *company {
	t.Helper()
	d := &desk.Service{DB: db, Now: time.Now}
	c := &company{t: t, db: db, desk: d, slug: slug, roles: map[string]int64{}, dir: &directory.Service{
		DB: db, Now: time.Now, Rand: rand.Reader, MaxDepth: 12, Handover: d,
		Argon2: argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32},
	}}
	ctx := context.Background()
	made, err := c.dir.CreateAccount(ctx, directory.CreateAccount{Name: slug, Slug: slug, OwnerName: "Olga", OwnerEmail: "olga@example.com"})
	c.must(err)
	c.must(c.dir.SetPassword(ctx, directory.SetPassword{Token: made.SetupToken, Password: "correct horse battery"}))
	c.account, c.root, c.owner = made.Account.ID, made.Root.ID, made.Owner.ID
	roles, err := db.Read.Role.Query().Where(role.AccountID(c.account)).All(authz.Trusted(ctx))
	c.must(err)
	for _, r := range roles {
		c.roles[*r.Key] = r.ID
	}
	_, err = c.dir.UpdateGroupSettings(c.as(c.owner), directory.UpdateGroupSettings{
		GroupID: c.root, AssignmentMode: optional.To(group.AssignmentModeMANUAL)})
	c.must(err)
	return c
}

func (c *company) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// as is a request of the user.
func (c *company) as(user int64) context.Context {
	c.t.Helper()
	v, err := c.dir.LoadViewer(context.Background(), c.db.Read, user)
	c.must(err)
	return authz.NewContext(context.Background(), v)
}

func (c *company) group(parent int64, name string) int64 {
	c.t.Helper()
	made, err := c.dir.CreateGroup(c.as(c.owner), directory.CreateGroup{ParentID: parent, Name: name})
	c.must(err)
	return made.Group.ID
}

// user makes an active user with the roles.
func (c *company) user(home int64, name string, roles ...string) int64 {
	c.t.Helper()
	in := directory.InviteUser{Name: name, Email: name + "@example.com", HomeGroupID: home}
	for _, r := range roles {
		in.RoleIDs = append(in.RoleIDs, c.roles[r])
	}
	made, err := c.dir.InviteUser(c.as(c.owner), in)
	c.must(err)
	c.must(c.dir.SetPassword(context.Background(), directory.SetPassword{Token: made.SetupToken, Password: "correct horse battery"}))
	return made.User.ID
}

func (c *company) contact(group int64, name string) *ent.Contact {
	c.t.Helper()
	made, err := c.desk.CreateContact(c.as(c.owner), desk.CreateContact{GroupID: group, Name: name})
	c.must(err)
	return made
}

// examine returns what the doctor finds in the account, or with an empty slug in the database.
func examine(t testing.TB, db *store.DB, slug string) (faults []doctor.Fault) {
	t.Helper()
	_, err := doctor.Patient{DB: db, Now: time.Now()}.Examine(context.Background(), slug, func(f doctor.Fault) { faults = append(faults, f) })
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

// kinds are the kinds among the faults, sorted.
func kinds(faults []doctor.Fault) (list []doctor.Kind) {
	for _, f := range faults {
		list = append(list, f.Kind)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
