package desk_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/group"
	"canopy/ent/generated/message"
	"canopy/ent/rule"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
)

// history is what a test has seen happen: where each conversation stood, by looking at the contacts after every step.
type history struct {
	*world
	now   time.Time
	stood map[int64][]stood // by contact
	heirs map[int64]int64   // of groups that were deleted

	said map[int64]time.Time // the first answer in each conversation
}

// stood is how a contact stood from a moment on.
type stood struct {
	at           time.Time
	conversation int64 // 0 while none was open
	group, agent int64
}

// newHistory is a world in which time stands still until the test lets it pass.
func newHistory(t *testing.T, db *store.DB, seed uint64) *history {
	h := &history{world: newWorldCalled(t, db, fmt.Sprint("account", seed)), stood: map[int64][]stood{}, heirs: map[int64]int64{}}
	h.now = time.Date(2027, 3, 26, 9, 0, 0, 0, time.UTC)
	h.desk.Now = func() time.Time { return h.now }
	h.build()
	h.group("deep", "north")
	h.user("dina", "deep", authz.RoleAgent)
	h.role("Analyst", authz.Pair{Permission: authz.AnalyticsView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeSubtree})
	h.role("Blinkered", authz.Pair{Permission: authz.AnalyticsView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeGroup})
	h.user("rita", "root", "Analyst")
	h.user("nora", "north", "Analyst")
	h.user("ben", "sales", "Blinkered")
	h.grant("ben", "Analyst", "deep") // sees sales and deep, and not what is between
	return h
}

// look notes how every contact stands now.
func (h *history) look() {
	contacts, err := h.db.Read.Contact.Query().Where(contact.AccountID(h.account)).All(all())
	ok(h.t, err)
	open, err := h.db.Read.Conversation.Query().Where(conversation.AccountID(h.account), conversation.ClosedAtIsNil()).All(all())
	ok(h.t, err)
	of := map[int64]int64{}
	for _, c := range open {
		of[c.ContactID] = c.ID
	}
	for _, c := range contacts {
		is := stood{at: h.now, conversation: of[c.ID]}
		if is.conversation != 0 {
			is.group = c.GroupID
			if c.AssignedUserID != nil {
				is.agent = *c.AssignedUserID
			}
		}
		list := h.stood[c.ID]
		if n := len(list); n > 0 && list[n-1].conversation == is.conversation && list[n-1].agent == is.agent && h.of(list[n-1].group) == is.group {
			continue
		}
		h.stood[c.ID] = append(list, is)
	}
}

// of is the group that has what the group had.
func (h *history) of(group int64) int64 {
	for h.heirs[group] != 0 {
		group = h.heirs[group]
	}
	return group
}

// live lets things happen: by chance, and whether or not they can.
func (h *history) live(r *rand.Rand, steps int) {
	names := []string{"kim", "lee", "max", "noa", "pat", "quin", "ray", "sam"}
	agents := []string{"ana", "bruno", "carla", "dora", "emil", "dina", "vera", "vic"}
	places := []string{"root", "sales", "north", "south", "support", "deep", "vault", "cellar", "spare"}
	h.group("spare", "south")
	for range steps {
		h.now = h.now.Add(time.Duration(1+r.IntN(9_000)) * time.Second).Add(time.Duration(r.IntN(1_000_000)) * time.Microsecond)
		who := pick(r, agents)
		where := h.of(h.groups[pick(r, places)])
		c, err := h.db.Read.Contact.Query().Where(contact.AccountID(h.account), contact.Address(pick(r, names))).Only(all())
		switch dice := r.IntN(20); {
		case dice < 4 || err != nil:
			h.says(pick(r, names), &where)
		case dice < 7:
			h.attempt(h.assign(c.ID, h.id(who), nil))
		case dice < 9:
			h.attempt(h.assign(c.ID, nil, &where))
		case dice < 11:
			_, err := h.desk.ClaimContact(h.as(who), desk.ClaimContact{ContactID: c.ID})
			h.attempt(err)
		case dice < 15:
			if open := h.openOf(c.ID); open != nil {
				_, err := h.desk.SendMessage(h.as(pick(r, []string{who, "olga"})), desk.SendMessage{ConversationID: open.ID, Text: "Yes"})
				h.attempt(err)
			}
		case dice < 18:
			if open := h.openOf(c.ID); open != nil {
				_, err := h.desk.CloseConversation(h.as("olga"), desk.CloseConversation{ConversationID: open.ID})
				h.attempt(err)
			}
		case dice < 19:
			_, err := h.desk.OpenConversation(h.as(pick(r, []string{who, "olga"})), desk.OpenConversation{ContactID: c.ID})
			h.attempt(err)
		default:
			h.rearrange(r)
		}
		h.look()
	}
}

