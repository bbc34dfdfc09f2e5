package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/group"
)

// visit is one contact and what becomes of it.
type visit struct {
	at      *place
	on      time.Time
	writes  bool // the contact writes; otherwise a dashboard administrator enters it
	served  bool // an agent takes it, or is given it
	turns   int  // how often question and answer follow each other
	passOn  bool // to another agent of the team
	closes  bool
	returns bool // writes once more after that
}

// serve lets all contacts come, in the order of their moments.
func (s *seeder) serve(ctx context.Context) error {
	visits := s.schedule()
	for _, v := range visits {
		s.wait(v.on)
		if err := s.receive(ctx, v); err != nil {
			return fmt.Errorf("a contact of %s: %w", v.at.name, err)
		}
	}
	return nil
}

// schedule decides who comes where: most of them to the teams.
func (s *seeder) schedule() []visit {
	var seats []*place
	for _, p := range s.serving() {
		seats = append(seats, slices.Repeat([]*place{p}, p.weight())...)
	}
	visits := make([]visit, s.contacts)
	for i := range visits {
		visits[i] = s.fate(seats[i%len(seats)])
	}
	slices.SortStableFunc(visits, func(a, b visit) int { return a.on.Compare(b.on) })
	return visits
}

// weight is the place's share of the contacts.
func (p *place) weight() int {
	switch {
	case p.below == nil, p.above == nil:
		return 10
	case p.above.above == nil:
		return 7
	}
	return 3
}

// fate throws the dice for a contact. Who waits came in the last days, who was served to the end may have come long ago.
func (s *seeder) fate(at *place) visit {
	all := Today().Add(-2 * 24 * time.Hour).Sub(launch())
	v := visit{at: at, writes: s.rand.IntN(100) < 75, turns: 1 + s.rand.IntN(2)}
	dice, since := s.rand.IntN(100), 0.0
	switch {
	case dice < 20:
		since = 0.9
		v.writes = v.writes || dice < 10
	case dice < 68:
		v.served, since = true, 0.6
		v.passOn = s.rand.IntN(12) == 0
	default:
		v.served, v.closes = true, true
		v.returns = s.rand.IntN(15) == 0
	}
	v.on = launch().Add(time.Duration((since + (1-since)*s.rand.Float64()) * float64(all))).Truncate(time.Second)
	return v
}

// service is a contact while it is being served.
type service struct {
	visit
	talk    talk
	name    string
	channel string
	address string
	contact int64
	agent   int64
	open    int64 // conversation
}

func (s *seeder) receive(ctx context.Context, v visit) error {
	all := talks()
	c := &service{visit: v, talk: all[s.rand.IntN(len(all))], name: s.newName()}
	begin := s.enter
	if v.writes {
		begin = s.arrive
	}
	if err := begin(ctx, c); err != nil || !c.served {
		return err
	}
	s.pass(20 * time.Minute)
	if err := s.take(ctx, c); err != nil {
		return err
	}
	if err := s.talkOver(ctx, c); err != nil {
		return err
	}
	if c.passOn {
		return s.transfer(ctx, c)
	}
	if !c.closes {
		return nil
	}
	return s.finish(ctx, c)
}

// arrive lets the contact write for the first time.
func (s *seeder) arrive(ctx context.Context, c *service) error {
	c.channel, c.address = "whatsapp", s.newPhone()
	if s.rand.IntN(6) == 0 || c.at.within("Online") {
		c.channel, c.address = "email", loginOf(c.name)+"@post.example"
	}
	if err := s.write(ctx, c, c.talk.asks[0]); err != nil {
		return err
	}
	found, err := s.db.Read.Contact.Query().Where(contact.AccountID(s.account), contact.Channel(c.channel), contact.Address(c.address)).
		Only(authz.Trusted(ctx))
	if err != nil {
		return err
	}
	c.contact = found.ID
	return nil
}

// write hands in a message of the contact, as the connection to its channel does.
func (s *seeder) write(ctx context.Context, c *service, text string) error {
	gateway, ok := s.users[loginGateway]
	if !ok {
		gateway = s.users[s.cast[0].login]
	}
	ctx, err := s.as(ctx, gateway)
	if err != nil {
		return err
	}
	s.letters++
	_, err = s.desk.ReceiveMessage(ctx, desk.ReceiveMessage{
		Channel: c.channel, Address: c.address, Name: &c.name, Text: text,
		ExternalID: fmt.Sprintf("demo-%05d", s.letters), GroupID: &c.at.id,
	})
	return err
}

// enter lets a dashboard administrator enter a contact whom nobody has spoken to.
func (s *seeder) enter(ctx context.Context, c *service) error {
	ctx, err := s.asHeadOf(ctx, c.at)
	if err != nil {
		return err
	}
	created, err := s.desk.CreateContact(ctx, desk.CreateContact{
		GroupID: c.at.id, Name: c.name, Phone: new(s.newPhone()), Email: new(loginOf(c.name) + "@post.example"),
	})
	if err != nil {
		return err
	}
	c.contact = created.ID
	return nil
}

