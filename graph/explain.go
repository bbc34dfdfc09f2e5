package graph

import (
	"context"
	"fmt"
	"strings"
	"time"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/graph/bind"
	"canopy/graph/model"
	"canopy/refusal"
	"canopy/relay"
)

// maxExplained is how many grants an explanation shows of a kind.
const maxExplained = 100

// ExplainAccess says why somebody may or may not do something. The target is found like that of a check, so that it is
// the same one.
func (r *queryResolver) ExplainAccess(ctx context.Context, userID *relay.ID, p authz.Permission, targetID *relay.ID, at *time.Time) (*model.AccessExplanation, error) {
	in := directory.ExplainAccess{UserID: authz.FromContext(ctx).UserID, Permission: p, At: r.now()}
	if userID != nil {
		u, err := one(ctx, r.DB.Read, userRows, userID.As(relay.KindUser), "user")
		if err != nil {
			return nil, err
		}
		in.UserID = u.ID
	}
	if at != nil {
		in.At = at.UTC().Truncate(time.Microsecond)
	}
	target, err := r.targetOf(ctx, targetID)
	if err != nil {
		return nil, err
	}
	in.Target = target.For(p)
	words, err := r.targetInWords(ctx, targetID)
	if err != nil {
		return nil, err
	}
	why, err := r.Directory.ExplainAccess(ctx, in)
	if err != nil {
		return nil, err
	}
	shown, err := r.visibleOf(ctx, in, why)
	if err != nil {
		return nil, err
	}
	answer := shown.answer(p, why)
	answer.Sentence = shown.sentence(in, why, answer, words)
	if at != nil {
		answer.Sentence = "At " + in.At.Format("2006-01-02 15:04:05") + " UTC: " + answer.Sentence
	}
	return answer, nil
}

// targetOf returns what an id names as something that permissions are asked for; without one it is the account itself.
// An id that names nothing that the viewer sees is NOT_FOUND, whatever it claims to name.
func (r *resolver) targetOf(ctx context.Context, id *relay.ID) (authz.Target, error) {
	if id == nil {
		return authz.Target{}, nil
	}
	of := *id
	var find locator
	switch id.Kind() {
	case relay.KindAccount:
		if id.As(relay.KindAccount) == authz.FromContext(ctx).AccountID {
			return authz.Target{}, nil
		}
		return authz.Target{}, refusal.NotFound("target")
	case relay.KindGroup:
		find = r.locateGroups
	case relay.KindUser:
		find = r.locateUsers
	case relay.KindAgent:
		find = r.locateAgents
	case relay.KindContact:
		find = r.locateContacts
	case relay.KindConversation:
		find = r.locateConversations
	case relay.KindMessage:
		message, err := one(ctx, r.DB.Read, messageRows, id.As(relay.KindMessage), "message")
		if err != nil {
			return authz.Target{}, err
		}
		find, of = r.locateConversations, relay.NewID(relay.KindConversation, message.ConversationID)
	default:
		return authz.Target{}, refusal.NotFound("target")
	}
	places, err := find(ctx, []relay.ID{of})
	if err != nil {
		return authz.Target{}, err
	}
	return places[0].target, nil
}

// targetInWords returns words for a target that was found.
func (r *resolver) targetInWords(ctx context.Context, id *relay.ID) (string, error) {
	if id == nil {
		return "on the account", nil
	}
	things, err := r.things(ctx, []relay.ID{*id})
	if err != nil {
		return "", err
	}
	switch thing := things[*id].(type) {
	case *ent.Account:
		return "on the account", nil
	case *ent.Group:
		return "at " + thing.Name, nil
	case *ent.User:
		return "for " + thing.Name, nil
	case *bind.Agent:
		return "for " + thing.Name, nil
	case *ent.Contact:
		return "for " + thing.Name, nil
	case *ent.Conversation:
		return fmt.Sprintf("in conversation %d", thing.Number), nil
	case *ent.Message:
		return "for this message", nil
	}
	return "", refusal.NotFound("target") // gone between two statements
}

// visibleAccess is what the viewer may see of what an explanation names.
type visibleAccess struct {
	grants map[int64]*ent.RoleGrant
	groups map[int64]*ent.Group
	roles  map[int64]*ent.Role
	stands map[int64]*ent.Group // where the visible grants stand
	self   bool
}

func (r *resolver) visibleOf(ctx context.Context, in directory.ExplainAccess, why *directory.Explanation) (*visibleAccess, error) {
	var grants, groups, roles []int64
	for _, g := range why.Given {
		grants = append(grants, g.Grant.ID)
	}
	for _, m := range why.Missed {
		grants, groups = append(grants, m.GrantID), append(groups, m.WallID)
	}
	for _, remedy := range why.Remedies {
		if remedy.GroupID != nil {
			groups = append(groups, *remedy.GroupID)
		}
	}
	v := &visibleAccess{stands: map[int64]*ent.Group{}, self: in.UserID == authz.FromContext(ctx).UserID}
	var err error
	if v.grants, err = byID(ctx, r.DB.Read, grantRows, grants); err != nil {
		return nil, err
	}
	for _, g := range v.grants {
		groups, roles = append(groups, standOf(g, why.User)), append(roles, g.RoleID)
	}
	if v.groups, err = byID(ctx, r.DB.Read, groupRows, groups); err != nil {
		return nil, err
	}
	v.roles, err = byID(ctx, r.DB.Read, trusted(roleRows), roles)
	for id, g := range v.grants {
		v.stands[id] = v.groups[standOf(g, why.User)]
	}
	return v, err
}

func standOf(g *ent.RoleGrant, holder *ent.User) int64 {
	if g.GroupID != nil {
		return *g.GroupID
	}
	return holder.HomeGroupID
}

