package desk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/historyentry"
	"canopy/refusal"
	"canopy/tree"
)

// ImportContact is a contact to create, unless there is one with that address on that channel.
type ImportContact struct {
	Name    string
	Phone   *string
	Email   *string
	Channel *string // with Address, or neither
	Address *string
	At      authz.Place // the group where it arrives, which the viewer sees
	AgentID *int64      // who serves it from then on; nil: it waits
	Refused error       // why the group or the agent cannot be found
}

// Imported is what became of one row.
type Imported struct {
	ID      int64 // of what was made or is there; 0 in a dry run
	Existed bool  // it was there already, and stays as it is
	Refused error // why the row was refused; the rest is empty then
}

// Plan is what the earlier batches of a dry run would have made.
type Plan struct{ addresses map[reach]bool }

// NewPlan returns the plan with which a dry run begins.
func NewPlan() *Plan { return &Plan{addresses: map[reach]bool{}} }

// reach is where a contact is reached.
type reach struct{ channel, address string }

// ImportContacts creates, in the transaction, the contacts that are not there yet, and says of each row what became of
// it. The viewer of ctx has been judged in the transaction, under the account's lock. A row needs CONTACTS_IMPORT at the
// group and what the single changes need: CONTACTS_CREATE there, and CONVERSATIONS_ASSIGN for an agent. With a plan it
// is a dry run, and nothing is written.
func (s *Service) ImportContacts(ctx context.Context, tx *ent.Tx, rows []ImportContact, reason string, plan *Plan) ([]Imported, error) {
	j := s.begins(tx, authz.FromContext(ctx))
	dry := plan != nil
	if !dry {
		plan = NewPlan()
	}
	receivers, err := j.receivers(ctx, rows)
	if err != nil {
		return nil, err
	}
	people, out := make([]person, len(rows)), make([]Imported, len(rows))
	for i, in := range rows {
		people[i], out[i].Refused = j.checkImport(in, receivers)
	}
	known, err := j.knownAddresses(ctx, people)
	if err != nil {
		return nil, err
	}
	arrivals, at := []arrival{}, []int{}
	for i, in := range rows {
		if out[i] = plan.place(people[i], known, out[i].Refused); out[i].Existed || out[i].Refused != nil {
			continue
		}
		a := arrival{person: people[i], at: in.At}
		if in.AgentID != nil {
			a.agent = receivers[*in.AgentID].agent
		}
		arrivals, at = append(arrivals, a), append(at, i)
	}
	if dry || len(arrivals) == 0 {
		return out, nil
	}
	contacts, err := j.takeIn(ctx, arrivals, reason)
	if err != nil {
		return nil, err
	}
	for i, c := range contacts {
		out[at[i]].ID = c.ID
	}
	return out, j.finish(ctx)
}

// place says of a row whether it is there already, and why it is refused, if it is; else its address is taken from now on.
func (p *Plan) place(who person, known map[reach]resident, refused error) Imported {
	where, there := reach{}, resident{}
	if who.channel != nil {
		where = reach{*who.channel, *who.address}
		there = known[where]
	}
	switch {
	case there.seen || p.addresses[where]:
		return Imported{ID: there.id, Existed: true}
	case refused == nil && there.id != 0:
		refused = refusal.Conflict(refusal.AddressTaken,
			"A contact of the account has this address on this channel already. Leave the row out.").At("address")
	case refused == nil && who.channel != nil:
		p.addresses[where] = true
	}
	return Imported{Refused: refused}
}

