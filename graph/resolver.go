package graph

import (
	"log/slog"
	"time"

	"canopy/desk"
	"canopy/directory"
	"canopy/graph/generated"
	"canopy/relay"
	"canopy/store"

	"github.com/vektah/gqlparser/v2/ast"
)

// Resolver is the root of all resolvers. Reads go to the read-only client, under the row rules; every change goes
// through a use-case.
type Resolver struct {
	DB        *store.DB
	Directory *directory.Service
	Desk      *desk.Service
	Now       func() time.Time

	logIns    LogInLimiter
	log       *slog.Logger
	loaders   map[string]map[string]anyLoader // by type and field
	kinds     map[relay.Kind]nodesFunc
	nodeTypes []string
	satisfies map[string][]string // for each object type its own name and those of its interfaces
	inputs    map[string]ast.FieldList
}

type (
	queryResolver    struct{ *Resolver }
	mutationResolver struct{ *Resolver }
)

// Query, Mutation and the others make up generated.ResolverRoot.

func (r *Resolver) Mutation() generated.MutationResolver { return &mutationResolver{r} }
func (r *Resolver) Query() generated.QueryResolver       { return &queryResolver{r} }
func (r *Resolver) Account() generated.AccountResolver   { return &accountResolver{r} }
func (r *Resolver) Agent() generated.AgentResolver       { return &agentResolver{r} }
func (r *Resolver) Contact() generated.ContactResolver   { return &contactResolver{r} }
func (r *Resolver) Group() generated.GroupResolver       { return &groupResolver{r} }
func (r *Resolver) Message() generated.MessageResolver   { return &messageResolver{r} }
func (r *Resolver) Role() generated.RoleResolver         { return &roleResolver{r} }
func (r *Resolver) Session() generated.SessionResolver   { return &sessionResolver{r} }
func (r *Resolver) User() generated.UserResolver         { return &userResolver{r} }
func (r *Resolver) Viewer() generated.ViewerResolver     { return &viewerResolver{r} }
func (r *Resolver) RoleGrant() generated.RoleGrantResolver {
	return &roleGrantResolver{r}
}
func (r *Resolver) AuditEvent() generated.AuditEventResolver {
	return &auditEventResolver{r}
}
func (r *Resolver) Conversation() generated.ConversationResolver {
	return &conversationResolver{r}
}
func (r *Resolver) GroupRequest() generated.GroupRequestResolver {
	return &groupRequestResolver{r}
}
func (r *Resolver) ContactAssignment() generated.ContactAssignmentResolver {
	return &contactAssignmentResolver{r}
}
func (r *Resolver) BooleanSetting() generated.BooleanSettingResolver {
	return &booleanSettingResolver{r}
}
func (r *Resolver) IntSetting() generated.IntSettingResolver {
	return &intSettingResolver{r}
}
func (r *Resolver) AssignmentModeSetting() generated.AssignmentModeSettingResolver {
	return &assignmentModeSettingResolver{r}
}

// allLoaders is the list of fields that are loaded for many objects at once.
func (r *Resolver) allLoaders() map[string]map[string]anyLoader {
	all := map[string]map[string]anyLoader{
		"Account":           r.accountLoaders(),
		"Agent":             r.agentLoaders(),
		"AuditEvent":        r.auditEventLoaders(),
		"Contact":           r.contactLoaders(),
		"ContactAssignment": r.contactAssignmentLoaders(),
		"Conversation":      r.conversationLoaders(),
		"Group":             r.groupLoaders(),
		"GroupRequest":      r.groupRequestLoaders(),
		"Message":           r.messageLoaders(),
		"Role":              r.roleLoaders(),
		"RoleGrant":         r.roleGrantLoaders(),
		"User":              r.userLoaders(),
		"Viewer":            r.viewerLoaders(),
	}
	r.settingLoaders(all)
	return all
}
