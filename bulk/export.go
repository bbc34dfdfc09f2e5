package bulk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/group"
	"canopy/ent/generated/predicate"
	"canopy/ent/generated/role"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/internal/mask"
	"canopy/refusal"
	"canopy/relay"
	"canopy/tree"
)

// Export says what is exported, and how.
type Export struct {
	Kind   Kind
	Format Format
}

// page is how many rows are in memory at a time.
const page = 1000

// Export writes what the viewer sees as Read reads it: groups with parents first, users and contacts in the order in
// which they were created. It needs GROUPS_VIEW, USERS_VIEW or, at each contact, CONTACTS_EXPORT; phone, e-mail and
// address of a contact are masked without CUSTOMER_DATA_VIEW. That somebody exports is recorded before anything is
// written.
func (s *Service) Export(ctx context.Context, in Export, w io.Writer) (rows int64, err error) {
	v := authz.FromContext(ctx)
	if v == nil {
		return 0, refusal.NoViewer()
	}
	needed := map[Kind]authz.Permission{Groups: authz.GroupsView, Users: authz.UsersView, Contacts: authz.ContactsExport}
	p, known := needed[in.Kind]
	if !known {
		return 0, refusal.BadInput("kind", "%q is not a kind of records.", in.Kind)
	}
	if !v.Permissions().Has(p) {
		return 0, refusal.Forbidden(p, "somewhere")
	}
	if err := s.recordExport(ctx, v, in); err != nil {
		return 0, err
	}
	out, err := newWriter(w, in.Kind, in.Format)
	if err != nil {
		return 0, err
	}
	x := &export{s: s, viewer: v, out: out}
	switch in.Kind {
	case Groups:
		err = x.groups(ctx)
	case Users:
		err = x.users(ctx)
	case Contacts:
		err = x.contacts(ctx)
	}
	return x.rows, errors.Join(err, out.flush())
}

func (s *Service) recordExport(ctx context.Context, v *authz.Viewer, in Export) error {
	return s.DB.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		return audit.Record(ctx, tx, audit.Event{Action: string(in.Kind) + "_EXPORTED", TargetKind: relay.KindAccount,
			TargetID: v.AccountID, After: audit.Fields{"format": in.Format}, At: s.now()})
	})
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// export is one under way.
type export struct {
	s      *Service
	viewer *authz.Viewer
	out    *writer
	rows   int64
}

func (x *export) write(r Record) error {
	x.rows++
	return x.out.write(r)
}

// above is a group on the way from a topmost group down to the present one.
type above struct {
	id   int64
	at   string // path of labels
	path Path   // as the viewer sees it
}

// groups goes through the tree from top to bottom. The way down to the present group is all that it remembers.
func (x *export) groups(ctx context.Context) error {
	var way []above
	for from := ""; ; {
		list, err := x.s.DB.Read.Group.Query().Where(group.AccountID(x.viewer.AccountID), group.PathGT(from)).
			Order(group.ByPath()).Limit(page).All(ctx)
		if err != nil {
			return fmt.Errorf("bulk: exporting groups: %w", err)
		}
		for _, g := range list {
			for len(way) > 0 && !strings.HasPrefix(g.Path, way[len(way)-1].at) {
				way = way[:len(way)-1]
			}
			here := above{id: g.ID, at: g.Path, path: Path{}}
			if g.ParentID != nil {
				here.path = Path{g.Name}
				if n := len(way); n > 0 && way[n-1].id == *g.ParentID {
					here.path = append(slices.Clip(way[n-1].path), g.Name)
				}
				if err := x.write(Record{Group: fromGroup(g, here.path)}); err != nil {
					return err
				}
			}
			way = append(way, here)
			from = g.Path
		}
		if len(list) < page {
			return nil
		}
	}
}

func fromGroup(g *ent.Group, path Path) *Group {
	out := &Group{Path: path, SharedInbox: g.SharedInbox, Capacity: g.Capacity, RadarWindow: g.RadarWindow,
		EscalateAfter: g.EscalateAfter, ReassignAfter: g.ReassignAfter, CloseAfter: g.CloseAfter}
	if g.Visibility == group.VisibilityRESTRICTED {
		out.Visibility = string(g.Visibility)
	}
	if g.AssignmentMode != nil {
		mode := string(*g.AssignmentMode)
		out.AssignmentMode = &mode
	}
	return out
}

// paths returns the paths of the groups as the viewer sees them, nil for those that are hidden, and where all of them
// stand.
func (x *export) paths(ctx context.Context, ids []int64) (map[int64]Path, map[int64]authz.Place, error) {
	places, chain := map[int64]authz.Place{}, []int64{}
	for part := range slices.Chunk(once(ids), page) {
		list, err := x.s.DB.Read.Group.Query().Where(group.AccountID(x.viewer.AccountID), group.IDIn(part...)).
			Select(group.FieldID, group.FieldPath, group.FieldWall).All(authz.Trusted(ctx))
		if err != nil {
			return nil, nil, fmt.Errorf("bulk: loading groups: %w", err)
		}
		for _, g := range list {
			places[g.ID] = rule.PlaceOf(g)
			chain = append(chain, tree.IDs(g.Path)...)
		}
	}
	seen := map[int64]*ent.Group{}
	for part := range slices.Chunk(once(chain), page) {
		list, err := x.s.DB.Read.Group.Query().Where(group.AccountID(x.viewer.AccountID), group.IDIn(part...)).
			Select(group.FieldID, group.FieldParentID, group.FieldName).All(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("bulk: loading groups: %w", err)
		}
		for _, g := range list {
			seen[g.ID] = g
		}
	}
	paths := map[int64]Path{}
	for id := range places {
		g := seen[id]
		if g == nil {
			continue
		}
		path := Path{}
		for ; g != nil && g.ParentID != nil; g = seen[*g.ParentID] {
			path = append(path, g.Name)
		}
		slices.Reverse(path)
		paths[id] = path
	}
	return paths, places, nil
}

