package desk

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/tree"
)

// record is a stay as a report reads it. Moments are microseconds since 1970.
type record struct {
	group, agent    int64 // agent is 0 for nobody
	started, ended  int64
	entered, ending int
	begun, answered int64 // answered is the smallest number where no first answer was given
}

// ledger adds up a report from its stays, in one pass over them in any order. The lengths of things are kept until the
// end, when one sorting of them all gives the median of every part.
type ledger struct {
	from int64
	ends []int64 // of the buckets

	total   count
	buckets []*count
	stands  []change // of what stands at the end of a bucket, beside the one before; the last one is for what lasts
	rows    []*count // by group: own, hidden, then the groups directly below in the order of their names
	rowOf   map[int64]int
	below   []int64 // the groups directly below, in the order of their rows
	agents  []*count
	agentOf map[int64]int

	responses, resolutions []span
}

// The first rows of a ledger. What is below a group that the viewer does not see, and is seen itself, is in the second.
const (
	ownRow = iota
	unseenRow
	firstRow
)

// count are the numbers of one part of a report while they are added up.
type count struct {
	Numbers
	response, resolution meter
}

// change is by how much a number of conversations grows.
type change struct{ open, waiting int }

// meter is what becomes Durations.
type meter struct {
	n    int
	sum  int64
	seen int // of n, in the order of their lengths
}

// span is how long something took.
type span struct {
	seconds uint32
	bucket  uint16
	row     int32
	agent   int32 // -1 for nobody
}

func newLedger(from time.Time, ends []time.Time, at authz.Place, groups []*ent.Group) *ledger {
	l := &ledger{from: from.UnixMicro(), rowOf: make(map[int64]int, len(groups)), agentOf: map[int64]int{}}
	for _, end := range ends {
		l.ends = append(l.ends, end.UnixMicro())
		l.buckets = append(l.buckets, &count{})
	}
	l.stands = make([]change, len(ends)+1)
	var children []*ent.Group
	for _, g := range groups {
		if len(g.Path) == len(at.Path)+tree.LabelSize {
			children = append(children, g)
		}
	}
	slices.SortFunc(children, func(a, b *ent.Group) int {
		return cmp.Or(cmp.Compare(a.NameKey, b.NameKey), cmp.Compare(a.ID, b.ID))
	})
	rowBelow := map[string]int{}
	for i, child := range children {
		rowBelow[child.Path] = firstRow + i
		l.below = append(l.below, child.ID)
	}
	for range firstRow + len(children) {
		l.rows = append(l.rows, &count{})
	}
	for _, g := range groups {
		row := ownRow
		if g.ID != at.GroupID {
			row = unseenRow
			if child, seen := rowBelow[g.Path[:len(at.Path)+tree.LabelSize]]; seen {
				row = child
			}
		}
		l.rowOf[g.ID] = row
	}
	return l
}

func (l *ledger) to() int64 { return l.ends[len(l.ends)-1] }

// bucket returns the bucket of a moment, and false for a moment outside the report.
func (l *ledger) bucket(moment int64) (int, bool) {
	if moment < l.from || moment >= l.to() {
		return 0, false
	}
	i, exact := slices.BinarySearch(l.ends, moment)
	if exact { // an end belongs to the bucket after it
		i++
	}
	return i, true
}

// parts are the counts that something counts for, beside its bucket.
func (l *ledger) parts(r *record) (row, agent int, parts []*count) {
	row, agent = l.rowOf[r.group], -1
	parts = append(make([]*count, 0, 4), &l.total, l.rows[row])
	if r.agent != 0 {
		index, known := l.agentOf[r.agent]
		if !known {
			index = len(l.agents)
			l.agentOf[r.agent] = index
			l.agents = append(l.agents, &count{})
		}
		agent = index
		parts = append(parts, l.agents[agent])
	}
	return row, agent, parts
}

// enter adds a stay that was there at the first moment of the report or began until its last one.
func (l *ledger) enter(r record) {
	row, agent, parts := l.parts(&r)
	first, starts := l.bucket(r.started)
	if starts {
		for _, c := range append(parts, l.buckets[first]) {
			c.begin(&r)
		}
	}
	last, ends := l.bucket(r.ended)
	if ends {
		for _, c := range append(parts, l.buckets[last]) {
			c.end(&r)
		}
		if r.ending == wasClosed {
			l.resolutions = append(l.resolutions, l.measure(r.ended-r.begun, last, row, agent))
		}
	} else {
		last = len(l.ends)
		for _, c := range parts {
			c.stand(&r)
		}
	}
	l.stand(first, last, r.agent == 0)
	if at, answered := l.bucket(r.answered); answered {
		l.responses = append(l.responses, l.measure(r.answered-r.begun, at, row, agent))
	}
}

// stand notes that a conversation stood there at the ends of the buckets from the first one to before the last one.
func (l *ledger) stand(first, last int, waiting bool) {
	l.stands[first].open++
	l.stands[last].open--
	if waiting {
		l.stands[first].waiting++
		l.stands[last].waiting--
	}
}

func (c *count) begin(r *record) {
	if r.entered == wrote || r.entered == opened {
		c.Arrivals++
	}
	if r.agent != 0 {
		c.Taken++
	}
}