// attempt lets pass what is refused.
func (h *history) attempt(err error) {
	h.t.Helper()
	var refused *refusal.Refusal
	if err != nil && !errors.As(err, &refused) {
		h.t.Fatal(err)
	}
}

func (h *history) assign(c int64, agent, group *int64) error {
	_, err := h.desk.AssignContact(h.as("olga"), desk.AssignContact{ContactID: c, AgentID: agent, GroupID: group})
	return err
}

// rearrange moves a branch to and fro, moves somebody, or deletes a group.
func (h *history) rearrange(r *rand.Rand) {
	dir := &directory.Service{DB: h.db, Now: h.desk.Now, MaxDepth: 8, Handover: h.desk}
	switch r.IntN(4) {
	case 0:
		to := h.groups[pick(r, []string{"sales", "support", "root"})]
		_, err := dir.MoveGroup(h.as("olga"), directory.MoveGroup{GroupID: h.of(h.groups["north"]), ParentID: to})
		h.attempt(err)
	case 1:
		_, err := dir.MoveUser(h.as("olga"), directory.MoveUser{UserID: h.users["bruno"], HomeGroupID: h.groups[pick(r, []string{"south", "north"})]})
		h.attempt(err)
	case 2:
		if spare := h.groups["spare"]; h.heirs[spare] == 0 {
			heir := h.groups["south"]
			_, err := dir.DeleteGroup(h.as("olga"), directory.DeleteGroup{GroupID: spare, SuccessorID: &heir})
			ok(h.t, err)
			h.heirs[spare] = heir
		}
	case 3:
		h.set("cellar", func(u *ent.GroupUpdateOne) { u.SetCapacity(1 + r.IntN(3)) })
	}
}

// TestReportsAreWhatTheRecordsSay recomputes reports from what a test saw happen, and from conversations and messages.
func TestReportsAreWhatTheRecordsSay(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		for seed := range uint64(3) {
			h := newHistory(t, db, seed)
			r := rand.New(rand.NewPCG(seed, 11))
			h.live(r, 220)
			for _, name := range []string{"olga", "sue", "rita", "nora", "ben", "ana", "adam"} {
				h.compareReports(r, name)
			}
			h.intact()
		}
	})
}

func (h *history) compareReports(r *rand.Rand, name string) {
	h.t.Helper()
	v := h.viewer(name)
	ctx := authz.NewContext(context.Background(), v)
	groups, err := h.db.Read.Group.Query().Where(group.AccountID(h.account)).All(all())
	ok(h.t, err)
	seen, err := h.db.Read.Group.Query().IDs(ctx)
	ok(h.t, err)
	for _, at := range groups {
		zone := pick(r, []string{"UTC", "Europe/Lisbon", "Australia/Lord_Howe", "Asia/Kathmandu"})
		begin := time.Date(2027, 3, 26, 9, 0, 0, 0, time.UTC)
		from := begin.Add(time.Duration(r.Int64N(int64(h.now.Sub(begin)))))
		to := from.Add(time.Duration(1 + r.Int64N(int64(h.now.Sub(from)+48*time.Hour))))
		q := desk.ReportQuery{GroupID: at.ID, From: from, To: to, TimeZone: zone, Every: pick(r, []desk.Interval{desk.Day, desk.Week, desk.Month})}
		got, err := h.desk.GroupReport(ctx, q)
		switch {
		case !slices.Contains(seen, at.ID):
			refused(h.t, err, refusal.NotFoundCode, "")
		case !v.Can(authz.AnalyticsView, authz.AtGroup(authz.Place{GroupID: at.ID, Path: at.Path, Wall: at.Wall})):
			lacks(h.t, err, authz.AnalyticsView)
		default:
			ok(h.t, err)
			if want := h.naiveReport(v, seen, groups, at, q, got); !reflect.DeepEqual(got, want) {
				h.t.Errorf("%s at %s, %+v:\n got %+v\nwant %+v", name, at.Name, q, show2(got), show2(want))
			}
		}
	}
}

