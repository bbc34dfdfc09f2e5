package prove

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"canopy/desk"
	"canopy/directory"
	entgroup "canopy/ent/generated/group"
	entuser "canopy/ent/generated/user"
	"canopy/internal/optional"
	"canopy/refusal"
)

// What methods, offers, escalation and covers do with contacts. Whom a method chooses is not a question of access; that it
// is somebody who may take the contact, and somebody if there is anybody, is.

// What has to come up in a long run besides the operations, and is never refused.
const (
	seenOffer        = "seen: a timer offers a contact"
	seenEscalation   = "seen: a timer escalates a contact"
	seenAcceptance   = "seen: an answer accepts an offer"
	seenLate         = "seen: an offer is over, and no timer has run yet"
	seenAvailability = "seen: somebody changes their own availability"
)

// radarWindow is how long an offer lasts where no group says.
const radarWindow = 2 * time.Minute

// comes lets the contact fall back to the group in which it is, whose method decides. Those do not get it.
func (w *world) comes(a *account, id int64, not ...int64) {
	c := a.contacts[id].nobody()
	chosen := w.chosen(id)
	switch a.mode(c.group) {
	case "ROUND_ROBIN":
		if taker := w.taker(a, c.group, chosen.agent, not); taker != 0 {
			c.agent = taker
		}
	case "RADAR":
		if taker := w.taker(a, c.group, chosen.offered, not); taker != 0 && c.waits() {
			c.offered, c.until, c.asked = taker, w.now.Add(radarWindow), []int64{taker}
		}
	}
	a.contacts[id] = c
	delete(w.laid, id)
}

// chosen is the contact as Canopy left it.
func (w *world) chosen(id int64) contact {
	w.t.Helper()
	row, err := w.db.Read.Contact.Get(trusted(), id)
	w.must(err)
	return contactOf(row)
}

// taker is who is chosen if they may be, else somebody who might have been, 0 for nobody.
func (w *world) taker(a *account, group, chosen int64, not []int64) int64 {
	may := func(id int64) bool { return !slices.Contains(not, id) && a.mayTake(id, group, w.now) }
	if chosen != 0 && may(chosen) {
		return chosen
	}
	for _, id := range w.userIDs() {
		if may(id) {
			return id
		}
	}
	return 0
}

// asking is a group whose method would offer a contact, as far as there is one, else the given group.
func (w *world) asking(otherwise int64) int64 {
	some := slices.DeleteFunc(w.groupIDs(), func(id int64) bool {
		return w.facts.mode(id) != "RADAR" || w.taker(w.facts, id, 0, nil) == 0
	})
	if len(some) == 0 || w.chance(2) {
		return otherwise
	}
	return w.pick(some)
}

// hireToAsk makes an agent of somebody, who is available, and lets the group where they are at home ask its agents.
func (w *world) hireToAsk(id int64) {
	owner, home := w.as(w.owner), w.facts.users[id].home
	for role, r := range w.facts.roles {
		if r.key == "AGENT" && !w.facts.serves(id, w.now) {
			w.grantRole(w.owner, id, role).run(w, owner)
		}
	}
	if !w.facts.users[id].available {
		w.availability(id, id).run(w, w.as(id))
	}
	radar := entgroup.AssignmentModeRADAR
	(&step{name: "change settings", what: "lets " + w.called(target{group: home}) + " ask its agents", expect: verdict{code: done},
		do: func(ctx context.Context) error {
			in := directory.UpdateGroupSettings{GroupID: home}
			in.AssignmentMode.Set, in.AssignmentMode.To = true, &radar
			_, err := w.dir.UpdateGroupSettings(ctx, in)
			return err
		},
		effect: func(a *account) { change(a.groups, home, func(g *group) { g.mode = string(radar) }) }}).run(w, owner)
}

// gives makes the agent serve the contact.
func (w *world) gives(a *account, id, agent int64) {
	a.contacts[id] = a.served(a.contacts[id], agent)
	delete(w.laid, id)
}

// releases lets the contact fall back to the group from whoever serves it, who does not get it back.
func (w *world) releases(a *account, id, to int64, byMethod bool) {
	from := a.contacts[id].agent
	change(a.contacts, id, func(c *contact) { c.group = to })
	if byMethod {
		w.comes(a, id, from)
	} else {
		change(a.contacts, id, func(c *contact) { *c = c.nobody() })
		delete(w.laid, id)
	}
	if c := a.contacts[id]; from != 0 && c.waits() {
		c.from = from
		a.contacts[id] = c
	}
}