func once(ids []int64) []int64 {
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// users writes those who are invited or active, with the grants that are in force.
func (x *export) users(ctx context.Context) error {
	for from := int64(0); ; {
		list, err := x.s.DB.Read.User.Query().Where(user.AccountID(x.viewer.AccountID), user.IDGT(from),
			user.StatusIn(user.StatusINVITED, user.StatusACTIVE)).Order(user.ByID()).Limit(page).All(ctx)
		if err != nil {
			return fmt.Errorf("bulk: exporting users: %w", err)
		}
		grants, err := x.grants(ctx, list)
		if err != nil {
			return err
		}
		groups := []int64{}
		for _, u := range list {
			groups = append(groups, u.HomeGroupID)
			for _, g := range grants[u.ID] {
				if g.GroupID != nil {
					groups = append(groups, *g.GroupID)
				}
			}
		}
		paths, _, err := x.paths(ctx, groups)
		if err != nil {
			return err
		}
		for _, u := range list {
			out := &User{Email: u.Email, Name: u.Name, Home: paths[u.HomeGroupID], Grants: fromGrants(grants[u.ID], paths)}
			if err := x.write(Record{User: out}); err != nil {
				return err
			}
			from = u.ID
		}
		if len(list) < page {
			return nil
		}
	}
}

// grants returns those of the users that are in force and that the viewer sees, with their roles.
func (x *export) grants(ctx context.Context, users []*ent.User) (map[int64][]*ent.RoleGrant, error) {
	ids, now := make([]int64, len(users)), x.s.now()
	for i, u := range users {
		ids[i] = u.ID
	}
	list, err := x.s.DB.Read.RoleGrant.Query().Where(rolegrant.AccountID(x.viewer.AccountID), rolegrant.UserIDIn(ids...),
		rolegrant.RevokedAtIsNil(), rolegrant.ValidFromLTE(now), rolegrant.Or(rolegrant.ValidUntilIsNil(), rolegrant.ValidUntilGT(now))).
		WithRole(func(q *ent.RoleQuery) { q.Select(role.FieldKey, role.FieldName) }).Order(rolegrant.ByID()).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("bulk: exporting grants: %w", err)
	}
	found := map[int64][]*ent.RoleGrant{}
	for _, g := range list {
		found[g.UserID] = append(found[g.UserID], g)
	}
	return found, nil
}

// fromGrants leaves out a grant whose role or group is hidden from the viewer: without it the grant would be another.
func fromGrants(list []*ent.RoleGrant, paths map[int64]Path) (grants []Grant) {
	for _, g := range list {
		if g.Edges.Role == nil {
			continue
		}
		out := Grant{Role: g.Edges.Role.Name, Until: g.ValidUntil}
		if g.Edges.Role.Key != nil {
			out.Role = *g.Edges.Role.Key
		}
		if g.GroupID != nil {
			path, seen := paths[*g.GroupID]
			if !seen {
				continue
			}
			out.Group = &path
		}
		grants = append(grants, out)
	}
	return grants
}

func (x *export) contacts(ctx context.Context) error {
	exportable := predicate.Contact(rule.ContactsReached(ctx, authz.ContactsExport))
	for from := int64(0); ; {
		list, err := x.s.DB.Read.Contact.Query().Where(contact.AccountID(x.viewer.AccountID), contact.IDGT(from), exportable).
			WithAssignedUser(func(q *ent.UserQuery) { q.Select(user.FieldEmail) }).
			Order(contact.ByID()).Limit(page).All(ctx)
		if err != nil {
			return fmt.Errorf("bulk: exporting contacts: %w", err)
		}
		groups := make([]int64, len(list))
		for i, c := range list {
			groups[i] = c.GroupID
		}
		paths, places, err := x.paths(ctx, groups)
		if err != nil {
			return err
		}
		for _, c := range list {
			if err := x.write(Record{Contact: x.fromContact(c, paths[c.GroupID], places[c.GroupID])}); err != nil {
				return err
			}
			from = c.ID
		}
		if len(list) < page {
			return nil
		}
	}
}

// fromContact masks what the viewer may not see of the contact, and leaves an agent out whose record they do not see.
func (x *export) fromContact(c *ent.Contact, path Path, at authz.Place) *Contact {
	out := &Contact{Name: c.Name, Phone: orEmpty(c.Phone), Email: orEmpty(c.Email), Channel: orEmpty(c.Channel),
		Address: orEmpty(c.Address), Group: path}
	if c.Edges.AssignedUser != nil {
		out.Agent = c.Edges.AssignedUser.Email
	}
	agent := int64(0)
	if c.AssignedUserID != nil {
		agent = *c.AssignedUserID
	}
	if x.viewer.Can(authz.CustomerDataView, authz.AtContact(at, agent)) {
		return out
	}
	if out.Phone != "" {
		out.Phone = mask.Phone(out.Phone)
	}
	if out.Email != "" {
		out.Email = mask.Email(out.Email)
	}
	if out.Address != "" {
		out.Address = mask.Hidden
	}
	return out
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
