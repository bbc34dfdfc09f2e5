package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/role"
	"canopy/ent/generated/rolegrant"
	"canopy/internal/fold"
	"canopy/refusal"
	"canopy/relay"
	"canopy/store"
	"canopy/tree"
)

// maxRoles is how many roles an account has at most, the built-in ones included.
const maxRoles = 200

// CreateRole is the input of Service.CreateRole.
type CreateRole struct {
	Name        string
	Description string
	PolicyNote  string
	Pairs       []authz.Pair
	MayGive     []int64 // the roles that its holders may give
	Template    string  // key of a template for all of the above that is left out but the name; empty for none
	Reason      string
}

// CreateRole makes a custom role out of what its author may give.
func (s *Service) CreateRole(ctx context.Context, in CreateRole) (*ent.Role, error) {
	var made *ent.Role
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		giving, err := d.author(ctx, in.MayGive)
		if err != nil {
			return err
		}
		made, err = d.createRole(ctx, giving, giving.fill(in), audit.Fields{})
		return err
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// fill takes from the template, if one is named, what the input leaves out.
func (g *giving) fill(in CreateRole) CreateRole {
	t, named := authz.TemplateOf(in.Template)
	if !named {
		return in
	}
	if in.Description == "" {
		in.Description = t.Description
	}
	if in.PolicyNote == "" {
		in.PolicyNote = t.PolicyNote
	}
	if in.Pairs == nil {
		in.Pairs = t.Pairs.List()
	}
	if in.MayGive == nil {
		in.MayGive = g.keyed(t.MayGive)
	}
	return in
}

// keyed lists the built-in roles of the account that have these keys.
func (g *giving) keyed(keys []string) []int64 {
	var ids []int64
	for id, r := range g.roles {
		if r.Key != nil && slices.Contains(keys, *r.Key) {
			ids = append(ids, id)
		}
	}
	return ids
}

// createRole holds the limits on giving access against a new role, stores it and records it, with the given fields of
// where it comes from.
func (d *doing) createRole(ctx context.Context, giving *giving, in CreateRole, from audit.Fields) (*ent.Role, error) {
	if err := giving.admits(authz.PairsOf(in.Pairs), in.MayGive); err != nil {
		return nil, err
	}
	text, err := checkRole(in.Name, in.Description, in.PolicyNote, authz.PairsOf(in.Pairs))
	if err != nil {
		return nil, err
	}
	reason, err := d.reason(in.Reason)
	if err != nil {
		return nil, err
	}
	if err := d.customRolesOn(); err != nil {
		return nil, err
	}
	if len(giving.roles) >= maxRoles {
		return nil, refusal.Conflict("", "The account has %d roles already, which is the limit. Delete one first.", maxRoles)
	}
	made, err := d.tx.Role.Create().SetAccountID(d.account.ID).SetName(text.name).SetNameKey(fold.Key(text.name)).
		SetDescription(text.description).SetPolicyNote(text.policyNote).SetPairs(authz.PairsOf(in.Pairs).List()).
		AddMayGiveIDs(once(in.MayGive)...).SetCreatedAt(d.at).Save(ctx)
	if err != nil {
		return nil, roleNameTaken(err)
	}
	maps.Copy(from, roleFields(made, in.MayGive))
	return made, d.record(ctx, audit.Event{Action: "ROLE_CREATED", TargetKind: relay.KindRole, TargetID: made.ID, Reason: reason, After: from})
}

// CloneRole is the input of Service.CloneRole.
type CloneRole struct {
	RoleID int64
	Name   string
	Reason string
}

// CloneRole makes a custom role that describes, holds and lists what another one does, a built-in one too. Its author
// needs what making it by hand would need, so a role that is wider than what they may give is refused and not cut down.
// That holders of some built-in roles may give custom roles as well is no part of what is listed, and stays behind.
func (s *Service) CloneRole(ctx context.Context, in CloneRole) (*ent.Role, error) {
	var made *ent.Role
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		if _, err := d.role(ctx, in.RoleID); err != nil {
			return err
		}
		giving, err := d.author(ctx, nil)
		if err != nil {
			return err
		}
		original := giving.roles[in.RoleID]
		listed := idsOf(original.Edges.MayGive)
		if original.Key != nil {
			builtIn, _ := authz.BuiltInRole(*original.Key)
			listed = append(listed, giving.keyed(builtIn.MayGive)...)
		}
		made, err = d.createRole(ctx, giving, CreateRole{Name: in.Name, Description: original.Description, PolicyNote: original.PolicyNote,
			Pairs: pairsOf(original).List(), MayGive: listed, Reason: in.Reason}, audit.Fields{"clonedFrom": roleID(original.ID)})
		return err
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// author loads the roles that a custom role shall list, and checks that the viewer may make and change custom roles.
func (d *doing) author(ctx context.Context, listed []int64) (*giving, error) {
	for _, id := range listed {
		if _, err := d.role(ctx, id); err != nil {
			return nil, err
		}
	}
	if err := d.may(authz.RolesManage, authz.Target{}, "on the account"); err != nil {
		return nil, err
	}
	return d.giving(ctx)
}

// admits refuses a role that holds or lists more than the viewer may give.
func (g *giving) admits(pairs authz.Pairs, listed []int64) error {
	for _, p := range pairs.List() {
		if !g.pairs.Cover(p) {
			return refusal.Limit(refusal.WiderThanAuthor, p.Permission, "in a role that you may give",
				fmt.Sprintf("No role that you may give holds %s at %s or wider.", p.Permission, p.Scope),
				"A custom role has to stay within the roles that its author may give.")
		}
	}
	for _, id := range listed {
		if !g.given[id] {
			return refusal.Limit(refusal.MayNotGive, authz.RolesAssign, "for each role that it lists",
				"The role would list a role that you may not give yourself.", "Leave it out.")
		}
	}
	return nil
}

// roleText is how a role is called and described.
type roleText struct{ name, description, policyNote string }

func checkRole(name, description, policyNote string, pairs authz.Pairs) (text roleText, err error) {
	if text.name, err = checkName("input.name", name); err != nil {
		return text, err
	}
	if text.description, err = checkText("input.description", "description", description, maxDescription); err != nil {
		return text, err
	}
	if text.policyNote, err = checkText("input.policyNote", "policy note", policyNote, maxPolicyNote); err != nil {
		return text, err
	}
	return text, checkPairs(pairs)
}

// checkPairs refuses a role of which a part would be of no use: without what it requires, or at a scope at which the
// account is not reached (ruling 19).
func checkPairs(pairs authz.Pairs) error {
	list := pairs.List()
	if len(list) == 0 {
		return refusal.BadInput("input.pairs", "The role holds nothing. Give at least one permission with its scope, or a template.")
	}
	var missing []string
	for _, p := range list {
		definition := p.Permission.Definition()
		if definition.AccountOnly && p.Scope != authz.ScopeAccount {
			return refusal.BadInput("input.pairs", "%s is a permission on the account itself. Give it at ACCOUNT, not at %s.", p.Permission, p.Scope)
		}
		for _, required := range definition.Requires {
			if !pairs.Cover(authz.Pair{Permission: required, Scope: p.Scope}) {
				missing = append(missing, fmt.Sprintf("%s at %s or wider (for %s)", required, p.Scope, p.Permission))
			}
		}
	}
	if len(missing) > 0 {
		return refusal.BadInput("input.pairs", "Some permissions are of no use without others. Add %s.", strings.Join(missing, "; "))
	}
	return nil
}

// once lists each id once.
func once(ids []int64) []int64 { return slices.Compact(slices.Sorted(slices.Values(ids))) }

func roleNameTaken(err error) error {
	if store.UniqueViolation(err, "role_name") {
		return refusal.Conflict(refusal.NameTaken, "Another role of the account has this name. Choose another name.")
	}
	return fmt.Errorf("directory: storing a role: %w", err)
}

func roleFields(r *ent.Role, mayGive []int64) audit.Fields {
	return audit.Fields{"name": r.Name, "description": r.Description, "policyNote": r.PolicyNote,
		"pairs": r.Pairs, "mayGive": roleIDs(once(mayGive))}
}

// UpdateRole is the input of Service.UpdateRole; what is nil stays.
type UpdateRole struct {
	RoleID      int64
	Name        *string
	Description *string
	PolicyNote  *string
	Pairs       []authz.Pair
	MayGive     []int64 // empty but not nil: none
	Reason      string

	PreviewToken *string // refuse the change unless it does what a preview of it showed; nil: no preview
}

// UpdateRole changes a custom role for all its holders at once. Its author now is who changes it: what it was and what
// it becomes both have to lie within what they may give; to take something from it they have to outrank each holder.
func (s *Service) UpdateRole(ctx context.Context, in UpdateRole) (*ent.Role, error) {
	var changed *ent.Role
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		return s.asForeseen(ctx, d, in.PreviewToken, in.proposal(), func() (err error) {
			changed, err = d.updateRole(ctx, in)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

func (d *doing) updateRole(ctx context.Context, in UpdateRole) (*ent.Role, error) {
	was, giving, err := d.customRole(ctx, in.RoleID, in.MayGive...)
	if err != nil {
		return nil, err
	}
	listed := idsOf(was.Edges.MayGive)
	is := in.over(was)
	if in.MayGive != nil {
		listed = once(in.MayGive)
	}
	if err := giving.admits(authz.PairsOf(is.Pairs), listed); err != nil {
		return nil, err
	}
	if err := d.mayNarrow(ctx, giving, was, authz.PairsOf(is.Pairs), listed); err != nil {
		return nil, err
	}
	text, err := checkRole(is.Name, is.Description, is.PolicyNote, authz.PairsOf(is.Pairs))
	if err != nil {
		return nil, err
	}
	reason, err := d.reason(in.Reason)
	if err != nil {
		return nil, err
	}
	if err := d.customRolesOn(); err != nil {
		return nil, err
	}
	if err := d.foreseeRole(ctx, was); err != nil {
		return nil, err
	}
	changed, err := d.tx.Role.UpdateOneID(was.ID).SetName(text.name).SetNameKey(fold.Key(text.name)).
		SetDescription(text.description).SetPolicyNote(text.policyNote).SetPairs(authz.PairsOf(is.Pairs).List()).
		ClearMayGive().AddMayGiveIDs(listed...).Save(ctx)
	if err != nil {
		return nil, roleNameTaken(err)
	}
	err = d.record(ctx, audit.Event{Action: "ROLE_UPDATED", TargetKind: relay.KindRole, TargetID: was.ID, Reason: reason,
		Before: roleFields(was, idsOf(was.Edges.MayGive)), After: roleFields(changed, listed)})
	if err != nil || serving(was) || !serving(changed) {
		return changed, err
	}
	holders, err := d.grants(ctx, rolegrant.RoleID(was.ID))
	if err != nil {
		return nil, err
	}
	return changed, d.givesOutTo(ctx, holders)
}

// serving says whether who holds the role serves contacts.
func serving(r *ent.Role) bool { return pairsOf(r).Permissions().Has(authz.ConversationsReply) }

// mayNarrow refuses to take anything from a role that somebody holds whom the viewer does not outrank.
func (d *doing) mayNarrow(ctx context.Context, g *giving, was *ent.Role, pairs authz.Pairs, listed []int64) error {
	keepsPairs := !slices.ContainsFunc(pairsOf(was).List(), func(p authz.Pair) bool { return !pairs.Cover(p) })
	keepsList := !slices.ContainsFunc(was.Edges.MayGive, func(r *ent.Role) bool { return !slices.Contains(listed, r.ID) })
	if keepsPairs && keepsList {
		return nil
	}
	held, err := d.grants(ctx, rolegrant.RoleID(was.ID))
	if err != nil {
		return err
	}
	return d.outranksHolders(ctx, g, held)
}

// over lays the input over the role as it was.
func (in UpdateRole) over(was *ent.Role) ent.Role {
	is := ent.Role{Name: was.Name, Description: was.Description, PolicyNote: was.PolicyNote, Pairs: was.Pairs}
	if in.Name != nil {
		is.Name = *in.Name
	}
	if in.Description != nil {
		is.Description = *in.Description
	}
	if in.PolicyNote != nil {
		is.PolicyNote = *in.PolicyNote
	}
	if in.Pairs != nil {
		is.Pairs = in.Pairs
	}
	return is
}

// customRole loads a role, with those that it lists, that the viewer may change: a custom one, not held by themselves
// now or later, and within what they may give. Others are roles that have to be visible too.
func (d *doing) customRole(ctx context.Context, id int64, others ...int64) (*ent.Role, *giving, error) {
	if _, err := d.role(ctx, id); err != nil {
		return nil, nil, err
	}
	giving, err := d.author(ctx, others)
	if err != nil {
		return nil, nil, err
	}
	r := giving.roles[id]
	if r.Key != nil {
		return nil, nil, refusal.Limit(refusal.BuiltInRole, authz.RolesManage, "at a custom role",
			"Built-in roles never change.", "Make a custom role instead.")
	}
	own, err := d.holds(ctx, rolegrant.RoleID(id))
	if err != nil {
		return nil, nil, err
	}
	if own {
		return nil, nil, d.notOneself(d.viewer.UserID)
	}
	return r, giving, giving.admits(pairsOf(r), idsOf(r.Edges.MayGive))
}

func idsOf(roles []*ent.Role) []int64 {
	ids := make([]int64, len(roles))
	for i, r := range roles {
		ids[i] = r.ID
	}
	slices.Sort(ids)
	return ids
}

// DeleteRole is the input of Service.DeleteRole.
type DeleteRole struct {
	RoleID      int64
	SuccessorID *int64
	Reason      string
}

// DeleteRole deletes a custom role. While it is held, now or later, it needs a successor to which its grants go, and
// the right to give that to each of the holders, whom the viewer has to outrank. Grants that have ended go with the role;
// the audit trail has them.
func (s *Service) DeleteRole(ctx context.Context, in DeleteRole) error {
	return s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		r, successor, grants, err := d.roleAndSuccessor(ctx, in)
		if err != nil {
			return err
		}
		if successor != nil && successor.ID == r.ID {
			return refusal.BadInput("input.successorId", "A role cannot succeed itself. Name another role.")
		}
		reason, err := d.reason(in.Reason)
		if err != nil {
			return err
		}
		if len(grants) > 0 && successor == nil {
			return refusal.Conflict(refusal.RoleInUse, "Somebody holds this role, or will hold it. Name a successor role, or revoke it first.")
		}
		if successor != nil && successor.Key == nil {
			if err := d.customRolesOn(); err != nil {
				return err
			}
		}
		after := audit.Fields{}
		if successor != nil {
			after["successor"] = roleID(successor.ID)
			if err := d.handGrantsOn(ctx, grants, successor, reason); err != nil {
				return err
			}
		}
		if _, err := d.tx.RoleGrant.Delete().Where(rolegrant.AccountID(d.account.ID), rolegrant.RoleID(r.ID)).Exec(authz.Trusted(ctx)); err != nil {
			return fmt.Errorf("directory: removing ended grants: %w", err)
		}
		if _, err := d.tx.Role.Delete().Where(role.ID(r.ID)).Exec(ctx); err != nil {
			return fmt.Errorf("directory: deleting role %d: %w", r.ID, err)
		}
		return d.record(ctx, audit.Event{Action: "ROLE_DELETED", TargetKind: relay.KindRole, TargetID: r.ID, Reason: reason,
			Before: roleFields(r, idsOf(r.Edges.MayGive)), After: after})
	})
}

// roleAndSuccessor loads the role, its successor (nil when none is named) and the grants that would go to it, and holds
// the limits on giving access against each of those.
func (d *doing) roleAndSuccessor(ctx context.Context, in DeleteRole) (r, successor *ent.Role, grants []*ent.RoleGrant, err error) {
	var others []int64
	if in.SuccessorID != nil {
		others = []int64{*in.SuccessorID}
	}
	r, giving, err := d.customRole(ctx, in.RoleID, others...)
	if err != nil {
		return nil, nil, nil, err
	}
	if grants, err = d.grants(ctx, rolegrant.RoleID(r.ID)); err != nil || in.SuccessorID == nil {
		return r, nil, grants, err
	}
	successor = giving.roles[*in.SuccessorID]
	for _, grant := range grants {
		targets, err := d.targetsOf(ctx, grant)
		if err != nil {
			return nil, nil, nil, err
		}
		if err := d.mayAssign(targets...); err != nil {
			return nil, nil, nil, err
		}
	}
	if err := giving.may(successor.ID); err != nil {
		return nil, nil, nil, err
	}
	return r, successor, grants, d.outranksHolders(ctx, giving, grants)
}

// handGrantsOn makes the grants ones of the successor, each with its event.
func (d *doing) handGrantsOn(ctx context.Context, grants []*ent.RoleGrant, successor *ent.Role, reason string) error {
	for _, grant := range grants {
		now, err := d.tx.RoleGrant.UpdateOneID(grant.ID).SetRoleID(successor.ID).Save(authz.Trusted(ctx))
		if err != nil {
			return fmt.Errorf("directory: handing on grant %d: %w", grant.ID, err)
		}
		err = d.record(ctx, audit.Event{Action: "ROLE_GRANT_HANDED_ON", TargetKind: relay.KindRoleGrant, TargetID: grant.ID, Reason: reason,
			Before: grantFields(grant), After: grantFields(now)})
		if err != nil {
			return err
		}
	}
	return d.givesOutTo(ctx, grants)
}
