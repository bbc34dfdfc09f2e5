package graph

import (
	"log/slog"
	"time"

	"canopy/desk"
	"canopy/directory"
	"canopy/graph/generated"
	"canopy/live"
	"canopy/relay"
	"canopy/store"

	"github.com/vektah/gqlparser/v2/ast"
)

// resolver is the root of all resolvers. Reads go to the read-only client, under the row rules; every change goes
// through a use-case.
type resolver struct {
	DB        *store.DB
	Directory *directory.Service
	Desk      *desk.Service
	Now       func() time.Time

	live      *live.Hub
	logIns    LogInLimiter
	log       *slog.Logger
	loaders   map[string]map[string]anyLoader // by type and field
	kinds     map[relay.Kind]nodesFunc
	nodeTypes []string
	satisfies map[string][]string // for each object type its own name and those of its interfaces
	inputs    map[string]ast.FieldList

	payloadTimeout time.Duration // Limits.Payload
}

// now is the moment at which grants and sessions are judged that are shown. It is not the one at which the viewer was
// loaded: what a mutation has just given counts in its answer.
func (r *resolver) now() time.Time { return r.Now().UTC().Truncate(time.Microsecond) }

type (
	queryResolver        struct{ *resolver }
	mutationResolver     struct{ *resolver }
	subscriptionResolver struct{ *resolver }
)

// Query, Mutation and the others make up generated.ResolverRoot.

func (r *resolver) Mutation() generated.MutationResolver { return &mutationResolver{r} }
func (r *resolver) Query() generated.QueryResolver       { return &queryResolver{r} }
func (r *resolver) Account() generated.AccountResolver   { return &accountResolver{r} }
func (r *resolver) Agent() generated.AgentResolver       { return &agentResolver{r} }
func (r *resolver) Contact() generated.ContactResolver   { return &contactResolver{r} }
func (r *resolver) Group() generated.GroupResolver       { return &groupResolver{r} }
func (r *resolver) Message() generated.MessageResolver   { return &messageResolver{r} }
func (r *resolver) Note() generated.NoteResolver         { return &noteResolver{r} }
func (r *resolver) Role() generated.RoleResolver         { return &roleResolver{r} }
func (r *resolver) Session() generated.SessionResolver   { return &sessionResolver{r} }
func (r *resolver) User() generated.UserResolver         { return &userResolver{r} }
func (r *resolver) Viewer() generated.ViewerResolver     { return &viewerResolver{r} }
func (r *resolver) AccessPreview() generated.AccessPreviewResolver {
	return &accessPreviewResolver{r}
}
func (r *resolver) AccessChange() generated.AccessChangeResolver {
	return &accessChangeResolver{r}
}
func (r *resolver) Subscription() generated.SubscriptionResolver {
	return &subscriptionResolver{r}
}
func (r *resolver) RoleGrant() generated.RoleGrantResolver {
	return &roleGrantResolver{r}
}
func (r *resolver) AuditEvent() generated.AuditEventResolver {
	return &auditEventResolver{r}
}
func (r *resolver) Conversation() generated.ConversationResolver {
	return &conversationResolver{r}
}
func (r *resolver) HistoryEntry() generated.HistoryEntryResolver { return &historyEntryResolver{r} }
func (r *resolver) Cover() generated.CoverResolver               { return &coverResolver{r} }
func (r *resolver) ForeseenHandover() generated.ForeseenHandoverResolver {
	return &foreseenHandoverResolver{r}
}
func (r *resolver) GroupMove() generated.GroupMoveResolver { return &groupMoveResolver{r} }

func (r *resolver) GroupRequest() generated.GroupRequestResolver {
	return &groupRequestResolver{r}
}
func (r *resolver) ContactAssignment() generated.ContactAssignmentResolver {
	return &contactAssignmentResolver{r}
}
func (r *resolver) Offer() generated.OfferResolver {
	return &offerResolver{r}
}
func (r *resolver) BooleanSetting() generated.BooleanSettingResolver {
	return &booleanSettingResolver{r}
}
func (r *resolver) IntSetting() generated.IntSettingResolver {
	return &intSettingResolver{r}
}
func (r *resolver) AgentCapacity() generated.AgentCapacityResolver {
	return &agentCapacityResolver{r}
}
func (r *resolver) AgentPanel() generated.AgentPanelResolver { return &agentPanelResolver{r} }

func (r *resolver) AssignmentModeSetting() generated.AssignmentModeSettingResolver {
	return &assignmentModeSettingResolver{r}
}

// allLoaders is the list of fields that are loaded for many objects at once.
func (r *resolver) allLoaders() map[string]map[string]anyLoader {
	all := map[string]map[string]anyLoader{
		"AccessChange":      r.accessChangeLoaders(),
		"AccessPreview":     r.accessPreviewLoaders(),
		"Account":           r.accountLoaders(),
		"Agent":             r.agentLoaders(),
		"AgentPanel":        r.agentPanelLoaders(),
		"AuditEvent":        r.auditEventLoaders(),
		"Contact":           r.contactLoaders(),
		"Offer":             {"agent": r.offerAgents()},
		"ContactAssignment": r.contactAssignmentLoaders(),
		"Conversation":      r.conversationLoaders(),
		"Cover":             r.coverLoaders(),
		"ForeseenHandover":  r.foreseenHandoverLoaders(),
		"HistoryEntry":      r.historyEntryLoaders(),
		"Group":             r.groupLoaders(),
		"GroupMove":         r.groupMoveLoaders(),
		"GroupRequest":      r.groupRequestLoaders(),
		"Message":           r.messageLoaders(),
		"Note":              r.noteLoaders(),
		"Role":              r.roleLoaders(),
		"RoleGrant":         r.roleGrantLoaders(),
		"User":              r.userLoaders(),
		"Viewer":            r.viewerLoaders(),
	}
	r.settingLoaders(all)
	return all
}