func (s *seeder) newPhone() string {
	s.phones++
	return phone(s.phones)
}

// asHeadOf is as for the dashboard administrator who is nearest to the place, or the owner where there is none.
func (s *seeder) asHeadOf(ctx context.Context, p *place) (context.Context, error) {
	for above := p; above != nil; above = above.above {
		if s.heads[above] != 0 && p.reachedFrom(above) {
			return s.as(ctx, s.heads[above])
		}
	}
	return s.asOwner(ctx)
}

// take makes the contact one of an agent: where assignment is MANUAL the agent claims it, elsewhere it is given.
func (s *seeder) take(ctx context.Context, c *service) error {
	c.agent = s.somebodyOf(c.at, 0)
	if c.at.mode() == group.AssignmentModeMANUAL {
		ctx, err := s.as(ctx, c.agent)
		if err != nil {
			return err
		}
		_, err = s.desk.ClaimContact(ctx, desk.ClaimContact{ContactID: c.contact})
		return err
	}
	ctx, err := s.asHeadOf(ctx, c.at)
	if err != nil {
		return err
	}
	_, err = s.desk.AssignContact(ctx, desk.AssignContact{ContactID: c.contact, AgentID: &c.agent, Reason: "Has time"})
	return err
}

// somebodyOf returns an agent of the place or of a group below it, but not the one who is named.
func (s *seeder) somebodyOf(p *place, not int64) int64 {
	var all []int64
	for _, home := range s.places {
		if home.reachedFrom(p) {
			all = append(all, s.agents[home]...)
		}
	}
	all = slices.DeleteFunc(all, func(id int64) bool { return id == not })
	if len(all) == 0 {
		return not
	}
	return all[s.rand.IntN(len(all))]
}

// talkOver lets contact and agent talk. A contact that was entered by hand is spoken to first.
func (s *seeder) talkOver(ctx context.Context, c *service) error {
	if err := s.begin(ctx, c); err != nil {
		return err
	}
	for turn := range c.turns {
		if turn > 0 && c.writes {
			s.pass(6 * time.Minute)
			if err := s.write(ctx, c, c.talk.asks[turn]); err != nil {
				return err
			}
		}
		s.pass(4 * time.Minute)
		byAgent, err := s.as(ctx, c.agent)
		if err != nil {
			return err
		}
		_, err = s.desk.SendMessage(byAgent, desk.SendMessage{ConversationID: c.open, Text: c.talk.answers[turn]})
		if err != nil {
			return err
		}
	}
	return nil
}

// begin finds the conversation that the contact's message opened, or opens one.
func (s *seeder) begin(ctx context.Context, c *service) error {
	if c.writes {
		open, err := s.db.Read.Conversation.Query().
			Where(conversation.ContactID(c.contact), conversation.ClosedAtIsNil()).OnlyID(authz.Trusted(ctx))
		c.open = open
		return err
	}
	byAgent, err := s.as(ctx, c.agent)
	if err != nil {
		return err
	}
	opened, err := s.desk.OpenConversation(byAgent, desk.OpenConversation{ContactID: c.contact, Subject: c.talk.subject})
	if err != nil {
		return err
	}
	c.open = opened.ID
	return nil
}

// transfer passes the contact on to a colleague of the same group.
func (s *seeder) transfer(ctx context.Context, c *service) error {
	home := s.homeOf(c.agent)
	var colleagues []int64
	for _, id := range s.agents[home] {
		if id != c.agent {
			colleagues = append(colleagues, id)
		}
	}
	if len(colleagues) == 0 {
		return nil
	}
	ctx, err := s.as(ctx, c.agent)
	if err != nil {
		return err
	}
	s.pass(time.Hour)
	next := colleagues[s.rand.IntN(len(colleagues))]
	_, err = s.desk.TransferContact(ctx, desk.TransferContact{ContactID: c.contact, AgentID: &next, Reason: "Knows this better"})
	return err
}

func (s *seeder) homeOf(agent int64) *place {
	for p, ids := range s.agents {
		if slices.Contains(ids, agent) {
			return p
		}
	}
	return nil
}

// finish closes the conversation, after which some contacts write once more.
func (s *seeder) finish(ctx context.Context, c *service) error {
	s.pass(10 * time.Minute)
	byAgent, err := s.as(ctx, c.agent)
	if err != nil {
		return err
	}
	if _, err := s.desk.CloseConversation(byAgent, desk.CloseConversation{ConversationID: c.open}); err != nil {
		return err
	}
	if !c.returns || !c.writes {
		return nil
	}
	s.pass(3 * time.Hour)
	return s.write(ctx, c, c.talk.farewell)
}
