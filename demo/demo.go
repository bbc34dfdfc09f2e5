// Package demo fills a database of its own with two fictional companies, so that somebody who has just cloned Canopy
// has a tree, people and conversations to try things on.
//
// The data comes about through the use-cases of directory and desk, as if people had worked with Canopy for some
// months, so audit trail, counters and scope rows are real. It is the same each time, ids included: chance has a fixed
// seed, and the clock runs from a fixed day to another fixed day, both in the past. Nothing in it is real: the names
// are made up, e-mail addresses end in .example and telephone numbers lie in the range that is kept for fiction.
package demo

import (
	"time"
)

// Password is the password of every demo person.
const Password = "canopy-demo-2027"

// passwordHash is an argon2id hash of Password with a fixed salt: hashing once for each person would take minutes.
const passwordHash = "$argon2id$v=19$m=47104,t=1,p=1$Y2Fub3B5LWRlbW8tc2FsdA$nagAiDvhr0TCvrwy+jl87rPOXV2Z2VltycmT6k39YbY"

// The accounts.
const (
	acacia = "acacia"
	birch  = "birch"
)

// The history of the demo. Opening is when the companies come to Canopy, launch when their first contact writes, and
// Today the last moment of it all.
func opening() time.Time { return time.Date(2026, time.February, 2, 8, 0, 0, 0, time.UTC) }
func launch() time.Time  { return time.Date(2026, time.June, 1, 7, 0, 0, 0, time.UTC) }

// Today is the moment at which the history of the demo ends: everything in it happened before.
func Today() time.Time { return time.Date(2026, time.October, 1, 8, 0, 0, 0, time.UTC) }

// Login is a demo person to log in as: Label and Description are for the reader, Account and Email for the login.
type Login struct {
	Label, Description string
	Account, Email     string
}

// Logins returns the people who show best what the roles mean, in an order for readers.
func Logins() []Login {
	var list []Login
	for _, company := range []company{acaciaOutfitters(), birchRepairs()} {
		for _, p := range company.cast {
			if p.label != "" {
				list = append(list, Login{p.label, p.about, company.slug, company.address(p.login)})
			}
		}
	}
	return list
}
