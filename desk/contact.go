package desk

import (
	"context"
	"fmt"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/historyentry"
	"canopy/internal/optional"
	"canopy/refusal"
	"canopy/relay"
	"canopy/tree"
)

// CreateContact is a contact to create: it arrives in the group.
type CreateContact struct {
	GroupID int64
	Name    string
	Phone   *string
	Email   *string
}

// UpdateContact changes what is set; phone and e-mail are cleared by null.
type UpdateContact struct {
	ContactID int64
	Name      *string
	Phone     optional.Value[string]
	Email     optional.Value[string]
}

// DeleteContact names the contact to delete, with everything said to it.
type DeleteContact struct {
	ContactID int64
	Reason    string
}

// person is what is known of a contact, as it is stored.
type person struct {
	name    string
	phone   *string
	email   *string
	channel *string // with address: where it writes from
	address *string
}

// checkPerson returns the input as it is stored.
func checkPerson(name string, phone, email *string) (p person, err error) {
	if p.name, err = checkName("input.name", name); err != nil {
		return person{}, err
	}
	if p.phone, err = checkOptional("input.phone", phone, checkPhone); err != nil {
		return person{}, err
	}
	p.email, err = checkOptional("input.email", email, checkEmail)
	return p, err
}

func checkOptional(field string, s *string, check func(field, s string) (string, error)) (*string, error) {
	if s == nil {
		return nil, nil
	}
	checked, err := check(field, *s)
	return &checked, err
}

// CreateContact creates a contact that arrives in the group, whose method decides who takes it. The answer is nil when
// the viewer does not see it.
func (s *Service) CreateContact(ctx context.Context, in CreateContact) (*ent.Contact, error) {
	var created *ent.Contact
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		at, err := j.seeGroup(ctx, in.GroupID)
		if err != nil {
			return err
		}
		taker, err := j.prepare(ctx, at.GroupID, nil, 0)
		if err != nil {
			return err
		}
		if at, err = j.holdGroup(ctx, in.GroupID); err != nil {
			return err
		}
		if err := j.mayCreate(at); err != nil {
			return err
		}
		p, err := checkPerson(in.Name, in.Phone, in.Email)
		if err != nil {
			return err
		}
		h, err := j.arrive(ctx, at, p)
		if err != nil {
			return err
		}
		to, news, err := j.fallBack(ctx, h, h.stand(), taker)
		if err != nil {
			return err
		}
		if err := j.tellIf(ctx, h, news); err != nil {
			return err
		}
		if err := j.settle(authz.Trusted(ctx), h, to); err != nil {
			return err
		}
		created, err = j.tx.Contact.Query().Where(contact.ID(h.ID)).Only(ctx)
		if ent.IsNotFound(err) { // whoever creates contacts need not see those of an agent
			return nil
		}
		return err
	})
	return created, err
}

func (j *job) mayCreate(at authz.Place) error { return j.mayAt(authz.ContactsCreate, at) }

// arrival is a contact that arrives in a group, and who serves it from then on, nil for nobody.
type arrival struct {
	person
	at    authz.Place
	agent *ent.User
}

// arrive inserts a contact that waits in the group, and records it. It is not listed and counted yet: settle does that,
// or the caller.
func (j *job) arrive(ctx context.Context, at authz.Place, p person) (*held, error) {
	contacts, err := j.arriveAll(ctx, []arrival{{person: p, at: at}})
	if err != nil {
		return nil, err
	}
	return &held{Contact: contacts[0], place: at, arriving: true}, nil
}

// arriveAll is arrive for any number of contacts. Their groups, and those of the agents, are held.
func (j *job) arriveAll(ctx context.Context, arrivals []arrival) ([]*ent.Contact, error) {
	creates := make([]*ent.ContactCreate, len(arrivals))
	for i, a := range arrivals {
		creates[i] = j.create(a)
	}
	contacts, err := j.tx.Contact.CreateBulk(creates...).Save(ctx)
	if err != nil {
		return nil, fmt.Errorf("desk: creating contacts: %w", err)
	}
	events := make([]audit.Event, len(contacts))
	news := make([]*ent.HistoryEntryCreate, len(contacts))
	for i, c := range contacts {
		news[i] = j.entry(c.ID, told{kind: historyentry.KindARRIVED, how: how{explanation: "The contact arrived in the group."}, group: c.ArrivalGroupID})
		events[i] = j.event("CONTACT_CREATED", relay.KindContact, c.ID, nil, audit.Fields{"name": c.Name, "phone": c.Phone,
			"email": c.Email, "group": ref(relay.KindGroup, c.ArrivalGroupID)}, "")
	}
	if err := j.tx.HistoryEntry.CreateBulk(news...).Exec(authz.Trusted(ctx)); err != nil {
		return nil, fmt.Errorf("desk: beginning the histories of contacts: %w", err)
	}
	return contacts, audit.Record(ctx, j.tx, events...)
}

