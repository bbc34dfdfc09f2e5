package directory

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/role"
	"canopy/ent/generated/rolegrant"
	"canopy/internal/fold"
	"canopy/refusal"
	"canopy/relay"
	"canopy/store"
	"canopy/tree"
)

// UpdateAccount is the input of Service.UpdateAccount; what is nil stays.
type UpdateAccount struct {
	Name               *string
	ReasonRequired     *bool
	CustomRolesEnabled *bool
	Reason             string
}

// UpdateAccount changes settings of the viewer's account. Custom roles that are switched off stay, and give nothing.
func (s *Service) UpdateAccount(ctx context.Context, in UpdateAccount) (*ent.Account, error) {
	return s.changeAccount(ctx, func(_ context.Context, d *doing) (*ent.AccountUpdateOne, audit.Event, error) {
		update, event := d.tx.Account.UpdateOneID(d.account.ID), audit.Event{Action: "ACCOUNT_UPDATED"}
		if err := d.may(authz.SettingsEdit, authz.Target{}, "on the account"); err != nil {
			return nil, event, err
		}
		if in.Name == nil && in.ReasonRequired == nil && in.CustomRolesEnabled == nil {
			return nil, event, nothingToChange()
		}
		if in.Name != nil {
			name, err := checkName("input.name", *in.Name)
			if err != nil {
				return nil, event, err
			}
			update.SetName(name)
		}
		update.SetNillableReasonRequired(in.ReasonRequired).SetNillableCustomRolesEnabled(in.CustomRolesEnabled)
		reason, err := d.reason(in.Reason)
		event.Reason = reason
		return update, event, err
	})
}

// ChangePlan is the input of Service.ChangePlan.
type ChangePlan struct {
	Plan   account.Plan
	Reason string
}

// ChangePlan changes what the account has booked. A downgrade deletes nothing and only stops the creation of groups.
func (s *Service) ChangePlan(ctx context.Context, in ChangePlan) (*ent.Account, error) {
	return s.changeAccount(ctx, func(_ context.Context, d *doing) (*ent.AccountUpdateOne, audit.Event, error) {
		event := audit.Event{Action: "PLAN_CHANGED"}
		if err := d.may(authz.SubscriptionManage, authz.Target{}, "on the account"); err != nil {
			return nil, event, err
		}
		if account.PlanValidator(in.Plan) != nil {
			return nil, event, refusal.BadInput("input.plan", "%q is not a plan.", in.Plan)
		}
		reason, err := d.reason(in.Reason)
		event.Reason = reason
		return d.tx.Account.UpdateOneID(d.account.ID).SetPlan(in.Plan), event, err
	})
}

// TransferOwnership is the input of Service.TransferOwnership.
type TransferOwnership struct {
	UserID int64
	Reason string
}

// TransferOwnership makes another active owner the primary one. The primary owner alone may do it.
func (s *Service) TransferOwnership(ctx context.Context, in TransferOwnership) (*ent.Account, error) {
	return s.changeAccount(ctx, func(ctx context.Context, d *doing) (*ent.AccountUpdateOne, audit.Event, error) {
		event := audit.Event{Action: "OWNERSHIP_TRANSFERRED"}
		m, err := d.user(ctx, in.UserID)
		if err != nil {
			return nil, event, err
		}
		if err := d.primaryOwnerMay(authz.OwnershipTransfer); err != nil {
			return nil, event, err
		}
		if event.Reason, err = d.reason(in.Reason); err != nil {
			return nil, event, err
		}
		owner, err := d.tx.RoleGrant.Query().Where(d.isOwner()...).Where(rolegrant.UserID(m.ID)).Exist(authz.Trusted(ctx))
		if err != nil {
			return nil, event, fmt.Errorf("directory: looking for owners: %w", err)
		}
		if !owner {
			return nil, event, refusal.Conflict(refusal.PrimaryOwner,
				"The primary owner has to be an active owner whose grant has no end. Make the user an owner first.")
		}
		return d.tx.Account.UpdateOneID(d.account.ID).SetPrimaryOwnerID(m.ID), event, nil
	})
}

// primaryOwnerMay refuses everybody but the primary owner.
func (d *doing) primaryOwnerMay(p authz.Permission) error {
	if err := d.may(p, authz.Target{}, "on the account"); err != nil {
		return err
	}
	if !isPrimaryOwner(d.account, d.viewer.UserID) {
		return refusal.Limit("", p, "as the primary owner of the account",
			"Only the primary owner of the account may do this.", "Ask the primary owner.")
	}
	return nil
}

func isPrimaryOwner(a *ent.Account, userID int64) bool {
	return a.PrimaryOwnerID != nil && *a.PrimaryOwnerID == userID
}

