package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/user"
)

// hire invites everybody: the cast, a dashboard administrator for each group that has groups below it, and agents for
// all the rest. Everybody sets a password, except who is to be an invited user for ever.
func (s *seeder) hire(ctx context.Context) error {
	byOwner, err := s.asOwner(ctx)
	if err != nil {
		return err
	}
	for _, p := range s.cast[1:] {
		if err := s.invite(byOwner, p); err != nil {
			return err
		}
	}
	for _, p := range s.serving() {
		if p.below != nil && s.heads[p] == 0 {
			if err := s.inviteSomebody(byOwner, p, supervisor); err != nil {
				return err
			}
		}
	}
	posts := s.posts()
	for i := 0; len(s.users) < s.people; i++ {
		if err := s.inviteSomebody(byOwner, posts[i%len(posts)], agent); err != nil {
			return err
		}
	}
	s.forget()
	for _, p := range s.places {
		for _, id := range s.agents[p] {
			if s.rand.IntN(5) > 0 {
				s.working = append(s.working, id)
			}
		}
	}
	return nil
}

// posts lists the groups that agents belong to: the teams twice, and the branches that they are in once.
func (s *seeder) posts() []*place {
	var teams, branches []*place
	for _, p := range s.serving() {
		if p.below != nil {
			continue
		}
		teams = append(teams, p)
		if p.above != nil && !slices.Contains(branches, p.above) {
			branches = append(branches, p.above)
		}
	}
	return slices.Concat(teams, branches, teams)
}

func (s *seeder) inviteSomebody(ctx context.Context, p *place, role string) error {
	name := s.newName()
	return s.invite(ctx, person{login: loginOf(name), name: name, home: p.name, roles: []string{role}})
}

// loginOf makes "fern.dewhurst-pond" of "Fern Dewhurst-Pond", and "fern.dewhurst-pond.b" of "Fern Dewhurst-Pond B.".
func loginOf(name string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimSuffix(name, "."), " ", "."))
}

func (s *seeder) invite(ctx context.Context, p person) error {
	s.pass(40 * time.Minute)
	home := s.place(p.home)
	var roles []int64
	for _, key := range p.roles {
		roles = append(roles, s.roles[key])
	}
	invited, err := s.directory.InviteUser(ctx, directory.InviteUser{
		Name: p.name, Email: s.address(p.login), HomeGroupID: home.id, RoleIDs: roles,
	})
	if err != nil {
		return fmt.Errorf("inviting %s: %w", p.name, err)
	}
	id := invited.User.ID
	s.users[p.login] = id
	if p.login == loginInvited {
		return nil
	}
	if slices.Contains(p.roles, agent) {
		s.agents[home] = append(s.agents[home], id)
	}
	if slices.Contains(p.roles, supervisor) && s.heads[home] == 0 {
		s.heads[home] = id
	}
	return s.directory.SetPassword(ctx, directory.SetPassword{Token: invited.SetupToken, Password: Password})
}

// startWork makes four agents of five available. By then every contact has its story; what still waits where a method
// gives it out goes to those who have room.
func (s *seeder) startWork(ctx context.Context) error {
	available := user.AvailabilityAVAILABLE
	for _, id := range s.working {
		ctx, err := s.as(ctx, id)
		if err != nil {
			return err
		}
		if _, err := s.directory.UpdateViewer(ctx, directory.UpdateViewer{Availability: &available}); err != nil {
			return err
		}
	}
	for {
		if n, err := s.desk.RunDue(ctx); err != nil || n == 0 {
			return err
		}
	}
}

// arrange gives the access that is not simply a role at the home group.
func (s *seeder) arrange(ctx context.Context) error {
	if s.slug != acacia {
		return nil
	}
	ctx, err := s.asOwner(ctx)
	if err != nil {
		return err
	}
	s.pass(24 * time.Hour)
	coach, err := s.directory.CreateRole(ctx, directory.CreateRole{
		Name: "Quality Coach", Description: "Reads conversations and reports of a branch, and answers nobody.",
		PolicyNote: "One for each region; not together with the role of an agent.",
		Pairs: []authz.Pair{
			{Permission: authz.ConversationsView, Scope: authz.ScopeSubtree}, {Permission: authz.GroupsView, Scope: authz.ScopeSubtree},
			{Permission: authz.AgentPanelView, Scope: authz.ScopeSubtree}, {Permission: authz.AnalyticsView, Scope: authz.ScopeSubtree},
		},
	})
	if err != nil {
		return err
	}
	router, err := s.directory.CreateRole(ctx, directory.CreateRole{
		Name: "Message Router", Description: "Sees the tree, to hand in messages at the group that they are for.",
		Pairs: []authz.Pair{{Permission: authz.GroupsView, Scope: authz.ScopeAccount}},
	})
	if err != nil {
		return err
	}
	return s.grant(ctx, coach.ID, router.ID)
}

