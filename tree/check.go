package tree

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// FaultKind is what is wrong.
type FaultKind string

// The kinds of faults. Rebuild mends all but Unreachable and TooDeep, Sweep mends ScopeStray.
const (
	Unreachable  FaultKind = "unreachable"   // the group's parents lead in a circle: the truth itself is damaged
	TooDeep      FaultKind = "too deep"      // its parents are more than a path has room for: the truth itself is damaged
	WrongPlace   FaultKind = "wrong place"   // path, depth or wall of a group
	WrongBox     FaultKind = "wrong box"     // of a contact, by its conversations and by who serves it
	ScopeMissing FaultKind = "scope missing" // a contact is not in a list where it should be
	ScopeSurplus FaultKind = "scope surplus" // a list shows what it should not, or something that is gone
	ScopeStray   FaultKind = "scope stray"   // a list of a group or an account that is gone
	WrongCount   FaultKind = "wrong count"   // counters of a group
)

// Fault is one place where the structure is not what the truth says.
type Fault struct {
	Kind      FaultKind
	GroupID   int64 // 0 when the fault is not at a group
	ContactID int64 // 0 when the fault is not at a contact
	Detail    string
}

// String describes the fault in a line.
func (f Fault) String() string {
	text := string(f.Kind)
	if f.GroupID != 0 {
		text += fmt.Sprintf(", group %d", f.GroupID)
	}
	if f.ContactID != 0 {
		text += fmt.Sprintf(", contact %d", f.ContactID)
	}
	return text + ": " + f.Detail
}

// MaxFaults is how many faults of a kind Check returns at most.
const MaxFaults = 1000

// Check compares what is stored about the account's tree with what follows from the truth, and returns the faults. It
// changes nothing and can run beside anything else. It reads the whole account, and keeps little of it in memory. Each
// step is judged by what the steps before have found right: where groups are, then boxes, then lists and counters. After a step that finds faults nothing more can be said, and only those are returned.
func Check(ctx context.Context, c Conn, accountID int64) ([]Fault, error) {
	type find func(context.Context, Conn, int64) ([]Fault, error)
	for _, step := range [][]find{{wrongPlaces}, {wrongBoxes}, {missing, surplus, wrongCounts}} {
		var faults []Fault
		for _, find := range step {
			found, err := find(ctx, c, accountID)
			if err != nil {
				return nil, fmt.Errorf("checking account %d: %w", accountID, err)
			}
			faults = append(faults, found...)
		}
		if len(faults) > 0 {
			return faults, nil
		}
	}
	return nil, nil
}

// CheckStray finds what is listed for groups and accounts that do not exist, in the whole database.
func CheckStray(ctx context.Context, c Conn) ([]Fault, error) {
	faults, err := scopeFaults(ctx, c, ScopeStray, strayScopes+" ORDER BY scope_id, contact_id LIMIT $1", MaxFaults)
	if err != nil {
		return nil, fmt.Errorf("looking for stray scope rows: %w", err)
	}
	return faults, nil
}

// wrongPlaces walks the tree from its root and returns the groups that are not where that leads; when there are groups
// where it does not lead at all, or too far, only those.
func wrongPlaces(ctx context.Context, c Conn, accountID int64) (faults []Fault, err error) {
	err = collect(ctx, c, func(rows *sql.Rows) error {
		var id int64
		var is place
		var should struct {
			path, wall sql.NullString
			depth      sql.NullInt64
		}
		if err := rows.Scan(&id, &is.path, &is.depth, &is.wall, &should.path, &should.depth, &should.wall); err != nil {
			return err
		}
		f := misplaced(is, place{should.path.String, should.wall.String, should.depth.Int64}, should.path.Valid)
		f.GroupID = id
		if len(faults) == 0 || f.Kind != WrongPlace || faults[0].Kind == WrongPlace {
			faults = append(faults, f)
		}
		return nil
	}, withTree()+` SELECT g.id, g.path, g.depth, g.wall, t.path, t.depth, t.wall
		FROM groups AS g LEFT JOIN tree AS t ON t.id = g.id
		WHERE g.account_id = $1 AND (t.id IS NULL OR `+placesDiffer+`)
		ORDER BY CASE WHEN t.id IS NULL THEN 0 WHEN t.depth > $2 THEN 1 ELSE 2 END, g.id LIMIT $3`, accountID, deepestPlace, MaxFaults)
	return faults, err
}

