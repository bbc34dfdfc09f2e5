package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/auditevent"
	"canopy/graph/bind"
	"canopy/graph/model"
	"canopy/refusal"
	"canopy/relay"

	"entgo.io/ent/dialect/sql"
)

type auditEventResolver struct{ *resolver }

func (r *queryResolver) AuditEvents(ctx context.Context, userID, targetID *relay.ID, action *string, from, until *time.Time, first *int, after *string) (*relay.Connection[*ent.AuditEvent], error) {
	p, err := r.page(ctx, first, after)
	if err != nil {
		return nil, err
	}
	conditions := []func(*sql.Selector){with(auditevent.FieldAction, action), between(from, until)}
	if userID != nil {
		u, err := one(ctx, r.DB.Read, userRows, userID.As(relay.KindUser), "user")
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, with(auditevent.FieldUserID, &u.ID))
	}
	if targetID != nil {
		found, err := r.things(ctx, []relay.ID{*targetID})
		if err != nil {
			return nil, err
		}
		if found[*targetID] == nil {
			return nil, refusal.NotFound("target")
		}
		conditions = append(conditions, about(*targetID))
	}
	return eventsNewestFirst().page(ctx, r.DB.Read, p, conditions...)
}

// between narrows a select of events to those from one moment on and before another.
func between(from, until *time.Time) func(*sql.Selector) {
	return func(s *sql.Selector) {
		if from != nil {
			s.Where(sql.GTE(s.C(auditevent.FieldAt), *from))
		}
		if until != nil {
			s.Where(sql.LT(s.C(auditevent.FieldAt), *until))
		}
	}
}

// about narrows a select of events to those of a target.
func about(target relay.ID) func(*sql.Selector) {
	kind := target.Kind()
	if kind == relay.KindAgent {
		kind = relay.KindUser
	}
	return func(s *sql.Selector) {
		s.Where(sql.And(
			sql.EQ(s.C(auditevent.FieldTargetKind), string(kind)),
			sql.EQ(s.C(auditevent.FieldTargetID), target.As(target.Kind()))))
	}
}

func (r *auditEventResolver) User(ctx context.Context, e *ent.AuditEvent) (*ent.User, error) {
	return take[*ent.User](ctx, r.resolver, e)
}

func (r *auditEventResolver) TargetID(ctx context.Context, e *ent.AuditEvent) (*relay.ID, error) {
	target, err := take[bind.Node](ctx, r.resolver, e)
	if err != nil || target == nil {
		return nil, err
	}
	id := target.GlobalID()
	return &id, nil
}

func (r *auditEventResolver) Target(ctx context.Context, e *ent.AuditEvent) (bind.Node, error) {
	return take[bind.Node](ctx, r.resolver, e)
}

func (r *auditEventResolver) Changes(ctx context.Context, e *ent.AuditEvent) ([]*model.AuditChange, error) {
	return take[[]*model.AuditChange](ctx, r.resolver, e)
}

func (r *auditEventResolver) Reason(ctx context.Context, e *ent.AuditEvent) (string, error) {
	shown, err := take[bool](ctx, r.resolver, e)
	if err != nil || !shown {
		return "", err
	}
	return e.Reason, nil
}

func (r *resolver) auditEventLoaders() map[string]anyLoader {
	targets := loader[*ent.AuditEvent, bind.Node]{numberOfNode[*ent.AuditEvent], r.targets}
	return map[string]anyLoader{
		"user":     toOne(r, userRows, func(e *ent.AuditEvent) *int64 { return e.UserID }),
		"target":   targets,
		"targetId": targets,
		"changes":  loader[*ent.AuditEvent, []*model.AuditChange]{numberOfNode[*ent.AuditEvent], r.changes},
		"reason":   loader[*ent.AuditEvent, bool]{numberOfNode[*ent.AuditEvent], r.detailed},
	}
}

// targetOf is the id of what an event is about.
func targetOf(e *ent.AuditEvent) relay.ID {
	if e.TargetKind == "" {
		return relay.ID{}
	}
	return relay.NewID(relay.Kind(e.TargetKind[0]), e.TargetID)
}

// detailed says of which events the viewer is shown the changes and the reason: those whose targets they see, and
// those about a kind of which they see all that there is, so that what is gone can be read too.
func (r *resolver) detailed(ctx context.Context, events []*ent.AuditEvent, _ asked) (map[int64]bool, error) {
	shown := make(map[int64]bool, len(events))
	var rest []*ent.AuditEvent
	for _, e := range events {
		if shown[e.ID] = seesAll(authz.FromContext(ctx), targetOf(e).Kind()); !shown[e.ID] {
			rest = append(rest, e)
		}
	}
	targets, err := r.targets(ctx, rest, asked{})
	for id := range targets {
		shown[id] = true
	}
	return shown, err
}

// seesAll says whether the viewer sees all things of a kind that the account has, whatever group they are in.
func seesAll(v *authz.Viewer, kind relay.Kind) bool {
	switch kind {
	case relay.KindAccount:
		return true
	case relay.KindGroup, relay.KindGroupRequest, relay.KindGroupMove:
		return v.CanAccount(authz.GroupsView)
	case relay.KindUser, relay.KindSession:
		return v.CanAccount(authz.UsersView)
	case relay.KindRole, relay.KindRoleGrant:
		return v.CanAccount(authz.RolesView)
	case relay.KindContact, relay.KindContactAssignment, relay.KindConversation, relay.KindMessage, relay.KindHistoryEntry, relay.KindNote:
		return v.CanAccount(authz.ConversationsView) || v.CanAccount(authz.ContactsView)
	case relay.KindTag:
		return v.Permissions().Has(authz.ConversationsView) || v.Permissions().Has(authz.QueueView) || v.CanAccount(authz.InboxSettingsEdit)
	}
	return false
}