// changeAccount saves what plan makes of the account of the viewer, and records it.
func (s *Service) changeAccount(ctx context.Context,
	plan func(ctx context.Context, d *doing) (*ent.AccountUpdateOne, audit.Event, error)) (*ent.Account, error) {
	var changed *ent.Account
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		update, event, err := plan(ctx, d)
		if err != nil {
			return err
		}
		changed, err = d.saveAccount(ctx, update, event)
		return err
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

func (d *doing) saveAccount(ctx context.Context, update *ent.AccountUpdateOne, event audit.Event) (*ent.Account, error) {
	changed, err := update.Save(ctx)
	if err != nil {
		return nil, fmt.Errorf("directory: changing account %d: %w", d.account.ID, err)
	}
	event.TargetKind, event.TargetID = relay.KindAccount, d.account.ID
	event.Before, event.After = accountFields(d.account), accountFields(changed)
	if err := d.record(ctx, event); err != nil || d.account.CustomRolesEnabled || !changed.CustomRolesEnabled {
		return changed, err
	}
	custom, err := d.grants(ctx, rolegrant.HasRoleWith(role.KeyIsNil()))
	if err != nil {
		return nil, err
	}
	return changed, d.givesOutTo(ctx, custom)
}

func accountFields(a *ent.Account) audit.Fields {
	f := audit.Fields{"name": a.Name, "plan": a.Plan, "groupCreation": a.GroupCreation,
		"customRolesEnabled": a.CustomRolesEnabled, "reasonRequired": a.ReasonRequired, "primaryOwner": nil}
	if a.PrimaryOwnerID != nil {
		f["primaryOwner"] = userID(*a.PrimaryOwnerID)
	}
	return f
}

// DeleteAccount is the input of Service.DeleteAccount.
type DeleteAccount struct {
	ConfirmName string // has to be the account's name
}

// DeleteAccount deletes the viewer's account with everything in it, and returns its number. The primary owner alone may
// do it. Its audit trail goes too; that it happened is in the log.
func (s *Service) DeleteAccount(ctx context.Context, in DeleteAccount) (int64, error) {
	var deleted int64
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		if err := d.primaryOwnerMay(authz.AccountDelete); err != nil {
			return err
		}
		if fold.Name(in.ConfirmName) != d.account.Name {
			return refusal.BadInput("input.confirmName", "This is not the name of the account. Type it exactly as it is.")
		}
		if err := tree.DropAccount(ctx, d.tx, d.account.ID); err != nil {
			return err
		}
		if err := d.tx.Account.DeleteOneID(d.account.ID).Exec(ctx); err != nil {
			return fmt.Errorf("directory: deleting account %d: %w", d.account.ID, err)
		}
		deleted = d.account.ID
		return nil
	})
	if err != nil {
		return 0, err
	}
	slog.WarnContext(ctx, "account deleted", "account", deleted, "user", authz.FromContext(ctx).UserID)
	return deleted, nil
}

// CreateAccount is the input of Service.CreateAccount.
type CreateAccount struct {
	Name          string
	Slug          string
	Plan          account.Plan          // empty: PRO
	GroupCreation account.GroupCreation // empty: SELF_SERVICE
	OwnerName     string
	OwnerEmail    string
}

// CreatedAccount is an account with its root group and its primary owner, who sets a password next with the one-time
// token, which is nowhere else.
type CreatedAccount struct {
	Account    *ent.Account
	Root       *ent.Group
	Owner      *ent.User
	SetupToken string
}

// CreateAccount makes an account with its root group, its built-in roles and its first owner. It is for the platform
// operator.
func (s *Service) CreateAccount(ctx context.Context, in CreateAccount) (*CreatedAccount, error) {
	owner, err := in.check()
	if err != nil {
		return nil, err
	}
	var created *CreatedAccount
	err = s.DB.Write(authz.Trusted(ctx), func(ctx context.Context, tx *ent.Tx) error {
		d := &doing{tx: tx, at: s.now()}
		d.account, err = tx.Account.Create().SetName(fold.Name(in.Name)).SetSlug(in.Slug).
			SetPlan(orElse(in.Plan, account.PlanPRO)).SetGroupCreation(orElse(in.GroupCreation, account.DefaultGroupCreation)).
			SetCreatedAt(d.at).Save(ctx)
		if store.UniqueViolation(err, "accounts_slug_key") {
			return refusal.Conflict(refusal.NameTaken, "Another account has the slug %q. Choose another one.", in.Slug)
		}
		if err != nil {
			return fmt.Errorf("directory: creating an account: %w", err)
		}
		created, err = s.furnish(ctx, d, owner)
		return err
	})
	if err != nil {
		return nil, err
	}
	return created, nil
}