// runTimers lets Canopy do what is due, and looks at each contact whether that may have become of it.
func (w *world) runTimers() {
	w.t.Helper()
	before := w.facts
	ran, err := w.desk.RunDue(context.Background())
	w.must(err)
	w.note("%d timers run", ran)
	w.taken = 0
	w.read()
	should := before.clone()
	for id, c := range should.covers {
		if !c.ended && !w.now.Before(c.until) {
			w.endsCover(should, id, true)
		}
	}
	for id, was := range should.contacts {
		is := w.facts.contacts[id]
		w.tally.decisions++
		if !w.mayBecome(should, id, was, is) {
			w.fail("timers make of contact %d: %+v what was %+v", id, is, was)
		}
		if was.agent != is.agent {
			delete(w.laid, id)
		}
		if was.offered != is.offered && is.offered != 0 {
			w.tally.done[seenOffer]++
		}
		if was.escalated != is.escalated && is.escalated != 0 {
			w.tally.done[seenEscalation]++
		}
	}
	should.contacts = w.facts.contacts
	if difference := should.differs(w.facts); difference != "" {
		w.fail("timers change more than contacts: %s", difference)
	}
}

// mayBecome says whether timers may make of a contact what it is: give it to somebody by the method of its group, offer it
// to the next when an offer is over or who is asked is shut out, show it in the queue above, or take it out of that.
func (w *world) mayBecome(a *account, id int64, was, is contact) bool {
	asks := was.offered != 0 && w.now.Before(was.until) && a.serves(was.offered, w.now) && !a.users[was.offered].paused
	switch {
	case reflect.DeepEqual(was, is):
		return true
	case was.agent != 0, is.group != was.group, is.open != was.open, is.had != was.had, is.agent == 0 && is.from != was.from:
		return false
	case is.agent != 0: // by turn, and never what is on somebody's offer
		return a.mode(was.group) == "ROUND_ROBIN" && a.mayTake(is.agent, was.group, w.now) && !asks && reflect.DeepEqual(is, a.served(was, is.agent))
	}
	if is.offered != was.offered || !is.until.Equal(was.until) {
		next := is.offered != 0 && a.mode(was.group) == "RADAR" && a.mayTake(is.offered, was.group, w.now) &&
			is.offered != was.from && !slices.Contains(was.asked, is.offered) && slices.Equal(is.asked, append(slices.Clone(was.asked), is.offered)) && is.until.Equal(w.now.Add(radarWindow))
		over := is.offered == 0 && slices.Equal(is.asked, was.asked)
		if !was.waits() || asks || !next && !over {
			return false
		}
	} else if !slices.Equal(is.asked, was.asked) {
		return false
	}
	after := a.escalates(was.group)
	long := after != never && !w.now.Before(w.since[id].Add(time.Duration(after)*time.Minute))
	switch is.escalated {
	case was.escalated:
		return true
	case 0:
		return !long
	}
	return was.escalated == 0 && was.waits() && long && !asks && is.escalated == a.groups[was.group].parent
}

// askedFor is what somebody does about an offer to them, or one that is over; nil when there is none.
func (w *world) askedFor() (asked int64, s *step) {
	ids := slices.DeleteFunc(w.contactIDs(), func(id int64) bool { return w.facts.contacts[id].offered == 0 })
	if len(ids) == 0 {
		return 0, nil
	}
	id := w.near(ids, func(id int64) bool { return w.facts.contacts[id].open && w.now.Before(w.facts.contacts[id].until) })
	if asked = w.facts.contacts[id].offered; !w.now.Before(w.facts.contacts[id].until) {
		w.tally.done[seenLate]++
	}
	switch i := w.r.IntN(4); {
	case i == 0:
		return asked, w.decline(asked, id)
	case i == 1, i == 2 && w.facts.contacts[id].open:
		return asked, w.answer(asked, id)
	}
	return asked, w.claim(asked, id)
}

// decline passes on what is offered to the viewer.
func (w *world) decline(viewer, id int64) *step {
	offered := w.facts.contacts[id].isOfferedTo(viewer, w.now)
	return &step{name: "decline an offer", what: fmt.Sprintf("declines the offer of contact %d", id),
		expect: w.judge(viewer).seesContact(id).sees(offered).otherwise(done),
		do: func(ctx context.Context) error {
			return w.desk.DeclineOffer(ctx, desk.DeclineOffer{ContactID: id})
		},
		effect: func(a *account) {
			chosen := w.chosen(id)
			change(a.contacts, id, func(c *contact) {
				c.offered, c.until = 0, time.Time{}
				if a.mode(c.group) != "RADAR" {
					return
				}
				if next := w.taker(a, c.group, chosen.offered, append(slices.Clone(c.asked), c.from)); next != 0 {
					c.offered, c.until, c.asked = next, w.now.Add(radarWindow), append(slices.Clone(c.asked), next)
				}
			})
		}}
}

