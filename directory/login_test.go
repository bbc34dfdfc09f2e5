package directory_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/auditevent"
	"canopy/ent/generated/session"
	"canopy/ent/generated/user"
	"canopy/internal/fold"
	"canopy/refusal"
	"canopy/tree"
)

const secret = "correct horse battery"

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// password gives the user the password.
func (o *office) password(name, password string) {
	o.t.Helper()
	hash, err := o.HashPassword(o.t.Context(), password)
	if err != nil {
		o.t.Fatal(err)
	}
	o.changeUser(name, func(u *ent.UserUpdateOne) { u.SetPasswordHash(hash) })
}

// logIn logs the user in and returns the token.
func (o *office) logIn(name, password string) *directory.LoggedIn {
	o.t.Helper()
	in, err := o.LogIn(o.t.Context(), directory.LogIn{Email: name + "@example.com", Password: password, Kind: session.KindTOKEN})
	if err != nil {
		o.t.Fatalf("%s cannot log in: %v", name, err)
	}
	return in
}

// with is a context in which the holder of the token asks.
func (o *office) with(token string) context.Context {
	o.t.Helper()
	v, err := o.Authenticate(o.t.Context(), token)
	if err != nil {
		o.t.Fatal(err)
	}
	return authz.NewContext(o.t.Context(), v)
}

// recorded are the actions of the audit trail, in their order.
func (o *office) recorded() []string {
	o.t.Helper()
	events, err := o.DB.Read.AuditEvent.Query().Order(auditevent.ByID()).All(authz.Trusted(o.t.Context()))
	if err != nil {
		o.t.Fatal(err)
	}
	var actions []string
	for _, e := range events {
		if e.AccountID != o.acme || e.UserID == nil {
			o.t.Errorf("%s is recorded without its user", e.Action)
		}
		if text := string(e.Before) + string(e.After); strings.Contains(text, "argon2") || strings.Contains(text, "cnp") {
			o.t.Errorf("%s records a secret: %s", e.Action, text)
		}
		actions = append(actions, e.Action)
	}
	return actions
}

func TestLogInBeginsASession(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.user("ada", "city")
		o.password("ada", secret)
		o.CookieLifetime, o.TokenLifetime = time.Hour, 2*time.Hour
		for kind, lifetime := range map[session.Kind]time.Duration{session.KindCOOKIE: time.Hour, session.KindTOKEN: 2 * time.Hour} {
			in, err := o.LogIn(t.Context(), directory.LogIn{Account: "acme", Email: " ADA@Example.com", Password: secret, Kind: kind})
			if err != nil {
				t.Fatal(err)
			}
			if !in.ExpiresAt.Equal(morning.Add(lifetime)) || !strings.HasPrefix(in.Token, "cnp_") || len(in.Token) != len("cnp_")+43 {
				t.Errorf("%s: the session is %+v", kind, in)
			}
			stored, err := o.DB.Read.Session.Query().Where(session.TokenHash(sha256Hex(in.Token))).Only(authz.Trusted(t.Context()))
			if err != nil || stored.Kind != kind || !stored.ExpiresAt.Equal(in.ExpiresAt) {
				t.Errorf("%s: stored is %v, %v", kind, stored, err)
			}
			v, err := o.Authenticate(t.Context(), in.Token)
			if err != nil || v.UserID != o.users["ada"] || v.SessionID != stored.ID {
				t.Errorf("%s: the token lets in %+v, %v", kind, v, err)
			}
		}
		if got := strings.Join(o.recorded(), " "); got != "LOGGED_IN LOGGED_IN" {
			t.Errorf("recorded is %q", got)
		}
	})
}

func TestSessionsLast30DaysByDefault(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.user("ada", "city")
		o.password("ada", secret)
		if in := o.logIn("ada", secret); !in.ExpiresAt.Equal(morning.Add(30 * 24 * time.Hour)) {
			t.Errorf("the session lasts until %s", in.ExpiresAt)
		}
	})
}

