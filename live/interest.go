package live

import (
	"strings"

	"canopy/authz"
	"canopy/refusal"
	"canopy/tree"
)

// Change is what an event is to a subscriber.
type Change string

// The changes.
const (
	Started Change = "STARTED" // nothing happened: the stream begins
	Gap     Change = "GAP"     // something may have been missed, or rights have changed: load anew
	Entered Change = "ENTERED" // it came into sight
	Left    Change = "LEFT"    // it went out of sight
	Updated Change = "UPDATED" // it changed within sight

	// Look says that the reader has to look whether they still see what they subscribed to. It is never shown.
	Look Change = "LOOK"
)

// Interest is what somebody has subscribed to.
type Interest interface {
	// judge returns what the event is to the viewer.
	judge(s *sight, e *Event) []found
	// renewed is what it means that the viewer's rights are others than before.
	renewed() Change
	// group is one whose place has to be known, 0 for none; without seeing it the stream ends with the refusal.
	group() (int64, *refusal.Refusal)
}

// found is an event as a subscriber may hear of it.
type found struct {
	change Change
	agent  int64 // whose card it is about, where that is what counts
}

// sight is by what events are judged: who judges, and where groups and users stand now.
type sight struct {
	viewer *authz.Viewer
	places map[int64]authz.Place
	homes  map[int64]int64

	was, is Roster // of the group to whose panel the viewer listens, before and now
}

// seesGroup is the row rule of groups.
func (s *sight) seesGroup(p authz.Place) bool {
	return p.GroupID == s.viewer.Home.GroupID || s.viewer.Can(authz.GroupsView, authz.AtGroup(p))
}

// within says whether the place is that of the group or below it; 0 is everywhere.
func (s *sight) within(p authz.Place, under int64) bool {
	return under == 0 || strings.HasPrefix(p.Path, s.places[under].Path)
}

// change compares what was in sight with what is.
func change(was, is bool) []found {
	switch {
	case was && is:
		return []found{{change: Updated}}
	case is:
		return []found{{change: Entered}}
	case was:
		return []found{{change: Left}}
	}
	return nil
}

// Inbox is the contacts of a box.
type Inbox struct {
	// Holds says whether a contact that stands so at the target is in the box for the viewer.
	Holds func(v *authz.Viewer, s Stand, at authz.Target) bool
	Under int64 // only this group and what is below it; 0: everywhere
}

func (i Inbox) judge(s *sight, e *Event) []found {
	switch e.Kind {
	case Contact:
		return change(i.has(s, e.Was), i.has(s, e.Now))
	case Mark:
		if e.UserID == s.viewer.UserID {
			return change(i.has(s, e.Was), i.has(s, e.Now))
		}
	case Tags:
		if s.viewer.SeesTags() {
			return []found{{change: Gap}}
		}
	case Branch:
		for _, like := range e.Now.contacts(s.viewer.UserID) {
			// What stays in the box may be another thing there: whose it is, and what of it is shown.
			if i.had(s, e, e.Was, like) || i.had(s, e, e.Now, like) {
				return []found{{change: Gap}}
			}
		}
	}
	return nil
}

// somebodyElse stands for a user who is not the viewer.
const somebodyElse = -1

// contacts are the ways in which contacts of a branch may stand.
func (s *Stand) contacts(viewer int64) (like []Stand) {
	held := s.Held
	for state, n := range map[tree.State]int64{tree.None: held.Contacts - held.Open - held.Closed, tree.Open: held.Open, tree.Closed: held.Closed} {
		if n > 0 && held.Waiting > 0 {
			like = append(like, Stand{State: state})
		}
		if n > 0 && held.Contacts > held.Waiting {
			like = append(like, Stand{State: state, AgentID: viewer}, Stand{State: state, AgentID: somebodyElse})
		}
	}
	return like
}

// had says whether a contact like that was in the box where the branch was. What is looked at may have moved along with it.
func (i Inbox) had(s *sight, e *Event, at *Stand, like Stand) bool {
	if at == nil || !s.within(at.place(), i.Under) && !strings.HasPrefix(s.places[i.Under].Path, e.Now.Path) {
		return false
	}
	target := authz.AtContact(at.place(), like.AgentID)
	if i.Holds(s.viewer, like, target) {
		return true
	}
	target.Escalated = at.Escalated // as some of them have
	return at.Escalated != 0 && i.Holds(s.viewer, like, target)
}

func (i Inbox) has(s *sight, at *Stand) bool {
	if at == nil {
		return false
	}
	target := authz.AtContact(s.places[at.GroupID], at.AgentID)
	target.Offered, target.Escalated = at.Offered, at.Escalated
	return s.within(target.Place, i.Under) && i.Holds(s.viewer, *at, target)
}

func (Inbox) renewed() Change { return Gap }

func (i Inbox) group() (int64, *refusal.Refusal) {
	return i.Under, refusal.NotFound("group").At("under")
}

