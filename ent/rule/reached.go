package rule

import (
	"context"

	"canopy/authz"
)

// ContactsReached narrows contacts to those at which the viewer holds the permission, whether or not they see them: for
// what a list tells of contacts beside their being there, such as whether a phone number matches a search.
func ContactsReached(ctx context.Context, p authz.Permission) Predicate {
	return limited(ctx, func(v *authz.Viewer, c row) clause { return allOf(owned(v, c), contact(c, v, v.Reach(p))) })
}
