package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"canopy/directory"
	"canopy/relay"
)

type requestCommand struct {
	List    requestListCommand    `cmd:"" help:"List the requests that wait, oldest first."`
	Approve requestApproveCommand `cmd:"" help:"Make the group that is asked for."`
	Refuse  requestRefuseCommand  `cmd:"" help:"Refuse to make the group."`
}

type requestListCommand struct{ databaseFlags }

// Run lists the requests of all accounts.
func (c *requestListCommand) Run(ctx context.Context, std streams) error {
	return c.operate(ctx, func(d *directory.Service) error {
		list, err := d.PendingGroupRequests(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(std.out, 0, 0, 3, ' ', 0)
		fmt.Fprintln(table, "ID\tACCOUNT\tNAME\tBELOW\tASKED\tBY\tREASON")
		for _, r := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.GlobalID(), r.Edges.Account.Slug, printable(r.Name),
				printable(r.Edges.Parent.Name), r.CreatedAt.UTC().Format(time.RFC3339), r.Edges.RequestedBy.Email, printable(r.Reason))
		}
		return table.Flush()
	})
}

// printable replaces what could move the cursor or end the line: users wrote it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// decision is what deciding a request needs.
type decision struct {
	ID   string `arg:"" help:"Id of the request, from canopy request list."`
	Note string `help:"What to tell who asked."`
}

func (d decision) input() directory.DecideGroupRequest {
	return directory.DecideGroupRequest{RequestID: relay.ParseID(d.ID).As(relay.KindGroupRequest), Note: d.Note}
}

type requestApproveCommand struct {
	databaseFlags
	decision
}

// Run approves the request.
func (c *requestApproveCommand) Run(ctx context.Context, std streams) error {
	return c.operate(ctx, func(d *directory.Service) error {
		g, err := d.ApproveGroupRequest(ctx, c.input())
		if err != nil {
			return err
		}
		fmt.Fprintf(std.out, "Group %s was made.\n", g.Name)
		return nil
	})
}

type requestRefuseCommand struct {
	databaseFlags
	decision
}

// Run refuses the request.
func (c *requestRefuseCommand) Run(ctx context.Context, std streams) error {
	return c.operate(ctx, func(d *directory.Service) error {
		r, err := d.RefuseGroupRequest(ctx, c.input())
		if err != nil {
			return err
		}
		fmt.Fprintf(std.out, "The request for %s was refused.\n", r.Name)
		return nil
	})
}
