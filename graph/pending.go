package graph

import "canopy/graph/generated"

// pendingMutations lets the package compile until every mutation has its resolver.
type pendingMutations struct{ generated.MutationResolver }

func (r *Resolver) Mutation() generated.MutationResolver {
	return struct {
		*mutationResolver
		pendingMutations
	}{&mutationResolver{r}, pendingMutations{}}
}