// twin gives another account a user with the same address and password.
func (o *office) twin(slug, name string) {
	o.t.Helper()
	id := o.account(slug)
	hash, err := o.HashPassword(o.t.Context(), secret)
	if err != nil {
		o.t.Fatal(err)
	}
	o.write(func(ctx context.Context, tx *ent.Tx) error {
		root, err := tree.Create(ctx, tx, tree.NewGroup{AccountID: id, Name: slug, NameKey: slug, Now: morning}, 64)
		if err != nil {
			return err
		}
		return tx.User.Create().SetAccountID(id).SetHomeGroupID(root).SetName(name).SetNameKey(name).SetEmail(name + "@example.com").
			SetEmailKey(fold.Key(name + "@example.com")).SetStatus(user.StatusACTIVE).SetPasswordHash(hash).SetCreatedAt(morning).Exec(ctx)
	})
}

// TestEveryFailedLogInIsAnsweredAlike: the same words, and the memory of exactly one password check.
func TestEveryFailedLogInIsAnsweredAlike(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.Argon2.Memory = 8 << 10 // KiB; enough to be told from everything else that is allocated
		for _, name := range []string{"ada", "new", "left", "erased", "twin", "empty"} {
			o.user(name, "city")
			if name != "empty" {
				o.password(name, secret)
			}
		}
		o.changeUser("new", func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusINVITED) })
		o.changeUser("left", func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusDEACTIVATED) })
		o.changeUser("erased", func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusDELETED) })
		o.twin("rival", "twin")

		var first *refusal.Refusal
		for what, in := range map[string]directory.LogIn{
			"a wrong password":       {Email: "ada@example.com", Password: "incorrect horse"},
			"no password":            {Email: "ada@example.com"},
			"an overlong password":   {Email: "ada@example.com", Password: strings.Repeat(secret, 100)},
			"an unknown address":     {Email: "eve@example.com", Password: secret},
			"no address":             {Password: secret},
			"an unknown account":     {Account: "nowhere", Email: "ada@example.com", Password: secret},
			"another account":        {Account: "rival", Email: "ada@example.com", Password: secret},
			"an invited user":        {Email: "new@example.com", Password: secret},
			"a deactivated user":     {Email: "left@example.com", Password: secret},
			"a deleted user":         {Email: "erased@example.com", Password: secret},
			"a user without one":     {Email: "empty@example.com", Password: secret},
			"nothing for no hash":    {Email: "empty@example.com"},
			"an address of several":  {Email: "twin@example.com", Password: secret},
			"several, wrong account": {Account: "nowhere", Email: "twin@example.com", Password: secret},
		} {
			in.Kind = session.KindTOKEN
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := o.LogIn(t.Context(), in)
			runtime.ReadMemStats(&after)
			var r *refusal.Refusal
			if !errors.As(err, &r) {
				t.Fatalf("%s is answered by %v", what, err)
			}
			if first == nil {
				first = r
			}
			if r.Code != refusal.Unauthenticated || *r != *first {
				t.Errorf("%s is answered by %v", what, err)
			}
			if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used < 8 || used >= 16 {
				t.Errorf("%s takes %d MiB; one check takes 8", what, used)
			}
		}
		if n, err := o.DB.Read.Session.Query().Where(session.KindEQ(session.KindTOKEN), session.UserID(o.users["twin"])).Count(authz.Trusted(t.Context())); n != 1 || err != nil {
			t.Errorf("a failed log-in began a session: %d, %v", n, err)
		}
		for _, slug := range []string{"acme", "rival"} {
			if _, err := o.LogIn(t.Context(), directory.LogIn{Account: slug, Email: "twin@example.com", Password: secret, Kind: session.KindTOKEN}); err != nil {
				t.Errorf("with the account %s named: %v", slug, err)
			}
		}
		o.changeUser("twin", func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusDEACTIVATED) })
		if _, err := o.LogIn(t.Context(), directory.LogIn{Email: "twin@example.com", Password: secret, Kind: session.KindTOKEN}); err != nil {
			t.Errorf("with one of two users active: %v", err)
		}
	})
}