// OneConversation is a conversation, or with Messages what is said in it. Whether the subscriber still sees it is for the
// reader to look.
type OneConversation struct {
	ContactID, ConversationID int64
	Messages                  bool
}

func (i OneConversation) judge(s *sight, e *Event) []found {
	switch {
	case e.Kind == Mark && e.UserID != s.viewer.UserID:
		return nil
	case e.Kind == Branch, e.Kind == Tags && !i.Messages:
		return []found{{change: i.renewed()}}
	case e.ContactID != i.ContactID:
		return nil
	case i.Messages && e.Kind == Message && e.ConversationID == i.ConversationID:
		return []found{{change: Entered}}
	case !i.Messages && (e.about(i.ConversationID) || e.passedOn()):
		return []found{{change: Updated}}
	}
	return []found{{change: Look}}
}

// about says whether the conversation has changed, or what of it is unread.
func (e *Event) about(conversation int64) bool {
	return (e.Kind == Conversation || e.Kind == Message || e.Kind == Mark) && e.ConversationID == conversation
}

// passedOn says whether a contact has come to somebody else.
func (e *Event) passedOn() bool {
	return e.Kind == Contact && e.Was != nil && e.Now != nil && (e.Was.AgentID != e.Now.AgentID || e.Was.GroupID != e.Now.GroupID)
}

// renewed: other rights may show other parts of a conversation, and of a message nothing else.
func (i OneConversation) renewed() Change {
	if i.Messages {
		return Look
	}
	return Updated
}

func (OneConversation) group() (int64, *refusal.Refusal) { return 0, nil }

// Groups is the tree.
type Groups struct {
	Under int64 // only this group and what is below it; 0: everywhere
}

func (i Groups) judge(s *sight, e *Event) []found {
	switch e.Kind {
	case Group:
		return change(i.has(s, e.Was), i.has(s, e.Now))
	case Settings: // all that is below inherits them
		at := e.Now.place()
		if (s.within(at, i.Under) || strings.HasPrefix(s.places[i.Under].Path, at.Path)) && (s.seesGroup(at) || s.viewer.SeesGroupsUnder(at)) {
			return []found{{change: Gap}}
		}
	}
	return nil
}

func (i Groups) has(s *sight, at *Stand) bool {
	return at != nil && (i.Under == at.GroupID || s.within(at.place(), i.Under)) && s.seesGroup(at.place())
}

func (Groups) renewed() Change { return Gap }

func (i Groups) group() (int64, *refusal.Refusal) {
	return i.Under, refusal.NotFound("group").At("under")
}

// Panel is the agents of a group, and its queue.
type Panel struct{ GroupID int64 }

func (i Panel) judge(s *sight, e *Event) []found {
	if !s.viewer.Can(authz.AgentPanelView, authz.AtGroup(s.places[i.GroupID])) {
		return []found{{change: Look}}
	}
	switch e.Kind {
	case User: // who comes or goes is told by the roster
		if s.is.stays(s.was, e.UserID) {
			return []found{{Updated, e.UserID}}
		}
	case Settings, Group: // from which the agents may have their capacity
		if (e.Kind == Settings || e.moved()) && strings.HasPrefix(s.places[i.GroupID].Path, e.Now.Path) {
			return []found{{change: Gap}}
		}
	case Contact:
		return i.served(s, e)
	case Branch:
		if i.home(e.Was) || i.home(e.Now) {
			return []found{{change: Gap}}
		}
	}
	return nil
}

func (i Panel) home(at *Stand) bool { return at != nil && at.GroupID == i.GroupID }

// served lists whose load a contact changes, and the queue.
func (i Panel) served(s *sight, e *Event) []found {
	var list []found
	add := func(f found) {
		for _, have := range list {
			if have == f {
				return
			}
		}
		list = append(list, f)
	}
	for _, at := range []*Stand{e.Was, e.Now} {
		switch {
		case at == nil:
		case at.AgentID == 0 && at.GroupID == i.GroupID:
			add(found{change: Updated})
		case at.AgentID != 0 && s.homes[at.AgentID] == i.GroupID:
			add(found{Updated, at.AgentID})
		}
	}
	return list
}

func (Panel) renewed() Change { return Gap }

func (i Panel) group() (int64, *refusal.Refusal) { return i.GroupID, refusal.NotFound("group") }

// moved says whether a group is at another place than before.
func (e *Event) moved() bool { return e.Was != nil && e.Now != nil && *e.Was != *e.Now }

// Oneself is what the subscriber is and may do.
type Oneself struct{}

func (Oneself) judge(s *sight, e *Event) []found {
	mine := (e.Kind == User || e.Kind == Access) && e.UserID == s.viewer.UserID
	if mine || e.Kind == Account || e.Kind == Group && e.GroupID == s.viewer.Home.GroupID {
		return []found{{change: Updated}}
	}
	return nil
}

func (Oneself) renewed() Change { return Updated }

func (Oneself) group() (int64, *refusal.Refusal) { return 0, nil }
