package graph

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/rule"
	"canopy/refusal"
	"canopy/relay"
	"canopy/tree"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// atViewer is the path that names the viewer's home group.
const atViewer = "viewer"

// locator finds the places of things by their ids, in the order of the ids. An id that names nothing of the right kind
// and a thing that the viewer does not see are the same refusal.
type locator func(ctx context.Context, ids []relay.ID) ([]place, error)

// locators are the arguments that can name a place, by the last word of their path.
func (r *resolver) locators() map[string]locator {
	return map[string]locator{
		"group":          r.locateGroups,
		"groupId":        r.locateGroups,
		"parentId":       r.locateGroups,
		"homeGroupId":    r.locateGroups,
		"successorId":    r.locateGroups,
		"userId":         r.locateUsers,
		"agentId":        r.locateAgents,
		"grantId":        r.locateGrants,
		"contactId":      r.locateContacts,
		"conversationId": r.locateConversations,
	}
}

// locate returns the places that the paths name in the arguments of the field. An argument that is left out names
// nothing.
func (r *resolver) locate(ctx context.Context, paths []string) ([]place, error) {
	field := graphql.GetFieldContext(ctx).Field
	args := field.ArgumentMap(graphql.GetOperationContext(ctx).Variables)
	locators := r.locators()
	var places []place
	for _, path := range paths {
		if path == atViewer {
			places = append(places, place{authz.AtGroup(authz.FromContext(ctx).Home), "at your home group"})
			continue
		}
		words := strings.Split(path, ".")
		find, known := locators[words[len(words)-1]]
		if !known {
			return nil, fmt.Errorf("graph: %q names no place", path)
		}
		ids := idsAt(args, words)
		if len(ids) == 0 {
			continue
		}
		found, err := find(ctx, ids)
		if err != nil {
			return nil, err
		}
		places = append(places, found...)
	}
	return places, nil
}

// idsAt returns the ids at a path of the arguments, those of lists included.
func idsAt(value any, path []string) []relay.ID {
	switch v := value.(type) {
	case nil:
		return nil
	case []any:
		var ids []relay.ID
		for _, item := range v {
			ids = append(ids, idsAt(item, path)...)
		}
		return ids
	case map[string]any:
		if len(path) == 0 {
			return nil
		}
		return idsAt(v[path[0]], path[1:])
	}
	if len(path) > 0 {
		return nil
	}
	var id relay.ID
	if err := id.UnmarshalGQL(value); err != nil {
		return []relay.ID{{}}
	}
	return []relay.ID{id}
}

// missing returns the refusal for the first id in the arguments of the field that names nothing that the viewer sees,
// nil when there is none. Where the field passes contacts on, the groups above one's own need not be seen (ruling 8).
func (r *resolver) missing(ctx context.Context, p authz.Permission) error {
	field := graphql.GetFieldContext(ctx).Field
	args := field.ArgumentMap(graphql.GetOperationContext(ctx).Variables)
	var receivers []int64
	if p == authz.ConversationsAssign || p == authz.ConversationsTransfer {
		receivers = tree.IDs(authz.FromContext(ctx).Home.Path)
	}
	for _, arg := range field.Definition.Arguments {
		for _, path := range r.idPaths(arg.Name, arg.Type) {
			ids := idsAt(args, path)
			found, err := r.things(ctx, ids)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if found[id] == nil && !slices.Contains(receivers, id.As(relay.KindGroup)) {
					return notFound(path)
				}
			}
		}
	}
	return nil
}

// notFound refuses for an argument that names nothing that the viewer sees, in the words of the resolvers.
func notFound(path []string) error {
	argument := path[len(path)-1]
	missing := refusal.NotFound(named(argument))
	if argument == "under" {
		return missing.At(argument)
	}
	return missing
}

// idPaths lists the paths of ids within an argument.
func (r *resolver) idPaths(name string, typ *ast.Type) [][]string {
	if typ.Name() == "ID" {
		return [][]string{{name}}
	}
	var paths [][]string
	for _, input := range r.inputs[typ.Name()] {
		for _, below := range r.idPaths(input.Name, input.Type) {
			paths = append(paths, append([]string{name}, below...))
		}
	}
	return paths
}

// named says in plain words what an argument names.
func named(argument string) string {
	switch argument {
	case "group", "groupId", "parentId", "homeGroupId", "under":
		return "group"
	case "userId":
		return "user"
	case "agentId", "toAgentId", "handoverAgentId":
		return "agent"
	case "roleId", "roleIds", "mayGive":
		return "role"
	case "grantId":
		return "grant"
	case "contactId", "contactIds":
		return "contact"
	case "conversationId", "conversationIds":
		return "conversation"
	case "tagId", "addTagIds", "removeTagIds":
		return "tag"
	case "noteId":
		return "note"
	case "targetId":
		return "target"
	}
	return "thing"
}

// located makes the places of ids out of what was found by number.
func located[T any](ids []relay.ID, found map[int64]T, what string, at func(T) place, kinds ...relay.Kind) ([]place, error) {
	places := make([]place, len(ids))
	for i, id := range ids {
		thing, ok := found[id.As(kinds...)]
		if !ok {
			return nil, refusal.NotFound(what)
		}
		places[i] = at(thing)
	}
	return places, nil
}

