package desk

import (
	"context"

	ent "canopy/ent/generated"
	"canopy/ent/generated/predicate"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/refusal"
	"canopy/tree"
)

// receiver is the agent or the group that shall take a contact over.
type receiver struct {
	agent *ent.User // nil: the contact waits in the group
	group int64     // where the contact goes: the agent's home group, or the group that was named
	taker *prepared // who takes it in the group, by its method
	// conflict says why the agent cannot take it. It is told after all other kinds of refusals (ruling 16).
	conflict error
}

// groups is where the contact goes, for locking.
func (r receiver) groups() []int64 {
	if r.group == 0 {
		return nil
	}
	return []int64{r.group}
}

// receiver finds who was named, of those to whom the viewer may give contacts (ruling 8), and keeps an agent where they
// are; a group is locked with the contact. With neither an agent nor a group the receiver is empty; with both, both have to exist.
func (j *job) receiver(ctx context.Context, agentID, groupID *int64) (receiver, error) {
	var r receiver
	if groupID != nil {
		if err := j.groupReceives(ctx, *groupID); err != nil {
			return receiver{}, err
		}
		r.group = *groupID
	}
	if agentID == nil {
		return r, nil
	}
	return j.agentReceives(ctx, *agentID)
}

// agentReceives finds an agent who serves and whose card the viewer sees. Somebody visible who does not serve, or
// whose access is paused, is a conflict; everybody else does not exist.
func (j *job) agentReceives(ctx context.Context, id int64) (receiver, error) {
	notFound := refusal.NotFound("agent")
	u, err := j.holdReceiver(ctx, id)
	if err != nil {
		return receiver{}, err
	}
	if u == nil {
		return receiver{}, notFound
	}
	r := receiver{agent: u, group: u.HomeGroupID}
	card, err := j.tx.User.Query().Where(user.ID(id), predicate.User(rule.Serving(j.now))).Exist(rule.AsCards(ctx))
	if err != nil || card && u.AccessPausedAt == nil {
		return r, err
	}
	if !card {
		visible, err := j.tx.User.Query().Where(user.ID(id)).Exist(ctx)
		if err != nil {
			return receiver{}, err
		}
		if !visible {
			return receiver{}, notFound
		}
	}
	r.conflict = errNotServing()
	return r, nil
}

func errNotServing() error {
	return refusal.Conflict(refusal.NotServing, "This user does not take contacts now. Name an agent who does.")
}

// groupReceives finds a group that the viewer sees, or one above the viewer's home group.
func (j *job) groupReceives(ctx context.Context, id int64) error {
	if id == 0 {
		return refusal.NotFound("group")
	}
	for _, above := range tree.IDs(j.viewer.Home.Path) {
		if above == id {
			return nil
		}
	}
	_, err := j.seeGroup(ctx, id)
	return err
}