func (c *count) end(r *record) {
	switch r.ending {
	case wasClosed:
		c.Closed++
	case isPassedOn:
		c.PassedOn++
	}
}

func (c *count) stand(r *record) {
	c.Open++
	if r.agent == 0 {
		c.Waiting++
	}
}

func (l *ledger) measure(micros int64, bucket, row, agent int) span {
	seconds := max(micros, 0) / int64(time.Second/time.Microsecond)
	return span{seconds: uint32(min(seconds, 1<<31-1)), bucket: uint16(bucket), row: int32(row), agent: int32(agent)}
}

// agentsByTaken lists the agents, the one who took most first.
func (l *ledger) agentsByTaken() []int64 {
	ids := slices.Collect(maps.Keys(l.agentOf))
	slices.SortFunc(ids, func(a, b int64) int {
		return cmp.Or(cmp.Compare(l.agents[l.agentOf[b]].Taken, l.agents[l.agentOf[a]].Taken), cmp.Compare(a, b))
	})
	return ids
}

// report closes the ledger. Agents who are not named are put together, and groups of which there are too many.
func (l *ledger) report(named map[int64]bool) *Report {
	groups, otherGroups := l.foldGroups()
	agents, otherAgents := l.foldAgents(named)
	l.weigh(l.responses, func(c *count) (*meter, *Durations) { return &c.response, &c.FirstResponse })
	l.weigh(l.resolutions, func(c *count) (*meter, *Durations) { return &c.resolution, &c.Resolution })

	r := &Report{Total: l.total.Numbers, Own: l.rows[ownRow].Numbers}
	from, at := l.from, change{}
	for i, end := range l.ends {
		at.open += l.stands[i].open
		at.waiting += l.stands[i].waiting
		l.buckets[i].Open, l.buckets[i].Waiting = at.open, at.waiting
		r.Buckets = append(r.Buckets, Bucket{moment(from), moment(end), l.buckets[i].Numbers})
		from = end
	}
	for _, g := range groups {
		r.Children = append(r.Children, NumbersOf{g.id, g.Numbers})
	}
	for _, a := range agents {
		r.Agents = append(r.Agents, NumbersOf{a.id, a.Numbers})
	}
	if otherGroups != nil {
		r.OtherGroups = &otherGroups.Numbers
	}
	if otherAgents != nil {
		r.OtherAgents = &otherAgents.Numbers
	}
	return r
}

// share is a count with the group or user that it is of.
type share struct {
	id int64
	*count
}

// foldGroups returns the groups to name, and what the others have together; nil where there are none.
func (l *ledger) foldGroups() (named []share, others *count) {
	for i, id := range l.below {
		named = append(named, share{id, l.rows[firstRow+i]})
	}
	slices.SortStableFunc(named, func(a, b share) int { return cmp.Compare(b.Arrivals, a.Arrivals) })
	var rest []*count
	for _, row := range l.rowOf {
		if row == unseenRow {
			rest = append(rest, l.rows[unseenRow])
			break
		}
	}
	for _, p := range named[min(len(named), MaxReportRows):] {
		rest = append(rest, p.count)
	}
	return named[:min(len(named), MaxReportRows)], together(l.rows, rest)
}

// foldAgents is foldGroups for agents.
func (l *ledger) foldAgents(names map[int64]bool) (named []share, others *count) {
	var rest []*count
	for _, id := range l.agentsByTaken() {
		c := l.agents[l.agentOf[id]]
		if names[id] {
			named = append(named, share{id, c})
		} else {
			rest = append(rest, c)
		}
	}
	return named, together(l.agents, rest)
}

// together puts some of the counts together and the sum in the place of each; it returns nil when there are none.
func together(counts, some []*count) *count {
	if len(some) == 0 {
		return nil
	}
	sum, folded := &count{}, map[*count]bool{}
	for _, c := range some {
		sum.Arrivals += c.Arrivals
		sum.Taken += c.Taken
		sum.PassedOn += c.PassedOn
		sum.Closed += c.Closed
		sum.Open += c.Open
		sum.Waiting += c.Waiting
		folded[c] = true
	}
	for i, c := range counts {
		if folded[c] {
			counts[i] = sum
		}
	}
	return sum
}

// weigh gives each part its durations: of lengths in order, the median is the one that makes up half of the part.
func (l *ledger) weigh(lengths []span, of func(*count) (*meter, *Durations)) {
	slices.SortFunc(lengths, func(a, b span) int { return cmp.Compare(a.seconds, b.seconds) })
	each := func(fn func(c *count, seconds int)) {
		for _, n := range lengths {
			fn(&l.total, int(n.seconds))
			fn(l.buckets[n.bucket], int(n.seconds))
			fn(l.rows[n.row], int(n.seconds))
			if n.agent >= 0 {
				fn(l.agents[n.agent], int(n.seconds))
			}
		}
	}
	each(func(c *count, seconds int) {
		m, _ := of(c)
		m.n++
		m.sum += int64(seconds)
	})
	each(func(c *count, seconds int) {
		m, d := of(c)
		d.Count, d.Average = m.n, int(m.sum/int64(m.n))
		m.seen++
		if m.seen == (m.n+1)/2 {
			d.Median = seconds
		}
		if m.seen == (9*m.n+9)/10 {
			d.P90 = seconds
		}
	})
}

// moment is one of those that stays are made of.
func moment(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