func (j *job) create(a arrival) *ent.ContactCreate {
	stands := stand{group: a.at.GroupID, state: tree.None, activity: j.now, waiting: j.now}
	c := j.tx.Contact.Create().SetAccountID(j.viewer.AccountID).SetArrivalGroupID(a.at.GroupID)
	if a.agent != nil {
		stands = stand{group: a.agent.HomeGroupID, agent: a.agent.ID, state: tree.None, activity: j.now}
		c.SetAssignedUserID(a.agent.ID)
	} else {
		c.SetWaitingSince(j.now)
	}
	place := stands.placement()
	return c.SetGroupID(place.GroupID).SetBox(int(place.Box)).SetSortKey(place.SortKey).
		SetName(a.name).SetNameKey(nameKey(a.name)).SetNillablePhone(a.phone).SetNillableEmail(a.email).
		SetNillableChannel(a.channel).SetNillableAddress(a.address).SetLastActivityAt(j.now).SetCreatedAt(j.now)
}

// UpdateContact changes name, phone or e-mail. When nothing is set nothing is changed or recorded.
func (s *Service) UpdateContact(ctx context.Context, in UpdateContact) (*ent.Contact, error) {
	var updated *ent.Contact
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		h, err := j.hold(ctx, in.ContactID)
		if err != nil {
			return err
		}
		if err := j.may(authz.ContactsEdit, h); err != nil {
			return err
		}
		updated = h.Contact
		change := h.Update()
		before, after, err := in.apply(change.Mutation(), h.Contact)
		if err != nil || len(after) == 0 {
			return err
		}
		if updated, err = change.Save(ctx); err != nil {
			return fmt.Errorf("desk: changing contact %d: %w", h.ID, err)
		}
		if err := j.publish(ctx, h.ID, h.stand().shown(), h.stand().shown()); err != nil {
			return err
		}
		return j.record(ctx, "CONTACT_UPDATED", relay.KindContact, h.ID, before, after, "")
	})
	return updated, err
}

// apply checks what is set and puts it into the mutation. It returns the old and new values of those fields.
func (in UpdateContact) apply(m *ent.ContactMutation, c *ent.Contact) (before, after audit.Fields, err error) {
	before, after = audit.Fields{}, audit.Fields{}
	if in.Name != nil {
		name, err := checkName("input.name", *in.Name)
		if err != nil {
			return nil, nil, err
		}
		m.SetName(name)
		m.SetNameKey(nameKey(name))
		before["name"], after["name"] = c.Name, name
	}
	if in.Phone.Set {
		phone, err := checkOptional("input.phone", in.Phone.To, checkPhone)
		if err != nil {
			return nil, nil, err
		}
		if phone != nil {
			m.SetPhone(*phone)
		} else {
			m.ClearPhone()
		}
		before["phone"], after["phone"] = c.Phone, phone
	}
	if in.Email.Set {
		email, err := checkOptional("input.email", in.Email.To, checkEmail)
		if err != nil {
			return nil, nil, err
		}
		if email != nil {
			m.SetEmail(*email)
		} else {
			m.ClearEmail()
		}
		before["email"], after["email"] = c.Email, email
	}
	return before, after, nil
}

// DeleteContact deletes a contact for ever: its assignments, conversations and messages go with it.
func (s *Service) DeleteContact(ctx context.Context, in DeleteContact) error {
	return s.write(ctx, func(ctx context.Context, j *job) error {
		h, err := j.hold(ctx, in.ContactID)
		if err != nil {
			return err
		}
		if err := j.may(authz.ContactsDelete, h); err != nil {
			return err
		}
		if err := j.checkReason(ctx, in.Reason); err != nil {
			return err
		}
		if err := tree.RemoveContact(ctx, j.tx, h.ID); err != nil {
			return err
		}
		n, err := j.tx.Contact.Delete().Where(contact.ID(h.ID)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("desk: deleting contact %d: %w", h.ID, err)
		}
		if n != 1 {
			return refusal.NotFound("contact")
		}
		if err := j.publish(ctx, h.ID, h.stand().shown(), nil); err != nil {
			return err
		}
		if err := j.watchRoom(ctx, h, stand{}); err != nil {
			return err
		}
		before := audit.Fields{"name": h.Name, "phone": h.Phone, "email": h.Email,
			"group": ref(relay.KindGroup, h.GroupID), "agent": ref(relay.KindAgent, h.agent())}
		return j.record(ctx, "CONTACT_DELETED", relay.KindContact, h.ID, before, nil, in.Reason)
	})
}
