package live

import (
	"context"
	"sync"
	"time"

	"canopy/authz"
	"canopy/refusal"
)

// Stream is what one subscriber is told. Next is for one reader; everything else happens beside it.
type Stream struct {
	hub      *Hub
	account  int64
	interest Interest
	secret   []byte
	ready    chan struct{} // something waits, or the stream is over

	mu      sync.Mutex
	viewer  *authz.Viewer
	rights  print
	roster  Roster    // of a Panel; nil before the first turn
	listed  print     // of the roster
	from    *position // after which to begin, until the first turn
	number  int64     // of the last event that was judged
	missed  bool      // what happened before that cannot be told
	started bool
	ended   bool
	err     error
	queue   []queued
	idle    bool      // the reader waits for something
	behind  time.Time // otherwise: since when it has read nothing
}

// queued is a change that waits for the reader, and by what rights it was judged.
type queued struct {
	found
	event  Event
	number int64
	rights print
	listed print
}

// Delivery is a change that the subscriber may hear of.
type Delivery struct {
	Change   Change
	Event    Event         // the zero event, unless it entered, left or was updated
	AgentID  int64         // whose card it is about, of a Panel; 0: the queue of the group
	Viewer   *authz.Viewer // as they stood when it was handed over
	Position string        // to be given as since
}

func (s *Stream) lastViewer() *authz.Viewer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.viewer
}

func (s *Stream) upTo() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.number
}

// turn judges events, which end with the number `to`, by the rights of now.
func (s *Stream) turn(now Renewed, at *sight, r *rosters, events []Event, to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if now.Refused != nil {
		s.over(now.Refused)
		return
	}
	at.viewer = now.Viewer
	if id, missing := s.interest.group(); id != 0 && (at.places[id].IsZero() || !at.seesGroup(at.places[id])) {
		s.over(missing)
		return
	}
	listed, came := s.list(at, r)
	s.begin()
	for len(events) > 0 && events[0].sequence <= s.number {
		events = events[1:]
	}
	hole := s.number < to && (len(events) == 0 || events[0].sequence != s.number+1)
	switched, renewed := s.renew(now.Viewer), s.interest.renewed()
	if s.missed || hole || switched && renewed == Gap {
		s.listed = listed
		s.gap(max(s.number, to))
		return
	}
	if switched {
		s.push(found{change: renewed}, Event{})
	}
	s.pushAll(came, Event{}, func() { s.listed = listed })
	for i := range events {
		if s.number >= events[i].sequence {
			continue // a gap has leapt over it
		}
		s.pushAll(s.interest.judge(at, &events[i]), events[i], func() { s.number = events[i].sequence })
	}
}

// list takes over the roster of a panel, and returns its print and what has become of it since the one before. Whoever comes
// with a position from another roster has missed something. The stream is locked.
func (s *Stream) list(at *sight, r *rosters) (listed print, came []found) {
	if p, is := s.interest.(Panel); is {
		at.was, at.is, listed = s.roster, r.of[p.GroupID], r.prints[p.GroupID]
		switch {
		case at.was == nil:
			at.was, s.listed = at.is, listed
		case s.listed != listed:
			came = at.is.since(at.was)
		}
		s.roster = at.is
	}
	if s.from != nil && !s.from.sameRights(signed(s.rights, listed)) {
		s.missed = true
	}
	s.from = nil
	return listed, came
}

// pushAll lets what comes of one thing wait for the reader, who is past it with the last of it only. The stream is locked.
func (s *Stream) pushAll(list []found, e Event, pass func()) {
	for _, f := range list[:max(0, len(list)-1)] {
		s.push(f, e)
	}
	pass()
	if n := len(list); n > 0 {
		s.push(list[n-1], e)
	}
}

// gap leaps over what happened up to the number: the subscriber loads anew. The stream is locked.
func (s *Stream) gap(to int64) {
	s.missed, s.number, s.queue = false, to, nil
	s.push(found{change: Gap}, Event{})
}

// begin tells the position from which the stream goes on. The stream is locked.
func (s *Stream) begin() {
	if !s.started && !s.missed {
		s.push(found{change: Started}, Event{})
	}
	s.started = true
}

// renew takes over the viewer as they stand now and says whether their rights are others. What waits was judged by the old
// ones then, and is told no more. The stream is locked.
func (s *Stream) renew(v *authz.Viewer) (switched bool) {
	rights := printOf(v)
	if switched = rights != s.rights; switched && s.interest.renewed() == Gap {
		s.queue = nil
	}
	s.viewer, s.rights = v, rights
	return switched
}

// push lets a change wait for the reader. One that looks once sees all that there is. The stream is locked.
func (s *Stream) push(f found, e Event) {
	if n := len(s.queue); f.change == Look && n > 0 && s.queue[n-1].change == Look {
		return
	}
	if f.change == Gap { // of what, the viewer may not see
		e = Event{}
	}
	if s.idle {
		s.idle, s.behind = false, s.hub.Now()
	}
	switch {
	case len(s.queue) < maxAhead:
	case s.hub.Now().Sub(s.behind) < patience: // more came at once than anybody could read
		s.gap(s.number)
		return
	default:
		s.over(refusal.SlowReader())
		return
	}
	s.queue = append(s.queue, queued{found: f, event: e, number: s.number, rights: s.rights, listed: s.listed})
	signal(s.ready)
}

// over ends the stream; what waits is told no more. The stream is locked.
func (s *Stream) over(refused *refusal.Refusal) {
	if s.ended {
		return
	}
	s.ended, s.queue = true, nil
	if refused != nil {
		s.err = refused
	}
	signal(s.ready)
	s.hub.remove(s)
}

// end ends the stream for the reason; nil: its reader wants no more.
func (s *Stream) end(refused *refusal.Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over(refused)
}

// Close ends the stream: nothing follows.
func (s *Stream) Close() { s.end(nil) }

// Next waits for the next change that the subscriber may hear of, and judges it once more by the rights of the moment. It
// returns nil when the stream is over, and an error once when something other than its reader has ended it.
func (s *Stream) Next(ctx context.Context) (*Delivery, error) {
	q, err := s.take(ctx)
	if q == nil {
		return nil, err
	}
	v, err := s.hub.People.Renew(ctx, s.lastViewer())
	if err != nil {
		s.Close()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		err, s.err = s.err, nil
		return nil, err
	}
	renewed := s.interest.renewed()
	if s.renew(v) && renewed != Gap && renewed != q.change {
		s.push(found{change: renewed}, Event{})
	}
	d := &Delivery{Change: q.change, Event: q.event, AgentID: q.agent, Viewer: v}
	if q.rights != s.rights && renewed == Gap {
		d = &Delivery{Change: Gap, Viewer: v}
		q.rights, q.listed = s.rights, s.listed
	}
	d.Position, err = encode(s.secret, q.number, signed(q.rights, q.listed))
	return d, err
}

// take waits for what comes next; nil when the stream is over.
func (s *Stream) take(ctx context.Context) (*queued, error) {
	for {
		if q, over, err := s.first(); q != nil || over {
			return q, err
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-s.ready:
		}
	}
}

func (s *Stream) first() (q *queued, over bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		err, s.err = s.err, nil
		return nil, true, err
	}
	if s.idle = len(s.queue) == 0; s.idle {
		return nil, false, nil
	}
	q, s.queue, s.behind = &s.queue[0], s.queue[1:], s.hub.Now()
	return q, false, nil
}