func show2(r *desk.Report) string {
	return strings.ReplaceAll(fmt.Sprintf("%+v %+v %+v", *r, r.OtherGroups, r.OtherAgents), " Numbers", "\n")
}

// phase is a time during which a conversation stood somewhere, as the test saw it.
type phase struct {
	stood
	until  time.Time // zero while it lasts
	before *phase    // of the same contact, without a gap
	after  *phase
}

func (h *history) phases() (list []*phase) {
	for _, changes := range h.stood {
		var last *phase
		for _, s := range changes {
			if last != nil && last.until.IsZero() {
				last.until = s.at
			}
			if s.conversation == 0 {
				last = nil
				continue
			}
			p := &phase{stood: s, before: last}
			p.group = h.of(p.group)
			if last != nil {
				last.after = p
			}
			list = append(list, p)
			last = p
		}
	}
	return list
}

// first is the phase with which the case began, over all passing on.
func (p *phase) first() *phase {
	for p.before != nil {
		p = p.before
	}
	return p
}

// naiveReport counts for every part of the report by itself. The buckets are taken from the report: another test is about
// them.
func (h *history) naiveReport(v *authz.Viewer, seen []int64, groups []*ent.Group, at *ent.Group, q desk.ReportQuery, got *desk.Report) *desk.Report {
	h.t.Helper()
	paths, reported := map[int64]string{}, map[int64]bool{}
	for _, g := range groups {
		paths[g.ID] = g.Path
		place := authz.Place{GroupID: g.ID, Path: g.Path, Wall: g.Wall}
		reported[g.ID] = strings.HasPrefix(g.Path, at.Path) && slices.Contains(seen, g.ID) && v.Can(authz.AnalyticsView, authz.AtGroup(place))
	}
	var all []*phase
	for _, p := range h.phases() {
		if reported[p.group] {
			all = append(all, p)
		}
	}
	only := func(from, to time.Time, mine func(*phase) bool) desk.Numbers {
		var some []*phase
		for _, p := range all {
			if mine(p) {
				some = append(some, p)
			}
		}
		return h.naiveNumbers(some, from, to)
	}
	want := &desk.Report{Total: only(q.From, q.To, func(*phase) bool { return true }),
		Own: only(q.From, q.To, func(p *phase) bool { return p.group == at.ID })}
	for _, b := range got.Buckets {
		want.Buckets = append(want.Buckets, desk.Bucket{From: b.From, To: b.To, Numbers: only(b.From, b.To, func(*phase) bool { return true })})
	}
	if first, last := got.Buckets[0], got.Buckets[len(got.Buckets)-1]; !first.From.Equal(q.From.Truncate(time.Microsecond)) || !last.To.Equal(q.To.Truncate(time.Microsecond)) {
		h.t.Errorf("the buckets are from %s to %s", first.From, last.To)
	}
	h.naiveGroups(want, only, groups, at, q, reported)
	h.naiveAgents(want, only, v, all, q)
	return want
}

func (h *history) naiveGroups(want *desk.Report, only func(from, to time.Time, mine func(*phase) bool) desk.Numbers, groups []*ent.Group, at *ent.Group, q desk.ReportQuery, reported map[int64]bool) {
	paths := map[int64]string{}
	var rest []string
	for _, g := range groups {
		paths[g.ID] = g.Path
	}
	var children []*ent.Group
	for _, g := range groups {
		if g.ParentID != nil && *g.ParentID == at.ID && reported[g.ID] {
			children = append(children, g)
		}
	}
	sort.Slice(children, func(i, j int) bool { return children[i].NameKey < children[j].NameKey })
	covered := func(path string) bool {
		return path == at.Path || slices.ContainsFunc(children, func(c *ent.Group) bool { return strings.HasPrefix(path, c.Path) })
	}
	for _, g := range groups {
		if reported[g.ID] && !covered(g.Path) {
			rest = append(rest, g.Path)
		}
	}
	for _, c := range children {
		want.Children = append(want.Children, desk.NumbersOf{ID: c.ID, Numbers: only(q.From, q.To, func(p *phase) bool { return strings.HasPrefix(paths[p.group], c.Path) })})
	}
	sort.SliceStable(want.Children, func(i, j int) bool { return want.Children[i].Arrivals > want.Children[j].Arrivals })
	if len(rest) > 0 {
		n := only(q.From, q.To, func(p *phase) bool { return slices.Contains(rest, paths[p.group]) })
		want.OtherGroups = &n
	}
}

