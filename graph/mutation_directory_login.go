package graph

import (
	"context"

	"canopy/authz"
	"canopy/directory"
	"canopy/ent/generated/session"
	"canopy/graph/bind"
	"canopy/graph/model"
	"canopy/refusal"
)

// LogIn begins a session. The token of a cookie session goes to the browser only.
func (r *mutationResolver) LogIn(ctx context.Context, input model.LogInInput) (*model.LogInPayload, error) {
	if err := r.limitLogIns(ctx, input.Email); err != nil {
		return nil, err
	}
	begun, err := r.Directory.LogIn(ctx, directory.LogIn{Account: orEmpty(input.Account), Email: input.Email,
		Password: input.Password, Kind: input.Session})
	if err != nil {
		return nil, err
	}
	if input.Session == session.KindCOOKIE {
		sessionWriter(ctx).SetSession(begun.Token, begun.ExpiresAt)
		return &model.LogInPayload{ExpiresAt: begun.ExpiresAt}, nil
	}
	return &model.LogInPayload{Token: &begun.Token, ExpiresAt: begun.ExpiresAt}, nil
}

func (r *mutationResolver) limitLogIns(ctx context.Context, email string) error {
	if r.logIns == nil {
		return nil
	}
	allowed, err := r.logIns.Allow(ctx, email)
	if err == nil && !allowed {
		return &refusal.Refusal{Code: refusal.RateLimited, Message: "Too many attempts to log in. Wait a few minutes and try again."}
	}
	return err
}

// LogOut ends the session of the request.
func (r *mutationResolver) LogOut(ctx context.Context) (*model.LogOutPayload, error) {
	if err := r.Directory.LogOut(ctx); err != nil {
		return nil, err
	}
	sessionWriter(ctx).ClearSession()
	return &model.LogOutPayload{LoggedOut: true}, nil
}

// LogOutEverywhere ends all sessions of the viewer.
func (r *mutationResolver) LogOutEverywhere(ctx context.Context) (*model.LogOutEverywherePayload, error) {
	ended, err := r.Directory.LogOutEverywhere(ctx)
	if err != nil {
		return nil, err
	}
	sessionWriter(ctx).ClearSession()
	return &model.LogOutEverywherePayload{Ended: ended}, nil
}

// SetPassword sets a password with a one-time token.
func (r *mutationResolver) SetPassword(ctx context.Context, input model.SetPasswordInput) (*model.SetPasswordPayload, error) {
	err := r.Directory.SetPassword(ctx, directory.SetPassword{Token: input.Token, Password: input.Password})
	if err != nil {
		return nil, err
	}
	return &model.SetPasswordPayload{PasswordSet: true}, nil
}

// ChangePassword changes the viewer's own password.
func (r *mutationResolver) ChangePassword(ctx context.Context, input model.ChangePasswordInput) (*model.ChangePasswordPayload, error) {
	err := r.Directory.ChangePassword(ctx, directory.ChangePassword{
		CurrentPassword: input.CurrentPassword, NewPassword: input.NewPassword})
	if err != nil {
		return nil, err
	}
	return &model.ChangePasswordPayload{PasswordChanged: true}, nil
}

// UpdateViewer changes the viewer's own name, availability or working hours.
func (r *mutationResolver) UpdateViewer(ctx context.Context, input model.UpdateViewerInput) (*model.UpdateViewerPayload, error) {
	hours, err := hoursOf(input.WorkingHours)
	if err != nil {
		return nil, err
	}
	_, err = r.Directory.UpdateViewer(ctx, directory.UpdateViewer{Name: input.Name, Availability: input.Availability, WorkingHours: hours})
	if err != nil {
		return nil, err
	}
	return &model.UpdateViewerPayload{Viewer: bind.NewViewer(authz.FromContext(ctx))}, nil
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
