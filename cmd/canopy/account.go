package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"canopy/directory"
	"canopy/ent/generated/account"
)

type accountCommand struct {
	Create accountCreateCommand `cmd:"" help:"Create an account with its root group and its first owner."`
	Set    accountSetCommand    `cmd:"" help:"Change what an account has booked, and how groups come to be in it."`
}

type accountCreateCommand struct {
	databaseFlags
	Name               string `required:"" help:"Name of the company, and of its root group."`
	Slug               string `required:"" help:"Word that names the account at login: lower-case letters, digits and hyphens."`
	Plan               string `default:"PRO" enum:"STARTER,PRO" help:"STARTER has one group, PRO any number."`
	OwnerName          string `required:"" help:"Name of the first owner."`
	OwnerEmail         string `required:"" help:"E-mail address of the first owner."`
	OwnerPasswordStdin bool   `help:"Read the owner's password from the standard input, 12 to 200 characters, instead of printing a one-time token with which they set one."`
}

// Run creates the account and prints what its owner needs to log in.
func (c *accountCreateCommand) Run(ctx context.Context, std streams) error {
	password := ""
	if c.OwnerPasswordStdin {
		var err error
		if password, err = readPassword(std.in); err != nil {
			return err
		}
	}
	return c.operate(ctx, func(d *directory.Service) error {
		made, err := d.CreateAccount(ctx, directory.CreateAccount{
			Name: c.Name, Slug: c.Slug, Plan: account.Plan(c.Plan), OwnerName: c.OwnerName, OwnerEmail: c.OwnerEmail,
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(std.out, "Account %s was created. %s <%s> owns it.\n", made.Account.Slug, made.Owner.Name, made.Owner.Email)
		if password != "" {
			if err := d.SetPassword(ctx, directory.SetPassword{Token: made.SetupToken, Password: password}); err == nil {
				return nil
			}
			fmt.Fprintln(std.err, "canopy: the password could not be set; the owner can set one with the token instead")
		}
		fmt.Fprintf(std.out, "One-time token for the mutation setPassword, good for 7 days: %s\n", made.SetupToken)
		return nil
	})
}

// readPassword reads one line. Its length is checked here already, because an account with an owner without a password
// would be there otherwise.
func readPassword(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("the password cannot be read: %w", err)
	}
	password := strings.TrimRight(line, "\r\n")
	if n := len([]rune(password)); n < directory.MinPassword || n > directory.MaxPassword {
		return "", fmt.Errorf("the password on the standard input has %d characters; it needs %d to %d", n, directory.MinPassword, directory.MaxPassword)
	}
	return password, nil
}

type accountSetCommand struct {
	databaseFlags
	Slug          string  `arg:"" help:"Word that names the account."`
	Plan          *string `enum:"STARTER,PRO" help:"STARTER has one group, PRO any number. A downgrade deletes nothing."`
	GroupCreation *string `enum:"SELF_SERVICE,ON_REQUEST" help:"SELF_SERVICE creates groups at once, ON_REQUEST asks an operator."`
}

// Run changes what was given.
func (c *accountSetCommand) Run(ctx context.Context, std streams) error {
	if c.Plan == nil && c.GroupCreation == nil {
		return errors.New("nothing to change: give --plan or --group-creation")
	}
	return c.operate(ctx, func(d *directory.Service) error {
		in := directory.SetAccount{Slug: c.Slug}
		if c.Plan != nil {
			in.Plan = new(account.Plan(*c.Plan))
		}
		if c.GroupCreation != nil {
			in.GroupCreation = new(account.GroupCreation(*c.GroupCreation))
		}
		a, err := d.SetAccount(ctx, in)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.out, "Account %s: plan %s, group creation %s\n", a.Slug, a.Plan, a.GroupCreation)
		return nil
	})
}
