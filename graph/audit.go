package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

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

// Changes hides what is said about a contact that the viewer does not see.
func (r *auditEventResolver) Changes(ctx context.Context, e *ent.AuditEvent) ([]*model.AuditChange, error) {
	target, err := take[bind.Node](ctx, r.resolver, e)
	if err != nil || target == nil && aboutContact(targetOf(e)) {
		return []*model.AuditChange{}, err
	}
	return changes(e.Before, e.After)
}

func (r *resolver) auditEventLoaders() map[string]anyLoader {
	targets := loader[*ent.AuditEvent, bind.Node]{numberOfNode[*ent.AuditEvent], r.targets}
	return map[string]anyLoader{
		"user":     toOne(r, userRows, func(e *ent.AuditEvent) *int64 { return e.UserID }),
		"target":   targets,
		"targetId": targets,
		"changes":  targets,
	}
}

// targetOf is the id of what an event is about.
func targetOf(e *ent.AuditEvent) relay.ID {
	if e.TargetKind == "" {
		return relay.ID{}
	}
	return relay.NewID(relay.Kind(e.TargetKind[0]), e.TargetID)
}

// aboutContact says whether such a thing belongs to a contact.
func aboutContact(target relay.ID) bool {
	switch target.Kind() {
	case relay.KindContact, relay.KindContactAssignment, relay.KindConversation, relay.KindMessage:
		return true
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

// changes lists the fields of both sides by name.
func changes(before, after json.RawMessage) ([]*model.AuditChange, error) {
	was, err := fieldsOf(before)
	if err != nil {
		return nil, err
	}
	is, err := fieldsOf(after)
	if err != nil {
		return nil, err
	}
	names := maps.Clone(was)
	maps.Copy(names, is)
	list := make([]*model.AuditChange, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		list = append(list, &model.AuditChange{Field: name, Before: text(was, name), After: text(is, name)})
	}
	return list, nil
}

func fieldsOf(side json.RawMessage) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if len(side) == 0 {
		return fields, nil
	}
	if err := json.Unmarshal(side, &fields); err != nil {
		return nil, fmt.Errorf("an audit event holds something other than fields: %w", err)
	}
	return fields, nil
}

// text returns a field as JSON, nil when it is not there.
func text(fields map[string]json.RawMessage, name string) *string {
	raw, ok := fields[name]
	if !ok {
		return nil
	}
	value := string(raw)
	return &value
}