// receivers finds the agents who are named, each once, and holds them in the order of their ids.
func (j *job) receivers(ctx context.Context, rows []ImportContact) (map[int64]judged, error) {
	named := map[int64]judged{}
	for _, in := range rows {
		if in.AgentID != nil {
			named[*in.AgentID] = judged{}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(named)) {
		to, err := j.agentReceives(ctx, id)
		var r *refusal.Refusal
		if err != nil && !errors.As(err, &r) {
			return nil, err
		}
		named[id] = judged{to, err}
	}
	return named, nil
}

// judged is a receiver, or why there is none.
type judged struct {
	receiver
	missing error
}

// checkImport checks a row, in the order of ruling 16, but for its address being taken.
func (j *job) checkImport(in ImportContact, receivers map[int64]judged) (person, error) {
	p, wrong := in.person()
	if in.Refused != nil {
		return p, in.Refused
	}
	var to judged
	if in.AgentID != nil {
		if to = receivers[*in.AgentID]; to.missing != nil {
			return p, refusal.Blame(to.missing, "agent")
		}
	}
	if err := j.mayAt(authz.ContactsImport, in.At); err != nil {
		return p, refusal.Blame(err, "group")
	}
	if err := j.mayCreate(in.At); err != nil {
		return p, refusal.Blame(err, "group")
	}
	if in.AgentID != nil && !j.viewer.Can(assigning().permission, authz.AtContact(in.At, 0)) {
		return p, refusal.Forbidden(assigning().permission, "at this contact").At("agent")
	}
	if wrong != nil {
		return p, wrong
	}
	return p, refusal.Blame(to.conflict, "agent")
}

// person returns the row as it is stored. An address that is good stands in it even if something else is refused.
func (in ImportContact) person() (person, error) {
	if (in.Channel == nil) != (in.Address == nil) {
		return person{}, refusal.BadInput("address", "A contact has both a channel and an address on it, or neither.")
	}
	var reached person
	if in.Channel != nil {
		var err error
		if reached, err = reachedAt(*in.Channel, *in.Address); err != nil {
			return person{}, err
		}
	}
	p, err := checkPerson(in.Name, in.Phone, in.Email)
	p.channel, p.address = reached.channel, reached.address
	return p, err
}

// resident is a contact that has an address already.
type resident struct {
	id   int64
	seen bool
}

// knownAddresses finds who has the addresses already, by one statement for each channel.
func (j *job) knownAddresses(ctx context.Context, people []person) (map[reach]resident, error) {
	byChannel := map[string][]string{}
	for _, p := range people {
		if p.channel != nil {
			byChannel[*p.channel] = append(byChannel[*p.channel], *p.address)
		}
	}
	known, ids := map[reach]resident{}, []int64{}
	for channel, addresses := range byChannel {
		found, err := j.tx.Contact.Query().Where(contact.AccountID(j.viewer.AccountID), contact.Channel(channel),
			contact.AddressIn(addresses...)).Select(contact.FieldID, contact.FieldChannel, contact.FieldAddress).All(authz.Trusted(ctx))
		if err != nil {
			return nil, fmt.Errorf("desk: looking for addresses: %w", err)
		}
		for _, c := range found {
			known[reach{*c.Channel, *c.Address}] = resident{id: c.ID}
			ids = append(ids, c.ID)
		}
	}
	if len(ids) == 0 {
		return known, nil
	}
	seen, err := j.tx.Contact.Query().Where(contact.IDIn(ids...)).IDs(ctx)
	if err != nil {
		return nil, fmt.Errorf("desk: looking for contacts: %w", err)
	}
	for where, r := range known {
		r.seen = slices.Contains(seen, r.id)
		known[where] = r
	}
	return known, nil
}

// takeIn writes the contacts, and for those that have an agent what AssignContact would leave.
func (j *job) takeIn(ctx context.Context, arrivals []arrival, reason string) ([]*ent.Contact, error) {
	groups := map[int64]bool{}
	for _, a := range arrivals {
		groups[a.at.GroupID] = true
		if a.agent != nil {
			groups[a.agent.HomeGroupID] = true
		}
	}
	if err := tree.LockGroups(ctx, j.tx, slices.Sorted(maps.Keys(groups))...); err != nil {
		return nil, err
	}
	contacts, err := j.arriveAll(ctx, arrivals)
	if err != nil {
		return nil, err
	}
	p := assigning()
	ids := make([]int64, len(contacts))
	var assignments []*ent.ContactAssignmentCreate
	var events []audit.Event
	for i, c := range contacts {
		ids[i] = c.ID
		a := arrivals[i]
		h := &held{Contact: c, place: a.at, arriving: true}
		if err := j.watch(ctx, h, h.stand()); err != nil {
			return nil, err
		}
		if a.agent == nil {
			continue
		}
		assignments = append(assignments, j.assignment(c.ID, a.agent.ID, p.how.because(reason)))
		events = append(events, j.passed(p.action, c.ID, 0, a.at.GroupID, receiver{agent: a.agent, group: a.agent.HomeGroupID}, reason))
	}
	if len(assignments) > 0 {
		if err := j.assignAll(ctx, assignments, arrivals, reason); err != nil {
			return nil, err
		}
	}
	if err := audit.Record(ctx, j.tx, events...); err != nil {
		return nil, err
	}
	if err := j.publishArrivals(ctx, arrivals); err != nil {
		return nil, err
	}
	return contacts, tree.AddContacts(ctx, j.tx, ids)
}

// assignAll writes the assignments of those arrivals that have an agent, in their order, and tells the histories.
func (j *job) assignAll(ctx context.Context, assignments []*ent.ContactAssignmentCreate, arrivals []arrival, reason string) error {
	made, err := j.tx.ContactAssignment.CreateBulk(assignments...).Save(authz.Trusted(ctx))
	if err != nil {
		return fmt.Errorf("desk: assigning contacts: %w", err)
	}
	var news []*ent.HistoryEntryCreate
	for _, a := range arrivals {
		if a.agent == nil {
			continue
		}
		by := made[len(news)]
		news = append(news, j.entry(by.ContactID, told{kind: historyentry.KindASSIGNED, how: assigning().how.because(reason),
			agent: by.UserID, group: a.agent.HomeGroupID, assignment: by}).SetFromGroupID(a.at.GroupID))
	}
	if err := j.tx.HistoryEntry.CreateBulk(news...).Exec(authz.Trusted(ctx)); err != nil {
		return fmt.Errorf("desk: writing the histories of contacts: %w", err)
	}
	return nil
}
