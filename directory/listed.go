package directory

import (
	"slices"

	"canopy/authz"
	ent "canopy/ent/generated"
)

// MayGive returns the roles that holders of the role may give to others, within the reach of their ROLES_ASSIGN. All
// are the roles of the account, with their may_give edges; the result is in their order.
func MayGive(held *ent.Role, all []*ent.Role) []*ent.Role {
	g := &giving{roles: make(map[int64]*ent.Role, len(all)), given: map[int64]bool{}}
	for _, r := range all {
		g.roles[r.ID] = r
	}
	g.addListed(g.roles[held.ID])
	if held.Key != nil {
		builtIn, _ := authz.BuiltInRole(*held.Key)
		g.addCustom(builtIn.GivesCustom)
	}
	return slices.DeleteFunc(slices.Clone(all), func(r *ent.Role) bool { return !g.given[r.ID] })
}