func TestLogInOfAPausedUser(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.user("ada", "city")
		o.password("ada", secret)
		o.changeUser("ada", func(u *ent.UserUpdateOne) { u.SetAccessPausedAt(morning) })
		in := directory.LogIn{Email: "ada@example.com", Password: secret, Kind: session.KindTOKEN}
		if _, err := o.LogIn(t.Context(), in); !errors.Is(err, refusal.Paused()) {
			t.Errorf("with the right password: %v", err)
		}
		in.Password = "something else"
		if _, err := o.LogIn(t.Context(), in); errors.Is(err, refusal.Paused()) {
			t.Error("a wrong password tells that access is paused")
		}
	})
}

func TestLogOutEndsThisSessionAndLogOutEverywhereAll(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.user("ada", "city")
		o.user("eve", "city")
		o.password("ada", secret)
		one, two, three := o.logIn("ada", secret), o.logIn("ada", secret), o.logIn("ada", secret)
		ctx := o.with(one.Token)
		if err := o.LogOut(ctx); err != nil {
			t.Fatal(err)
		}
		if err := o.LogOut(ctx); !errors.Is(err, refusal.NoViewer()) {
			t.Errorf("logging out of an ended session: %v", err)
		}
		if _, err := o.Authenticate(t.Context(), one.Token); !errors.Is(err, refusal.NoViewer()) {
			t.Errorf("after logging out: %v", err)
		}
		ended, err := o.LogOutEverywhere(o.with(two.Token))
		if err != nil || ended != 3 { // two, three, and the one that the user began with
			t.Errorf("%d sessions ended, %v", ended, err)
		}
		for _, token := range []string{two.Token, three.Token, "cnp_ada"} {
			if _, err := o.Authenticate(t.Context(), token); !errors.Is(err, refusal.NoViewer()) {
				t.Errorf("after logging out everywhere: %v", err)
			}
		}
		o.asking("eve")
		if got := strings.Join(o.recorded(), " "); got != "LOGGED_IN LOGGED_IN LOGGED_IN LOGGED_OUT LOGGED_OUT_EVERYWHERE" {
			t.Errorf("recorded is %q", got)
		}
		for _, err := range []error{o.LogOut(t.Context()), second(o.LogOutEverywhere(t.Context())),
			o.ChangePassword(t.Context(), directory.ChangePassword{})} {
			if !errors.Is(err, refusal.NoViewer()) {
				t.Errorf("without a viewer: %v", err)
			}
		}
	})
}

func second(_ int, err error) error { return err }

func TestChangePasswordEndsAllOtherSessions(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		const next = "staple the battery"
		o.user("ada", "city")
		o.password("ada", secret)
		here := o.logIn("ada", secret)
		ctx := o.with(here.Token)
		for field, in := range map[string]directory.ChangePassword{
			"input.currentPassword": {CurrentPassword: "wrong", NewPassword: next},
			"input.newPassword":     {CurrentPassword: secret, NewPassword: "elevenchars"},
		} {
			var r *refusal.Refusal
			if err := o.ChangePassword(ctx, in); !errors.As(err, &r) || r.Code != refusal.BadUserInput || r.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		if err := o.ChangePassword(ctx, directory.ChangePassword{CurrentPassword: secret, NewPassword: next}); err != nil {
			t.Fatal(err)
		}
		o.with(here.Token)
		if _, err := o.Authenticate(t.Context(), "cnp_ada"); !errors.Is(err, refusal.NoViewer()) {
			t.Errorf("another session is answered by %v", err)
		}
		if _, err := o.LogIn(t.Context(), directory.LogIn{Email: "ada@example.com", Password: secret, Kind: session.KindTOKEN}); err == nil {
			t.Error("the old password still counts")
		}
		o.logIn("ada", next)
		if got := strings.Join(o.recorded(), " "); got != "LOGGED_IN PASSWORD_CHANGED LOGGED_IN" {
			t.Errorf("recorded is %q", got)
		}
	})
}