// answer writes to a contact, which accepts an offer of it.
func (w *world) answer(viewer, id int64) *step {
	a, at := w.facts, target{contact: id}
	accepts := a.contacts[id].agent == 0 && a.contacts[id].isOfferedTo(viewer, w.now)
	j := w.judge(viewer).sees(a.seesConversations(viewer, id, w.now)).needs("CONVERSATIONS_REPLY", at)
	if accepts {
		j.needs("QUEUE_CLAIM", at)
	}
	if w.open[id] == 0 {
		j.sees(false)
	}
	j.conflicts(!a.contacts[id].open, refusal.NotOpen)
	return &step{name: "answer", what: fmt.Sprintf("answers contact %d", id), expect: j.otherwise(done),
		do: func(ctx context.Context) error {
			_, err := w.desk.SendMessage(ctx, desk.SendMessage{ConversationID: w.open[id], Text: "Hello"})
			return err
		},
		effect: func(a *account) {
			if accepts {
				w.tally.done[seenAcceptance]++
				w.gives(a, id, viewer)
			}
		}}
}

// availability changes whether an agent is there for new contacts; who is back is covered no longer.
func (w *world) availability(viewer, id int64) *step {
	available, u := !w.facts.users[id].available, target{user: id}
	to := entuser.AvailabilityAWAY
	if available {
		to = entuser.AvailabilityAVAILABLE
	}
	s := &step{name: "change availability", what: fmt.Sprintf("makes %s %s", w.called(u), to),
		effect: func(a *account) {
			change(a.users, id, func(u *user) { u.available = available })
			for cover, c := range a.covers {
				if available && c.user == id && !c.ended {
					w.endsCover(a, cover, true)
				}
			}
		}}
	if id == viewer {
		s.name, s.expect = seenAvailability, w.judge(viewer).otherwise(done)
		s.do = func(ctx context.Context) error {
			_, err := w.dir.UpdateViewer(ctx, directory.UpdateViewer{Availability: &to})
			return err
		}
		return s
	}
	s.expect = w.mayRun(viewer, id).otherwise(done)
	s.do = func(ctx context.Context) error {
		_, err := w.dir.UpdateAgentSettings(ctx, directory.UpdateAgentSettings{AgentID: id, Availability: &to})
		return err
	}
	return s
}

// mayRun judges whether the viewer may change how somebody works, who has to be an agent and nothing else.
func (w *world) mayRun(viewer, id int64) *judge {
	more := slices.ContainsFunc(w.facts.grants, func(g grant) bool {
		return g.user == id && g.live(w.now) && w.facts.roles[g.role].key != "AGENT"
	})
	return w.judge(viewer).sees(w.facts.seesCard(viewer, id, w.now)).needs("AGENT_SETTINGS_EDIT", target{user: id}).forbids(more, "")
}

// startCover lets somebody serve for some minutes what comes to the user, beginning with what is open.
func (w *world) startCover(viewer, id, by int64) *step {
	a, until := w.facts, w.now.Add(time.Duration(2+w.r.IntN(6))*time.Minute)
	open := slices.DeleteFunc(w.contactIDs(), func(k int64) bool { return a.contacts[k].agent != id || !a.contacts[k].open })
	s := &step{name: "start a cover", what: fmt.Sprintf("lets %s cover %s until %s", w.called(target{user: by}), w.called(target{user: id}), w.at(until)),
		expect: w.judgeCover(viewer, id, by, open),
		do: func(ctx context.Context) error {
			_, err := w.desk.StartCover(ctx, desk.StartCover{AgentID: id, ToAgentID: by, Until: until})
			return err
		}}
	s.effect = func(a *account) {
		w.endOver(a, id)
		ids, err := w.db.Read.Cover.Query().IDs(trusted())
		w.must(err)
		a.covers[slices.Max(ids)] = cover{user: id, by: by, until: until}
		for _, k := range open {
			w.laysCover(a, k, by, slices.Max(ids))
		}
	}
	return s
}

// laysCover passes a contact on by a cover.
func (w *world) laysCover(a *account, contact, by, cover int64) {
	laid := append(slices.Clone(w.laid[contact]), cover)
	w.gives(a, contact, by)
	w.laid[contact] = laid
}

