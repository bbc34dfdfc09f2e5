package directory

import (
	"context"
	"fmt"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/session"
	"canopy/ent/generated/user"
	"canopy/internal/fold"
	"canopy/refusal"
	"canopy/relay"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// LogIn is the input of Service.LogIn.
type LogIn struct {
	Account  string // slug; may be empty when the address belongs to one account only
	Email    string
	Password string
	Kind     session.Kind
}

// LoggedIn is a new session. The token is nowhere else.
type LoggedIn struct {
	Token     string
	ExpiresAt time.Time
}

// LogIn begins a session. Whatever is wrong (the address, the password, the account, a user who may not log in, an
// address that belongs to several accounts), the answer is the same, and it takes one password check to find out.
// Only who knows the password hears that access is paused.
func (s *Service) LogIn(ctx context.Context, in LogIn) (*LoggedIn, error) {
	candidate, err := s.loginCandidate(ctx, in)
	if err != nil {
		return nil, err
	}
	var hash *string
	if candidate != nil {
		hash = candidate.PasswordHash
	}
	match, err := s.isPassword(ctx, in.Password, hash)
	if err != nil {
		return nil, err
	}
	if !match {
		return nil, notLoggedIn()
	}
	token, tokenHash, err := s.newToken(sessionPrefix)
	if err != nil {
		return nil, err
	}
	now := s.now()
	expires := now.Add(s.lifetime(in.Kind))
	err = s.DB.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		u, err := lockUser(ctx, tx, candidate.ID)
		if err != nil {
			return err
		}
		switch {
		case u.Status != user.StatusACTIVE, u.PasswordHash == nil, *u.PasswordHash != *hash:
			return notLoggedIn()
		case u.AccessPausedAt != nil:
			return refusal.Paused()
		}
		begun, err := tx.Session.Create().SetAccountID(u.AccountID).SetUserID(u.ID).SetTokenHash(tokenHash).
			SetKind(in.Kind).SetCreatedAt(now).SetExpiresAt(expires).Save(authz.Trusted(ctx))
		if err != nil {
			return fmt.Errorf("directory: beginning a session: %w", err)
		}
		return audit.Record(ctx, tx, audit.Event{AccountID: u.AccountID, UserID: u.ID, Action: "LOGGED_IN",
			TargetKind: relay.KindSession, TargetID: begun.ID, After: audit.Fields{"kind": in.Kind}, At: now})
	})
	if err != nil {
		return nil, err
	}
	return &LoggedIn{Token: token, ExpiresAt: expires}, nil
}

// notLoggedIn is the one answer to a log-in that fails.
func notLoggedIn() error {
	return &refusal.Refusal{Code: refusal.Unauthenticated, Message: "E-mail address or password is wrong. " +
		"If this address belongs to several accounts, name the account too."}
}

// loginCandidate returns the one active user with that address, or nil for none and for several.
func (s *Service) loginCandidate(ctx context.Context, in LogIn) (*ent.User, error) {
	query := s.DB.Read.User.Query().Where(user.EmailKey(fold.Key(in.Email)), user.StatusEQ(user.StatusACTIVE))
	if in.Account != "" {
		query.Where(user.HasAccountWith(account.Slug(in.Account)))
	}
	found, err := query.Limit(2).All(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: looking up an e-mail address: %w", err)
	}
	if len(found) != 1 {
		return nil, nil
	}
	return found[0], nil
}

func (s *Service) lifetime(kind session.Kind) time.Duration {
	if kind == session.KindCOOKIE {
		return orElse(s.CookieLifetime, 30*day)
	}
	return orElse(s.TokenLifetime, 30*day)
}

// LogOut ends the session with which the viewer is asking.
func (s *Service) LogOut(ctx context.Context) error {
	v := authz.FromContext(ctx)
	if v == nil {
		return refusal.NoViewer()
	}
	return s.DB.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		ended, err := tx.Session.Delete().Where(session.ID(v.SessionID)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("directory: ending a session: %w", err)
		}
		if ended == 0 {
			return refusal.NoViewer() // it ended meanwhile
		}
		if err := publishSessions(ctx, v.AccountID, v.UserID, s.now()); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Event{Action: "LOGGED_OUT",
			TargetKind: relay.KindSession, TargetID: v.SessionID, At: s.now()})
	})
}

// LogOutEverywhere ends all sessions of the viewer, this one included, and returns how many there were.
func (s *Service) LogOutEverywhere(ctx context.Context) (ended int, err error) {
	v := authz.FromContext(ctx)
	if v == nil {
		return 0, refusal.NoViewer()
	}
	err = s.DB.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		if _, err := lockUser(ctx, tx, v.UserID); err != nil {
			return err
		}
		if ended, err = endSessions(ctx, tx, v.UserID, 0); err != nil {
			return err
		}
		if err := publishSessions(ctx, v.AccountID, v.UserID, s.now()); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Event{Action: "LOGGED_OUT_EVERYWHERE", TargetKind: relay.KindUser,
			TargetID: v.UserID, After: audit.Fields{"sessionsEnded": ended}, At: s.now()})
	})
	return ended, err
}

// ChangePassword is the input of Service.ChangePassword.
type ChangePassword struct {
	CurrentPassword string
	NewPassword     string
}

