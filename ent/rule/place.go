package rule

import (
	"canopy/authz"
	ent "canopy/ent/generated"
)

// PlaceOf returns where a group stands, as permissions are judged by it.
func PlaceOf(g *ent.Group) authz.Place {
	return authz.Place{GroupID: g.ID, Path: g.Path, Wall: g.Wall}
}
