package desk

import (
	"context"
	"fmt"
	"slices"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/group"
	"canopy/ent/generated/historyentry"
	"canopy/refusal"
	"canopy/relay"
	"canopy/timers"
)

// A RADAR offer: one agent is asked for a time whether they take a contact, then the next. Ruling 20: while it lasts the
// contact is for the one who is asked like one that they serve, for seeing and for claiming.

// DeclineOffer names the contact that was offered to the viewer.
type DeclineOffer struct{ ContactID int64 }

// offer asks the agent, who is held, whether they take the contact.
func (j *job) offer(ctx context.Context, h *held, to stand, l *line, c *candidate, list []considered) (stand, told, error) {
	to.offeredTo, to.offerEnds = c.ID, j.now.Add(time.Duration(l.settings.RadarWindow.Value)*time.Second)
	to.asked = append(slices.Clone(to.asked), c.ID)
	if err := j.took(ctx, l, c, true); err != nil {
		return stand{}, told{}, err
	}
	j.schedule(timers.OfferEnds, h.ID, to.offerEnds)
	for i, one := range list {
		if one.userID == c.ID {
			list[i].outcome = asked
		}
	}
	window := inWords(time.Duration(l.settings.RadarWindow.Value) * time.Second)
	news := told{kind: historyentry.KindOFFERED, agent: c.ID, group: to.group, how: how{considered: list,
		explanation: "It was offered for " + window + " to the agent who had waited longest of those who could take it."}}
	return to, news, j.recordMethod(ctx, "CONTACT_OFFERED", h, to, c.ID)
}

// DeclineOffer passes on at once what is offered to the viewer. A contact that is not is not found.
func (s *Service) DeclineOffer(ctx context.Context, in DeclineOffer) error {
	return s.write(ctx, func(ctx context.Context, j *job) error {
		c, err := j.see(ctx, in.ContactID)
		if err != nil {
			return err
		}
		if c.OfferedToID == nil || *c.OfferedToID != j.viewer.UserID {
			return notOffered()
		}
		p, err := j.nextAfter(authz.Trusted(ctx), c)
		if err != nil {
			return err
		}
		h, err := j.lock(authz.Trusted(ctx), c.ID)
		if err != nil {
			return err
		}
		if h.offered(j.now) != j.viewer.UserID {
			return notOffered()
		}
		news := told{kind: historyentry.KindOFFER_DECLINED, agent: j.viewer.UserID, group: h.GroupID, how: how{explanation: "The agent who was asked declined it."}}
		if err := j.tell(ctx, h, news); err != nil {
			return err
		}
		if err := j.record(ctx, "OFFER_DECLINED", relay.KindContact, h.ID, nil, nil, ""); err != nil {
			return err
		}
		return j.askNext(authz.Trusted(ctx), h, p)
	})
}

func notOffered() error {
	return refusal.NotFound("contact").At("input.contactId")
}

// withdrawOffers lets what is on offer to a user who is shut out, and whose row is written or locked, be passed on at once.
func (j *job) withdrawOffers(ctx context.Context, userID int64) error {
	ids, err := j.tx.Contact.Query().Where(contact.AccountID(j.viewer.AccountID), contact.OfferedToID(userID)).IDs(ctx)
	if err != nil {
		return fmt.Errorf("desk: finding what is on offer to user %d: %w", userID, err)
	}
	for _, id := range ids {
		j.schedule(timers.OfferEnds, id, j.now)
	}
	return nil
}