// targets loads what events are about, as far as the viewer sees it.
func (r *resolver) targets(ctx context.Context, events []*ent.AuditEvent, _ asked) (map[int64]bind.Node, error) {
	ids := make([]relay.ID, len(events))
	for i, e := range events {
		ids[i] = targetOf(e)
	}
	found, err := r.things(ctx, ids)
	targets := make(map[int64]bind.Node, len(events))
	for i, e := range events {
		if n := found[ids[i]]; n != nil {
			targets[e.ID] = n
		}
	}
	return targets, err
}

// naming are the recorded fields whose values are ids, or lists of ids, of other things.
var naming = []string{"agent", "author", "clonedFrom", "contact", "conversation", "coveredBy", "endedGrants", "group", "homeGroup", "mayGive", "parent", "primaryOwner", "role", "successor", "tags", "user"}

// changes lists what each event changed, nothing for those of which the viewer is not shown the details. Other things
// that it names are left out where the viewer does not see them.
func (r *resolver) changes(ctx context.Context, events []*ent.AuditEvent, _ asked) (map[int64][]*model.AuditChange, error) {
	shown, err := r.detailed(ctx, events, asked{})
	if err != nil {
		return nil, err
	}
	before, after := map[int64]fields{}, map[int64]fields{}
	var all []fields
	for _, e := range events {
		if !shown[e.ID] {
			continue
		}
		if before[e.ID], err = fieldsOf(e.Before); err != nil {
			return nil, err
		}
		if after[e.ID], err = fieldsOf(e.After); err != nil {
			return nil, err
		}
		all = append(all, before[e.ID], after[e.ID])
	}
	if err := r.hideNamed(ctx, all); err != nil {
		return nil, err
	}
	lists := make(map[int64][]*model.AuditChange, len(events))
	for _, e := range events {
		lists[e.ID] = differing(before[e.ID], after[e.ID])
	}
	return lists, nil
}

// fields is one side of a change.
type fields map[string]json.RawMessage

// hideNamed takes out of the fields the ids of what the viewer does not see.
func (r *resolver) hideNamed(ctx context.Context, all []fields) error {
	named := map[string]bool{}
	for _, side := range all {
		for _, field := range naming {
			for _, id := range namedBy(side[field]) {
				named[id] = true
			}
		}
	}
	known, err := r.known(ctx, named)
	for _, side := range all {
		for _, field := range naming {
			side.keep(field, known)
		}
	}
	return err
}

// namedBy returns the ids in the value of a field: one, a list, or none.
func namedBy(value json.RawMessage) []string {
	var one string
	var list []string
	if json.Unmarshal(value, &one) == nil && one != "" {
		return []string{one}
	}
	_ = json.Unmarshal(value, &list) // null and what else is no list names nothing
	return list
}

// known are those of the ids that name what the viewer sees, or what they would see if it were not gone.
func (r *resolver) known(ctx context.Context, named map[string]bool) (map[string]bool, error) {
	known := map[string]bool{}
	var rest []relay.ID
	for text := range named {
		id := relay.ParseID(text)
		kind := id.Kind()
		if kind == relay.KindAgent {
			kind = relay.KindUser // who sees all users knows whose every card is
		}
		if known[text] = seesAll(authz.FromContext(ctx), kind); !known[text] {
			rest = append(rest, id)
		}
	}
	found, err := r.things(ctx, rest)
	for id := range found {
		known[id.String()] = true
	}
	return known, err
}

// keep takes the ids that are not known out of a field: null stands for a single one.
func (f fields) keep(field string, known map[string]bool) {
	ids := namedBy(f[field])
	rest := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !known[id] })
	if len(rest) == len(ids) {
		return
	}
	if !bytes.HasPrefix(f[field], []byte("[")) {
		f[field] = json.RawMessage("null")
		return
	}
	f[field], _ = json.Marshal(rest) // strings can always be written
}

// differing lists by name the fields in which the sides differ.
func differing(was, is fields) []*model.AuditChange {
	names := maps.Clone(was)
	maps.Copy(names, is)
	list := make([]*model.AuditChange, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if b, a := was[name], is[name]; a != nil && b != nil && bytes.Equal(a, b) {
			continue
		}
		list = append(list, &model.AuditChange{Field: name, Before: text(was, name), After: text(is, name)})
	}
	return list
}

func fieldsOf(side json.RawMessage) (fields, error) {
	f := fields{}
	if len(side) == 0 {
		return f, nil
	}
	if err := json.Unmarshal(side, &f); err != nil {
		return nil, fmt.Errorf("an audit event holds something other than fields: %w", err)
	}
	return f, nil
}

// text returns a field as JSON, nil when it is not there.
func text(f fields, name string) *string {
	raw, ok := f[name]
	if !ok {
		return nil
	}
	value := string(raw)
	return &value
}