func numbersAs(ids []relay.ID, kinds ...relay.Kind) []int64 {
	list := make([]int64, len(ids))
	for i, id := range ids {
		list[i] = id.As(kinds...)
	}
	return list
}

func (r *resolver) locateGroups(ctx context.Context, ids []relay.ID) ([]place, error) {
	found, err := byID(ctx, r.DB.Read, groupRows, numbersAs(ids, relay.KindGroup))
	if err != nil {
		return nil, err
	}
	return located(ids, found, "group", func(g *ent.Group) place {
		return place{authz.AtGroup(rule.PlaceOf(g)), "at this group"}
	}, relay.KindGroup)
}

func (r *resolver) locateUsers(ctx context.Context, ids []relay.ID) ([]place, error) {
	found, err := byID(ctx, r.DB.Read, userRows, numbersAs(ids, relay.KindUser))
	if err != nil {
		return nil, err
	}
	homes, err := r.homes(ctx, found)
	if err != nil {
		return nil, err
	}
	return located(ids, found, "user", func(u *ent.User) place {
		return place{authz.AtUser(homes[u.HomeGroupID], u.ID), "at this user"}
	}, relay.KindUser)
}

// locateAgents takes ids of cards, and of users whose record the viewer sees.
func (r *resolver) locateAgents(ctx context.Context, ids []relay.ID) ([]place, error) {
	cards, err := byID(ctx, r.DB.Read, agentRows, numbersAs(ids, relay.KindAgent))
	if err != nil {
		return nil, err
	}
	found, err := byID(ctx, r.DB.Read, userRows, numbersAs(ids, relay.KindUser))
	if err != nil {
		return nil, err
	}
	for id, card := range cards {
		found[id] = card.User
	}
	homes, err := r.homes(ctx, found)
	if err != nil {
		return nil, err
	}
	return located(ids, found, "agent", func(u *ent.User) place {
		return place{authz.AtUser(homes[u.HomeGroupID], u.ID), "at this agent"}
	}, relay.KindAgent, relay.KindUser)
}

func (r *resolver) homes(ctx context.Context, users map[int64]*ent.User) (map[int64]authz.Place, error) {
	var ids []int64
	for _, u := range users {
		ids = append(ids, u.HomeGroupID)
	}
	return r.places(ctx, ids)
}

func (r *resolver) locateGrants(ctx context.Context, ids []relay.ID) ([]place, error) {
	found, err := byID(ctx, r.DB.Read, grantRows, numbersAs(ids, relay.KindRoleGrant))
	if err != nil {
		return nil, err
	}
	var grants []*ent.RoleGrant
	for _, g := range found {
		grants = append(grants, g)
	}
	homes, err := r.homesOf(ctx, grants)
	if err != nil {
		return nil, err
	}
	at := func(g *ent.RoleGrant) int64 {
		if g.GroupID != nil {
			return *g.GroupID
		}
		return homes[g.UserID]
	}
	var groups []int64
	for _, g := range grants {
		groups = append(groups, at(g))
	}
	places, err := r.places(ctx, groups)
	if err != nil {
		return nil, err
	}
	return located(ids, found, "grant", func(g *ent.RoleGrant) place {
		return place{authz.AtGroup(places[at(g)]), "at the group of this grant"}
	}, relay.KindRoleGrant)
}

func (r *resolver) locateContacts(ctx context.Context, ids []relay.ID) ([]place, error) {
	found, err := byID(ctx, r.DB.Read, contactRows, numbersAs(ids, relay.KindContact))
	if err != nil {
		return nil, err
	}
	places, err := r.placesOfContacts(ctx, found)
	if err != nil {
		return nil, err
	}
	return located(ids, found, "contact", func(c *ent.Contact) place { return places[c.ID] }, relay.KindContact)
}

func (r *resolver) locateConversations(ctx context.Context, ids []relay.ID) ([]place, error) {
	found, err := byID(ctx, r.DB.Read, conversationRows, numbersAs(ids, relay.KindConversation))
	if err != nil {
		return nil, err
	}
	var contactIDs []int64
	for _, v := range found {
		contactIDs = append(contactIDs, v.ContactID)
	}
	contacts, err := byID(ctx, r.DB.Read, contactRows, contactIDs)
	if err != nil {
		return nil, err
	}
	places, err := r.placesOfContacts(ctx, contacts)
	if err != nil {
		return nil, err
	}
	return located(ids, found, "conversation", func(v *ent.Conversation) place { return places[v.ContactID] }, relay.KindConversation)
}

func (r *resolver) placesOfContacts(ctx context.Context, contacts map[int64]*ent.Contact) (map[int64]place, error) {
	var groups []int64
	for _, c := range contacts {
		groups = append(groups, c.GroupID)
	}
	where, err := r.places(ctx, groups)
	places := make(map[int64]place, len(contacts))
	for id, c := range contacts {
		places[id] = place{contactTarget(authz.FromContext(ctx), c, where), "at this contact"}
	}
	return places, err
}