func (w *world) judgeCover(viewer, id, by int64, open []int64) verdict {
	a := w.facts
	over := slices.ContainsFunc(slices.Collect(maps.Values(a.covers)), func(c cover) bool { return c.user == id && !c.ended && !w.now.Before(c.until) })
	if over || id == by { // the one is brought back first, the other is no good input
		return verdict{code: either}
	}
	card := a.seesCard(viewer, by, w.now)
	j := w.judge(viewer).sees(a.seesCard(viewer, id, w.now) || a.seesUser(viewer, id, w.now)).sees(card || a.seesUser(viewer, by, w.now))
	needed := "CONVERSATIONS_TRANSFER"
	if id == viewer {
		if !a.holds(viewer, needed, w.now) && j.missing == "" {
			j.missing = needed
		}
	} else {
		needed = "CONVERSATIONS_ASSIGN"
		run := w.mayRun(viewer, id)
		j.needs("AGENT_SETTINGS_EDIT", target{user: id}).needs(needed, target{group: a.users[id].home}).forbids(run.limit, "")
	}
	for _, k := range open {
		j.needs(needed, target{contact: k})
	}
	j.conflicts(!a.serves(id, w.now), refusal.NotServing).conflicts(!card || a.users[by].paused, refusal.NotServing)
	j.conflicts(a.coverOf(id, w.now) != 0 || a.coverOf(by, w.now) != 0, refusal.AlreadyCovered)
	return j.otherwise(done)
}

// endCover ends the cover of the user, and brings back what is still where it put it.
func (w *world) endCover(viewer, id int64) *step {
	a := w.facts
	j := w.judge(viewer).sees(a.seesCard(viewer, id, w.now) || a.seesUser(viewer, id, w.now))
	if id != viewer {
		j.needs("AGENT_SETTINGS_EDIT", target{user: id}).needs("CONVERSATIONS_ASSIGN", target{group: a.users[id].home}).forbids(w.mayRun(viewer, id).limit, "")
	}
	return &step{name: "end a cover", what: "ends the cover of " + w.called(target{user: id}),
		expect: j.conflicts(a.coverOf(id, w.now) == 0, refusal.NotCovered).otherwise(done),
		do: func(ctx context.Context) error {
			_, err := w.desk.EndCover(ctx, desk.EndCover{AgentID: id})
			return err
		},
		effect: func(a *account) {
			for cover, c := range a.covers {
				if c.user == id && !c.ended && w.now.Before(c.until) {
					w.endsCover(a, cover, true)
				}
			}
		}}
}

// endOver ends a cover of the user the time of which is over.
func (w *world) endOver(a *account, id int64) {
	for cover, c := range a.covers {
		if c.user == id && !c.ended && !w.now.Before(c.until) {
			w.endsCover(a, cover, true)
		}
	}
}

// endsCover ends a cover, and brings back what is open and where it is because of it, to an agent who can take it.
func (w *world) endsCover(a *account, id int64, bringBack bool) {
	change(a.covers, id, func(c *cover) { c.ended = true })
	whose := a.covers[id].user
	if !bringBack || !a.serves(whose, w.now) || a.users[whose].paused {
		return
	}
	for _, k := range slices.Sorted(maps.Keys(a.contacts)) {
		if i := slices.Index(w.laid[k], id); i >= 0 && a.contacts[k].open {
			laid := w.laid[k][:i]
			w.gives(a, k, whose)
			w.laid[k] = laid
		}
	}
}

// standIn is who serves what comes back to the user: the last of those who cover each other, 0 when no method would give
// that one anything. The cover is that of the user, 0 for none.
func (w *world) standIn(a *account, id int64) (by, first int64) {
	for cover, c := range a.covers {
		if c.user == id && !c.ended && w.now.Before(c.until) {
			first, by = cover, c.by
		}
	}
	for next := by; next != 0; next = a.coverOf(next, w.now) {
		by = next
	}
	if first != 0 && !a.mayTake(by, a.users[by].home, w.now) {
		by = 0
	}
	return by, first
}

// escalation sets after how many minutes contacts show in the queue above.
func (w *world) escalation(in *directory.UpdateGroupSettings) (minutes int) {
	in.EscalateAfter = optional.Value[int]{Set: true}
	minutes = []int{0, never, 1, 1, 3}[w.r.IntN(5)]
	seconds := minutes
	if minutes > 0 {
		seconds *= 60
	}
	if minutes != 0 {
		in.EscalateAfter.To = &seconds
	}
	return minutes
}