// deepestPlace is the greatest depth that the constraint group_depth admits.
const deepestPlace = 64

type place struct {
	path, wall string
	depth      int64
}

func misplaced(is, should place, reached bool) Fault {
	switch {
	case !reached:
		return Fault{Kind: Unreachable, Detail: "its parents do not lead to the root"}
	case should.depth > deepestPlace:
		return Fault{Kind: TooDeep, Detail: fmt.Sprintf("its parents put it at depth %d; the greatest is %d", should.depth, deepestPlace)}
	}
	return Fault{Kind: WrongPlace, Detail: fmt.Sprintf("path %q, depth %d, wall %q; should be %q, %d, %q",
		is.path, is.depth, is.wall, should.path, should.depth, should.wall)}
}

func wrongBoxes(ctx context.Context, c Conn, accountID int64) (faults []Fault, err error) {
	err = collect(ctx, c, func(rows *sql.Rows) error {
		f := Fault{Kind: WrongBox}
		var box, trueBox int
		err := rows.Scan(&f.GroupID, &f.ContactID, &box, &trueBox)
		f.Detail = fmt.Sprintf("box %d, should be %d", box, trueBox)
		faults = append(faults, f)
		return err
	}, "SELECT c.group_id, c.id, c.box, "+trueBox+" FROM contacts AS c WHERE c.account_id = $1 AND c.box <> "+trueBox+
		" ORDER BY c.id LIMIT $2", accountID, MaxFaults)
	return faults, err
}

func missing(ctx context.Context, c Conn, accountID int64) ([]Fault, error) {
	return scopeFaults(ctx, c, ScopeMissing, withLevels+missingScopes+excused(true)+" ORDER BY scope_id, contact_id LIMIT $2", accountID, MaxFaults)
}

func surplus(ctx context.Context, c Conn, accountID int64) ([]Fault, error) {
	return scopeFaults(ctx, c, ScopeSurplus, surplusScopes+excused(false)+" ORDER BY scope_id, contact_id LIMIT $2", accountID, MaxFaults)
}

func scopeFaults(ctx context.Context, c Conn, kind FaultKind, query string, args ...any) (faults []Fault, err error) {
	err = collect(ctx, c, func(rows *sql.Rows) error {
		f := Fault{Kind: kind}
		var scope, sortKey int64
		var box int
		err := rows.Scan(&scope, &box, &sortKey, &f.ContactID)
		f.GroupID = max(scope, 0)
		f.Detail = scopeDetail(kind, scope, box, sortKey)
		faults = append(faults, f)
		return err
	}, query, args...)
	return faults, err
}

func scopeDetail(kind FaultKind, scope int64, box int, sortKey int64) string {
	list := fmt.Sprintf("group %d", scope)
	if scope < 0 {
		list = fmt.Sprintf("account %d", -scope)
	}
	is, should := "is", "should not be"
	if kind == ScopeMissing {
		is, should = "is not", "should be"
	}
	return fmt.Sprintf("%s in the list of %s, %s (box %d, sort key %d)", is, list, should, box, sortKey)
}

func wrongCounts(ctx context.Context, c Conn, accountID int64) (faults []Fault, err error) {
	err = eachMiscount(ctx, c, accountID, func(m miscount) {
		if len(faults) < MaxFaults {
			faults = append(faults, Fault{Kind: WrongCount, GroupID: m.groupID, Detail: countDetail(m.stored, m.total)})
		}
	})
	return faults, err
}

func countDetail(stored []sql.NullInt64, total Counters) string {
	if !stored[0].Valid {
		return "has no counters"
	}
	var wrong []string
	for i, field := range total.fields() {
		if stored[i].Int64 != *field {
			wrong = append(wrong, fmt.Sprintf("%s is %d, should be %d", counterColumns[i], stored[i].Int64, *field))
		}
	}
	return strings.Join(wrong, "; ")
}