// offerEnds passes on a contact whose offer was not accepted in time, or is to somebody who is shut out.
func offerEnds(ctx context.Context, j *job, contactID int64) error {
	c, err := j.tx.Contact.Query().Where(contact.ID(contactID), contact.AccountID(j.viewer.AccountID)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil
	}
	if err != nil || c.OfferedToID == nil {
		return err
	}
	p, err := j.nextAfter(ctx, c)
	if err != nil {
		return err
	}
	out, err := j.shutOut(ctx, *c.OfferedToID)
	if err != nil {
		return err
	}
	h, err := j.lockIfThere(ctx, contactID)
	switch {
	case err != nil || h == nil || h.OfferedToID == nil:
		return err
	case *h.OfferedToID != *c.OfferedToID:
		return errOvertaken
	case !out && h.offered(j.now) != 0:
		j.schedule(timers.OfferEnds, h.ID, *h.OfferEndsAt)
		return nil
	}
	words := "The agent who was asked did not answer in time."
	if out { // why is nobody's business who does not see the agent
		words = "The agent who was asked can take nothing now."
	}
	news := told{kind: historyentry.KindOFFER_ENDED, agent: *h.OfferedToID, group: h.GroupID, how: how{explanation: words}}
	if err := j.tell(ctx, h, news); err != nil {
		return err
	}
	return j.askNext(ctx, h, p)
}

// shutOut says whether a user cannot answer an offer any more, because they are paused or do not serve. It stays so until
// the transaction ends; to be called before contacts are locked.
func (j *job) shutOut(ctx context.Context, userID int64) (bool, error) {
	u, err := j.holdUser(ctx, userID)
	if err != nil {
		return false, err
	}
	serves, err := j.serves(ctx, userID)
	return u == nil || u.AccessPausedAt != nil || !serves, err
}

// nextAfter prepares who is asked after whoever the contact is offered to.
func (j *job) nextAfter(ctx context.Context, c *ent.Contact) (*prepared, error) {
	s, err := j.settingsNow(ctx, c.GroupID)
	if err != nil || s.AssignmentMode.Value != group.AssignmentModeRADAR {
		return nil, err
	}
	p := &prepared{}
	if p.line, err = j.line(ctx, c.GroupID, s); err != nil {
		return nil, err
	}
	p.agent, p.considered, err = j.next(ctx, p.line, orNone(c.PassedOnFromID), c.Asked)
	return p, err
}

// askNext ends the offer and makes the next one, if there is somebody left to ask; else the contact waits in the queue.
func (j *job) askNext(ctx context.Context, h *held, p *prepared) error {
	to := h.stand()
	to.offeredTo, to.offerEnds = 0, time.Time{}
	news := told{kind: historyentry.KindQUEUED, group: to.group, how: how{explanation: "It is offered no more, and waits in the queue."}}
	if p.looked(h.GroupID) {
		news.how = p.nobody()
	}
	if p != nil && p.agent != nil && p.line.group == h.GroupID && p.agent.ID != to.passedOnFrom && !slices.Contains(h.Asked, p.agent.ID) {
		var err error
		if to, news, err = j.offer(ctx, h, to, p.line, p.agent, p.considered); err != nil {
			return err
		}
	}
	if err := j.tell(ctx, h, news); err != nil {
		return err
	}
	return j.settle(ctx, h, to)
}

// offered is the user to whom the contact is on offer at the moment, 0 for nobody.
func (h *held) offered(now time.Time) int64 {
	if h.OfferedToID == nil || h.OfferEndsAt == nil || !now.Before(*h.OfferEndsAt) {
		return 0
	}
	return *h.OfferedToID
}

// taking is how the viewer comes to a contact that they claim, or answer.
func (j *job) taking(h *held) how {
	if h.offered(j.now) != j.viewer.UserID {
		return how{method: contactassignment.MethodCLAIM, explanation: "The agent took the contact from the queue."}
	}
	by := how{method: contactassignment.MethodRADAR, explanation: "The agent accepted the offer of the contact."}
	if from := h.stand().passedOnFrom; from != 0 {
		by.considered = append(by.considered, considered{from, servedBefore})
	}
	for _, id := range h.Asked {
		by.considered = append(by.considered, considered{id, asked})
	}
	if len(h.Asked) > 0 { // the last of them accepts
		by.considered[len(by.considered)-1].outcome = chosen
	}
	return by
}
