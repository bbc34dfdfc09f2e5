package main

import (
	"context"
	"fmt"

	"canopy/authz"
)

// asksAtOnce is how often one round of judging asks, so that the clock is no part of what is measured.
const asksAtOnce = 1000

// judging asks loaded viewers with more and more grants, deeper and deeper in the tree, for a permission that none of
// their grants gives at the target: the longest way to an answer. It needs no database. The floor is one bit of a mask,
// for a viewer whose permissions reach everywhere.
func (s measuring) judging(_ context.Context, _ *dataset) (rows []row, err error) {
	for _, depth := range []int{5, 50} {
		for _, grants := range []int{1, 10, 100} {
			v, at := strangers(grants, depth)
			allowed := 0
			found, err := s.watch.compare(
				func() error {
					for range asksAtOnce {
						if v.Can(authz.GroupsView, at) {
							allowed++
						}
					}
					return nil
				},
				func() error {
					mask := v.Grants[0].Pairs[authz.ScopeSubtree]
					for i := range asksAtOnce {
						if mask.Has(authz.Permission(i & 63)) {
							allowed--
						}
					}
					return nil
				})
			if err != nil {
				return nil, err
			}
			rows = append(rows, row{figure: fmt.Sprintf("check, grants that do not reach, depth %d", depth), layer: "authz",
				size: fmt.Sprintf("%d grants", grants), real: nanoseconds(found.real), floor: nanoseconds(found.floor), found: found.ratio()})
		}
	}
	return rows, nil
}

// strangers is a viewer with grants over sibling branches as deep as that, and a target in yet another one: everything
// above the last level of the paths is the same.
func strangers(grants, depth int) (*authz.Viewer, authz.Target) {
	var above string
	for level := range depth - 1 {
		above += fmt.Sprintf("%06d", level)
	}
	place := func(n int) authz.Place {
		return authz.Place{GroupID: int64(n), Path: above + fmt.Sprintf("%06d", n)}
	}
	supervisor, _ := authz.BuiltInRole(authz.RoleDashboardAdministrator)
	v := &authz.Viewer{AccountID: 1, UserID: 1, Home: place(1)}
	for n := range grants {
		v.Grants = append(v.Grants, authz.Grant{Place: place(n + 1), Pairs: supervisor.Pairs})
	}
	return v, authz.AtGroup(place(grants + 1))
}

// nanoseconds spells the time of one of asksAtOnce.
func nanoseconds(d interface{ Nanoseconds() int64 }) string {
	return fmt.Sprintf("%.1f ns", float64(d.Nanoseconds())/asksAtOnce)
}