// grant gives roles for a time, at another group, and the custom ones.
func (s *seeder) grant(ctx context.Context, coach, router int64) error {
	date := func(year int, month time.Month) *time.Time {
		return new(time.Date(year, month, 1, 0, 0, 0, 0, time.UTC))
	}
	grants := []directory.GrantRole{
		{UserID: s.users[loginGateway], RoleID: router, Reason: "Routes what arrives"},
		{UserID: s.users["coach"], RoleID: coach, GroupID: s.at("Southern Region"), Reason: "Coaches the southern teams"},
		{UserID: s.users["neighbour"], RoleID: s.roles[supervisor], GroupID: s.at("Saltmere Lighthouse"), Reason: "Looks after the neighbours"},
		{UserID: s.users["standin"], RoleID: s.roles[supervisor], GroupID: s.at("Larkmoor Station"),
			ValidUntil: date(2031, time.January), Reason: "Stands in for the head of the branch"},
		{UserID: s.users["agent.station"], RoleID: s.roles[supervisor], ValidUntil: date(2026, time.July), Reason: "Stood in until the summer"},
		{UserID: s.users["agent.market"], RoleID: s.roles[supervisor], ValidFrom: date(2035, time.January), Reason: "Takes over the team one day"},
	}
	for _, g := range grants {
		s.pass(time.Hour)
		if _, err := s.directory.GrantRole(ctx, g); err != nil {
			return err
		}
	}
	s.forget()
	return nil
}

// at returns the number of the group of that name, for inputs in which it may be left out.
func (s *seeder) at(name string) *int64 { return new(s.place(name).id) }

// rearrange makes the changes of the last days: somebody leaves, somebody is paused, a group comes and goes.
func (s *seeder) rearrange(ctx context.Context) error {
	if s.slug != acacia {
		return nil
	}
	ctx, err := s.asOwner(ctx)
	if err != nil {
		return err
	}
	s.wait(Today().Add(-36 * time.Hour))
	paused := true
	changes := []func() error{
		func() error {
			_, err := s.directory.DeactivateUser(ctx, directory.DeactivateUser{
				UserID: s.users["left"], Handover: directory.HandoverToQueue, Reason: "Left the company",
			})
			return err
		},
		func() error {
			_, err := s.directory.UpdateAgentSettings(ctx, directory.UpdateAgentSettings{
				AgentID: s.users["paused"], AccessPaused: &paused, Reason: "On leave until further notice",
			})
			return err
		},
		func() error {
			_, err := s.directory.MoveUser(ctx, directory.MoveUser{
				UserID: s.agents[s.place("Mint Sales")][0], HomeGroupID: s.place("Canal Sales").id, Reason: "Lives nearer",
			})
			return err
		},
		func() error { return s.tryStand(ctx) },
	}
	for _, change := range changes {
		s.pass(4 * time.Hour)
		if err := change(); err != nil {
			return err
		}
	}
	s.forget()
	return nil
}

// tryStand opens a stand, moves and renames it, and closes it again: for the audit trail.
func (s *seeder) tryStand(ctx context.Context) error {
	made, err := s.directory.CreateGroup(ctx, directory.CreateGroup{ParentID: s.place("Saltmere").id, Name: "Summer Stand"})
	if err != nil {
		return err
	}
	stand := made.Group.ID
	s.pass(time.Hour)
	_, err = s.directory.MoveGroup(ctx, directory.MoveGroup{GroupID: stand, ParentID: s.place("Dunhollow").id, Reason: "More passers-by"})
	if err != nil {
		return err
	}
	s.pass(time.Hour)
	if _, err = s.directory.UpdateGroup(ctx, directory.UpdateGroup{GroupID: stand, Name: new("Autumn Stand"), Reason: "It is autumn"}); err != nil {
		return err
	}
	s.pass(time.Hour)
	_, err = s.directory.DeleteGroup(ctx, directory.DeleteGroup{GroupID: stand, Reason: "It rained"})
	return err
}

// handOutPasswords gives everybody the demo password at its real cost. It is one statement, because hashing it for each
// would take as long as everything else together.
func (s *seeder) handOutPasswords(ctx context.Context) error {
	return s.db.Write(authz.Trusted(ctx), func(ctx context.Context, tx *ent.Tx) error {
		return tx.User.Update().Where(user.AccountID(s.account), user.PasswordHashNotNil()).SetPasswordHash(passwordHash).Exec(ctx)
	})
}