// ChangePassword sets the viewer's password and ends all their sessions but this one.
func (s *Service) ChangePassword(ctx context.Context, in ChangePassword) error {
	v := authz.FromContext(ctx)
	if v == nil {
		return refusal.NoViewer()
	}
	known, err := s.DB.Read.User.Get(ctx, v.UserID)
	if err != nil {
		return fmt.Errorf("directory: loading the viewer: %w", err)
	}
	match, err := s.isPassword(ctx, in.CurrentPassword, known.PasswordHash)
	if err != nil {
		return err
	}
	if !match {
		return wrongPassword()
	}
	hash, err := s.newPassword(ctx, "input.newPassword", in.NewPassword)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		u, err := lockUser(ctx, tx, v.UserID)
		if err != nil {
			return err
		}
		if u.PasswordHash == nil || *u.PasswordHash != *known.PasswordHash {
			return wrongPassword() // it was changed or taken away meanwhile
		}
		return s.storePassword(ctx, tx, u, hash, audit.Event{Action: "PASSWORD_CHANGED"}, v.SessionID)
	})
}

func wrongPassword() error {
	return refusal.BadInput("input.currentPassword", "This is not your present password.")
}

// SetPassword is the input of Service.SetPassword.
type SetPassword struct {
	Token    string // of an invitation or a reset
	Password string
}

// SetPassword sets the password of the user to whom the one-time token was given, and makes an invited user active.
// The token counts once, until it expires, and not for a deactivated user. All sessions of the user end.
func (s *Service) SetPassword(ctx context.Context, in SetPassword) error {
	// Hashing before the token is looked up would let anybody keep the server busy.
	u, err := s.setupUser(ctx, s.DB.Read.User.Query(), in.Token)
	if err != nil {
		return err
	}
	hash, err := s.newPassword(ctx, "input.password", in.Password)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		if _, err := lockUser(ctx, tx, u.ID); err != nil {
			return err
		}
		u, err := s.setupUser(ctx, tx.User.Query(), in.Token)
		if err != nil {
			return err
		}
		err = s.storePassword(ctx, tx, u, hash, audit.Event{AccountID: u.AccountID, UserID: u.ID, Action: "PASSWORD_SET"}, 0)
		if err != nil || u.Status == user.StatusACTIVE {
			return err
		}
		return givesOut(ctx, tx, u, s.now()) // they may serve from now on
	})
}

// setupUser returns the user who may set a password with the token now.
func (s *Service) setupUser(ctx context.Context, query *ent.UserQuery, token string) (*ent.User, error) {
	u, err := query.Where(user.SetupTokenHash(hashToken(token)), user.SetupExpiresAtGT(s.now()),
		user.StatusIn(user.StatusINVITED, user.StatusACTIVE)).Only(authz.Trusted(ctx))
	if ent.IsNotFound(err) {
		return nil, refusal.BadInput("input.token", "This link was used before, or it has expired. Ask for a new one.")
	}
	if err != nil {
		return nil, fmt.Errorf("directory: looking up a one-time token: %w", err)
	}
	return u, nil
}

// storePassword sets the hash, uses up a one-time token, ends the user's sessions but the one to keep, and records e.
func (s *Service) storePassword(ctx context.Context, tx *ent.Tx, u *ent.User, hash string, e audit.Event, keep int64) error {
	err := tx.User.UpdateOneID(u.ID).SetPasswordHash(hash).SetStatus(user.StatusACTIVE).
		ClearSetupTokenHash().ClearSetupExpiresAt().Exec(authz.Trusted(ctx))
	if err != nil {
		return fmt.Errorf("directory: storing a password: %w", err)
	}
	ended, err := endSessions(ctx, tx, u.ID, keep)
	if err != nil {
		return err
	}
	if err := publishSessions(ctx, u.AccountID, u.ID, s.now()); err != nil {
		return err
	}
	e.TargetKind, e.TargetID, e.At = relay.KindUser, u.ID, s.now()
	e.Before = audit.Fields{"status": u.Status}
	e.After = audit.Fields{"status": user.StatusACTIVE, "sessionsEnded": ended}
	return audit.Record(ctx, tx, e)
}

// endSessions ends the sessions of a user but the one to keep (0: none) and returns how many. The user's row is
// locked, so that no session begins meanwhile.
func endSessions(ctx context.Context, tx *ent.Tx, userID, keep int64) (int, error) {
	ended, err := tx.Session.Delete().Where(session.UserID(userID), session.IDNEQ(keep)).Exec(authz.Trusted(ctx))
	if err != nil {
		return 0, fmt.Errorf("directory: ending the sessions of user %d: %w", userID, err)
	}
	return ended, nil
}

// lockUser returns the user as they are now and lets nobody else change them, or begin a session for them, until the
// transaction ends. It does not ask whether the viewer may see the user.
func lockUser(ctx context.Context, tx *ent.Tx, id int64) (*ent.User, error) {
	query := tx.User.Query().Where(user.ID(id))
	if tx.Dialect() == dialect.Postgres {
		// SQLite has one writer anyway. Not the stronger FOR UPDATE: rows that refer to the user may be written meanwhile,
		// by those who hold a contact for which a leaver's deactivation waits.
		query.Where(func(s *sql.Selector) { s.For(sql.LockNoKeyUpdate) })
	}
	u, err := query.Only(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: loading user %d: %w", id, err)
	}
	return u, nil
}