func (h *history) naiveAgents(want *desk.Report, only func(from, to time.Time, mine func(*phase) bool) desk.Numbers, v *authz.Viewer, all []*phase, q desk.ReportQuery) {
	cards, err := h.db.Read.User.Query().IDs(rule.AsCards(authz.NewContext(context.Background(), v)))
	ok(h.t, err)
	var agents, others []int64
	for _, p := range all {
		// Who had nothing during the time of the report is not in it.
		if p.agent == 0 || !p.at.Before(q.To) || !p.until.IsZero() && p.until.Before(q.From) || slices.Contains(agents, p.agent) || slices.Contains(others, p.agent) {
			continue
		}
		if slices.Contains(cards, p.agent) {
			agents = append(agents, p.agent)
		} else {
			others = append(others, p.agent)
		}
	}
	slices.Sort(agents)
	for _, id := range agents {
		want.Agents = append(want.Agents, desk.NumbersOf{ID: id, Numbers: only(q.From, q.To, func(p *phase) bool { return p.agent == id })})
	}
	sort.SliceStable(want.Agents, func(i, j int) bool { return want.Agents[i].Taken > want.Agents[j].Taken })
	if len(others) > 0 {
		n := only(q.From, q.To, func(p *phase) bool { return p.agent != 0 && slices.Contains(others, p.agent) })
		want.OtherAgents = &n
	}
}

// naiveNumbers counts phases, and asks the records for who opened a conversation and what was said in it.
func (h *history) naiveNumbers(phases []*phase, from, to time.Time) (n desk.Numbers) {
	h.t.Helper()
	within := func(t time.Time) bool { return !t.IsZero() && !t.Before(from) && t.Before(to) }
	var responses, resolutions []int
	for _, p := range phases {
		if within(p.at) && p.before == nil {
			n.Arrivals++
		}
		if within(p.at) && p.agent != 0 {
			n.Taken++
		}
		if within(p.until) {
			switch {
			case p.after == nil:
				n.Closed++
				resolutions = append(resolutions, int(p.until.Sub(p.first().at)/time.Second))
			case p.after.conversation != p.conversation:
				n.PassedOn++
			}
		}
		if p.at.Before(to) && (p.until.IsZero() || !p.until.Before(to)) {
			n.Open++
			if p.agent == 0 {
				n.Waiting++
			}
		}
		if answer := h.firstAnswer(p.first()); within(answer) && !answer.Before(p.at) && (p.until.IsZero() || answer.Before(p.until)) {
			responses = append(responses, int(answer.Sub(p.first().at)/time.Second))
		}
	}
	n.FirstResponse, n.Resolution = naiveDurations(responses), naiveDurations(resolutions)
	return n
}

// firstAnswer is when a case that a contact began had its first answer; zero for none.
func (h *history) firstAnswer(p *phase) time.Time {
	c, err := h.db.Read.Conversation.Get(all(), p.conversation)
	ok(h.t, err)
	if c.OpenedByID != nil {
		return time.Time{}
	}
	for ; p != nil; p = p.after {
		if at, said := h.answers()[p.conversation]; said {
			return at
		}
	}
	return time.Time{}
}

// answers are the first messages of users in each conversation.
func (h *history) answers() map[int64]time.Time {
	h.t.Helper()
	if h.said != nil {
		return h.said
	}
	h.said = map[int64]time.Time{}
	list, err := h.db.Read.Message.Query().Where(message.AccountID(h.account), message.DirectionEQ(message.DirectionOUTBOUND)).
		Order(message.BySentAt()).All(all())
	ok(h.t, err)
	for _, m := range list {
		if _, earlier := h.said[m.ConversationID]; !earlier {
			h.said[m.ConversationID] = m.SentAt
		}
	}
	return h.said
}

func naiveDurations(list []int) (d desk.Durations) {
	slices.Sort(list)
	sum := 0
	for i, n := range list {
		sum += n
		if 2*(i+1) >= len(list) && d.Count == 0 {
			d.Median, d.Count = n, 1
		}
	}
	for i := len(list) - 1; i >= 0 && 10*(i+1) >= 9*len(list); i-- {
		d.P90 = list[i]
	}
	if d.Count = len(list); d.Count > 0 {
		d.Average = sum / len(list)
	}
	return d
}