// invite gives the user a one-time token.
func (o *office) invite(name, token string, status user.Status, expires time.Time) {
	o.t.Helper()
	o.changeUser(name, func(u *ent.UserUpdateOne) {
		u.SetStatus(status).SetSetupTokenHash(sha256Hex(token)).SetSetupExpiresAt(expires)
	})
}

func TestAOneTimeTokenSetsAPasswordOnce(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		expires := morning.Add(time.Hour)
		o.user("ada", "city")
		o.invite("ada", "once", user.StatusINVITED, expires)
		set := func(token, password string) error {
			return o.SetPassword(t.Context(), directory.SetPassword{Token: token, Password: password})
		}
		refusedAt := func(what, field string, err error) {
			t.Helper()
			var r *refusal.Refusal
			if !errors.As(err, &r) || r.Code != refusal.BadUserInput || r.Field != field {
				t.Errorf("%s: %v", what, err)
			}
		}
		refusedAt("an unknown token", "input.token", set("never", secret))
		refusedAt("no token", "input.token", set("", secret))
		refusedAt("a short password", "input.password", set("once", "short"))
		o.clock = expires
		refusedAt("an expired token", "input.token", set("once", secret))
		for _, status := range []user.Status{user.StatusDEACTIVATED, user.StatusDELETED} {
			o.clock = morning
			o.invite("ada", "once", status, expires)
			refusedAt("a user who is "+status.String(), "input.token", set("once", secret))
		}

		o.invite("ada", "once", user.StatusINVITED, expires)
		o.clock = expires.Add(-time.Microsecond)
		if err := set("once", secret); err != nil {
			t.Fatal(err)
		}
		refusedAt("a used token", "input.token", set("once", "another password"))
		if u, err := o.DB.Read.User.Get(authz.Trusted(t.Context()), o.users["ada"]); err != nil || u.SetupTokenHash != nil || u.SetupExpiresAt != nil {
			t.Errorf("of the used token %v, %v is left, %v", u.SetupTokenHash, u.SetupExpiresAt, err)
		}
		o.logIn("ada", secret)

		o.invite("ada", "again", user.StatusACTIVE, expires)
		if err := set("again", "another password"); err != nil {
			t.Errorf("resetting: %v", err)
		}
		if _, err := o.Authenticate(t.Context(), "cnp_ada"); !errors.Is(err, refusal.NoViewer()) {
			t.Errorf("a session from before the reset is answered by %v", err)
		}
		if got := strings.Join(o.recorded(), " "); got != "PASSWORD_SET LOGGED_IN PASSWORD_SET" {
			t.Errorf("recorded is %q", got)
		}
	})
}

func TestOfManyWhoUseAOneTimeTokenOneSucceeds(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.user("ada", "city")
		o.invite("ada", "once", user.StatusINVITED, morning.Add(time.Hour))
		var group sync.WaitGroup
		results := make([]error, 8)
		for i := range results {
			group.Go(func() {
				results[i] = o.SetPassword(t.Context(), directory.SetPassword{Token: "once", Password: strings.Repeat("x", 12+i)})
			})
		}
		group.Wait()
		winner := -1
		for i, err := range results {
			var r *refusal.Refusal
			switch {
			case err == nil && winner >= 0:
				t.Errorf("%d and %d both succeeded", winner, i)
			case err == nil:
				winner = i
			case !errors.As(err, &r) || r.Field != "input.token":
				t.Errorf("%d failed by %v", i, err)
			}
		}
		if winner < 0 {
			t.Fatal("nobody succeeded")
		}
		o.logIn("ada", strings.Repeat("x", 12+winner))
	})
}

// TestAPasswordIsTheSameHoweverItIsTyped: keyboards differ in how they compose accents.
func TestAPasswordIsTheSameHoweverItIsTyped(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.user("ada", "city")
		o.password("ada", "caf\u00e9 caf\u00e9 caf\u00e9")
		o.logIn("ada", "cafe\u0301 cafe\u0301 cafe\u0301")
	})
}