const maxSlug = 40

// isSlug says whether the text is a word that can stand in an address.
func isSlug(text string) bool {
	for _, part := range strings.Split(text, "-") {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return false
		}
	}
	return len(text) <= maxSlug
}

func (in CreateAccount) check() (owner identityOf, err error) {
	if _, err := checkName("name", in.Name); err != nil {
		return owner, err
	}
	if !isSlug(in.Slug) {
		return owner, refusal.BadInput("slug", "%q is not a slug. Give 1 to %d small letters, digits and single hyphens between them.", in.Slug, maxSlug)
	}
	if in.Plan != "" && account.PlanValidator(in.Plan) != nil {
		return owner, refusal.BadInput("plan", "%q is not a plan.", in.Plan)
	}
	if in.GroupCreation != "" && account.GroupCreationValidator(in.GroupCreation) != nil {
		return owner, refusal.BadInput("groupCreation", "%q is not a way of creating groups.", in.GroupCreation)
	}
	if owner.name, err = checkName("ownerName", in.OwnerName); err != nil {
		return owner, err
	}
	owner.email, err = checkEmail("ownerEmail", in.OwnerEmail)
	return owner, err
}

// furnish gives a new account what every account has.
func (s *Service) furnish(ctx context.Context, d *doing, owner identityOf) (*CreatedAccount, error) {
	rootID, err := tree.Create(ctx, d.tx, tree.NewGroup{AccountID: d.account.ID, Name: d.account.Name,
		NameKey: fold.Key(d.account.Name), Now: d.at}, s.MaxDepth)
	if err != nil {
		return nil, err
	}
	ownerRole, err := d.createBuiltInRoles(ctx)
	if err != nil {
		return nil, err
	}
	users, err := s.createUsers(ctx, d, []newUser{{identityOf: owner, homeID: rootID, grants: []newGrant{{role: ownerRole}}}}, "")
	if err != nil {
		return nil, err
	}
	invited := users[0]
	account, err := d.saveAccount(ctx, d.tx.Account.UpdateOneID(d.account.ID).SetPrimaryOwnerID(invited.User.ID),
		audit.Event{Action: "ACCOUNT_CREATED"})
	if err != nil {
		return nil, err
	}
	root, err := d.anyGroup(ctx, rootID)
	return &CreatedAccount{Account: account, Root: root, Owner: invited.User, SetupToken: invited.SetupToken}, err
}

// createBuiltInRoles makes the account's rows of the built-in roles and returns the one of OWNER.
func (d *doing) createBuiltInRoles(ctx context.Context) (owner *ent.Role, err error) {
	for _, r := range authz.BuiltInRoles() {
		made, err := d.tx.Role.Create().SetAccountID(d.account.ID).SetKey(r.Key).SetName(r.Name).SetNameKey(fold.Key(r.Name)).
			SetDescription(r.Description).SetCreatedAt(d.at).Save(ctx)
		if err != nil {
			return nil, fmt.Errorf("directory: creating the role %s: %w", r.Key, err)
		}
		if r.Key == authz.RoleOwner {
			owner = made
		}
	}
	return owner, nil
}

// SetAccount is the input of Service.SetAccount; what is nil stays.
type SetAccount struct {
	Slug          string
	Plan          *account.Plan
	GroupCreation *account.GroupCreation
}

// SetAccount changes what the platform decides about an account. It is for the platform operator.
func (s *Service) SetAccount(ctx context.Context, in SetAccount) (*ent.Account, error) {
	a, err := s.DB.Read.Account.Query().Where(account.Slug(in.Slug)).Only(authz.Trusted(ctx))
	if err != nil {
		return nil, found(err, "account")
	}
	switch {
	case in.Plan == nil && in.GroupCreation == nil:
		return nil, nothingToChange()
	case in.Plan != nil && account.PlanValidator(*in.Plan) != nil:
		return nil, refusal.BadInput("plan", "%q is not a plan.", *in.Plan)
	case in.GroupCreation != nil && account.GroupCreationValidator(*in.GroupCreation) != nil:
		return nil, refusal.BadInput("groupCreation", "%q is not a way of creating groups.", *in.GroupCreation)
	}
	var changed *ent.Account
	err = s.operate(ctx, a.ID, func(ctx context.Context, d *doing) error {
		update := d.tx.Account.UpdateOneID(a.ID).SetNillablePlan(in.Plan).SetNillableGroupCreation(in.GroupCreation)
		changed, err = d.saveAccount(ctx, update, audit.Event{Action: "ACCOUNT_SET"})
		return err
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}