// answer leaves out what is hidden.
func (v *visibleAccess) answer(p authz.Permission, why *directory.Explanation) *model.AccessExplanation {
	answer := &model.AccessExplanation{Allowed: why.Allowed, Given: []*model.AccessPath{}, Missed: []*model.MissedGrant{},
		Remedies: []*model.AccessRemedy{}}
	if why.State != "" {
		state := model.AccessState(why.State)
		answer.State = &state
	}
	for _, g := range why.Given {
		if row := v.grants[g.Grant.ID]; row != nil && len(answer.Given) < maxExplained {
			answer.Given = append(answer.Given, &model.AccessPath{Grant: row, Way: model.AccessWay(g.Way.String()), Scope: g.Scope(p)})
		}
	}
	for _, m := range why.Missed {
		if row := v.grants[m.GrantID]; row != nil && len(answer.Missed) < maxExplained {
			obstacle, wall := model.AccessObstacle(m.Obstacle), v.groups[m.WallID]
			if obstacle == model.AccessObstacleWalled && wall == nil {
				obstacle = model.AccessObstacleElsewhere // that there is a wall is hidden with the group that it is around
			}
			answer.Missed = append(answer.Missed, &model.MissedGrant{Grant: row, Obstacle: obstacle, Wall: wall})
		}
	}
	for _, remedy := range why.Remedies {
		shown := &model.AccessRemedy{Role: remedy.Role, FollowsHomeGroup: remedy.GroupID == nil, Givers: remedy.Givers, GiverRoles: remedy.GiverRoles}
		if remedy.GroupID != nil {
			shown.Group = v.groups[*remedy.GroupID]
		}
		answer.Remedies = append(answer.Remedies, shown)
	}
	return answer
}

// sentence says the answer and the nearest reason. It names nothing that is not in the answer.
func (v *visibleAccess) sentence(in directory.ExplainAccess, why *directory.Explanation, answer *model.AccessExplanation, words string) string {
	who := why.User.Name
	if v.self {
		who = "You"
	}
	what, _, _ := strings.Cut(in.Permission.Definition().Description, ". ")
	what = strings.ToLower(what[:1]) + strings.TrimSuffix(what[1:], ".")
	if why.Allowed {
		reason := "by a grant that you may not see"
		if len(answer.Given) > 0 {
			reason = "by " + v.grantAt(answer.Given[0].Grant) + ", " + waysInWords[answer.Given[0].Way]
		}
		return fmt.Sprintf("%s may %s %s, %s.", who, what, words, reason)
	}
	return fmt.Sprintf("%s may not %s %s: %s.", who, what, words, v.whyNot(in.Permission, answer))
}

// grantAt names a grant by its role and place.
func (v *visibleAccess) grantAt(g *ent.RoleGrant) string {
	place := "a group that you may not see"
	if at := v.stands[g.ID]; at != nil {
		place = at.Name
	}
	return fmt.Sprintf("the grant of %s at %s", v.roles[g.RoleID].Name, place)
}

// whyNot says what stands in the way; of several grants that hold the permission, what stands in the way of the one
// that comes nearest.
func (v *visibleAccess) whyNot(p authz.Permission, answer *model.AccessExplanation) string {
	if answer.State != nil {
		return statesInWords[*answer.State]
	}
	var nearest *model.MissedGrant
	for _, m := range answer.Missed {
		if nearest == nil || nearest.Obstacle == model.AccessObstacleElsewhere {
			nearest = m
		}
	}
	switch {
	case nearest != nil && nearest.Obstacle == model.AccessObstacleWalled:
		return fmt.Sprintf("%s stops at the edge of the private branch %s", v.grantAt(nearest.Grant), nearest.Wall.Name)
	case nearest != nil:
		return fmt.Sprintf(obstaclesInWords[nearest.Obstacle], v.grantAt(nearest.Grant))
	}
	return "no role that was granted holds " + p.String() + " for it"
}

var waysInWords = map[model.AccessWay]string{
	model.AccessWayAccount:     "which holds on the whole account",
	model.AccessWayOwnRecord:   "which holds for the own record of its holder",
	model.AccessWayAssignment:  "because the contact is assigned to its holder",
	model.AccessWayOffer:       "because the contact is offered to its holder",
	model.AccessWaySubtree:     "which reaches everything below that group",
	model.AccessWayGroup:       "which reaches that group",
	model.AccessWaySharedInbox: "the Shared Inbox of which is on",
	model.AccessWayQueue:       "because the contact waits in a queue that it reaches",
}

var obstaclesInWords = map[model.AccessObstacle]string{
	model.AccessObstacleElsewhere:      "%s does not reach it",
	model.AccessObstacleServed:         "%s is for contacts that nobody serves, and somebody serves this one",
	model.AccessObstacleSharedInboxOff: "%s would give it if the Shared Inbox there were on",
	model.AccessObstacleNotManual:      "%s would give it if assignment were MANUAL where the contact waits",
	model.AccessObstacleNotAssigned:    "%s gives it for contacts that are assigned to its holder only; ask about one of them",
	model.AccessObstacleToCome:         "%s has not begun",
	model.AccessObstacleEnded:          "%s has ended",
	model.AccessObstacleRevoked:        "%s was revoked",
	model.AccessObstacleCustomRolesOff: "custom roles are switched off in the account, and with them %s",
}

var statesInWords = map[model.AccessState]string{
	model.AccessStateInvited:     "they were invited and have not set a password yet",
	model.AccessStateDeactivated: "they are deactivated",
	model.AccessStateDeleted:     "they are deleted",
	model.AccessStatePaused:      "their access is paused",
}
