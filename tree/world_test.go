package tree_test

import (
	"context"
	"fmt"
	"maps"
	"sort"
	"sync/atomic"
	"time"

	ent "canopy/ent/generated"
	"canopy/internal/fold"
	"canopy/store"
	"canopy/tree"
)

// epoch is the one moment at which everything in these tests is made.
var epoch = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

// maxDepth is low, so that random trees run against it.
const maxDepth = 5

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is one account in a database, with the rows around the tree written by raw SQL as the use-cases would.
type world struct {
	db      *store.DB
	account int64
	root    int64
	server  int64 // the user to whom assigned contacts are assigned
	serial  *atomic.Int64
	again   atomic.Int64 // how often a transaction was run again because it lost against others
}

func (w *world) write(fn func(ctx context.Context, tx *ent.Tx) error) error {
	w.again.Add(-1)
	return w.db.Write(context.Background(), func(ctx context.Context, tx *ent.Tx) error {
		w.again.Add(1)
		return fn(ctx, tx)
	})
}

func (w *world) must(t fataler, fn func(ctx context.Context, tx *ent.Tx) error) {
	t.Helper()
	if err := w.write(fn); err != nil {
		t.Fatalf("%v", err)
	}
}

// newWorld makes an account with its root group and one user there.
func newWorld(t fataler, db *store.DB, serial *atomic.Int64) *world {
	t.Helper()
	w := &world{db: db, serial: serial}
	w.must(t, func(ctx context.Context, tx *ent.Tx) error {
		var err error
		w.account, err = insert(ctx, tx, `INSERT INTO accounts (name, slug, plan, created_at) VALUES ($1, $2, $3, $4) RETURNING id`,
			"Account", fmt.Sprintf("account-%d", serial.Add(1)), "PRO", epoch)
		if err != nil {
			return err
		}
		w.root, err = tree.Create(ctx, tx, w.newGroup(nil, "root", false), maxDepth)
		if err != nil {
			return err
		}
		w.server, err = w.addUser(ctx, tx, w.root)
		return err
	})
	return w
}

func insert(ctx context.Context, tx *ent.Tx, query string, args ...any) (id int64, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&id); err != nil {
			return 0, err
		}
	}
	return id, rows.Err()
}

func (w *world) newGroup(parent *int64, name string, restricted bool) tree.NewGroup {
	return tree.NewGroup{AccountID: w.account, ParentID: parent, Name: name, NameKey: fold.Key(name), Restricted: restricted, Now: epoch}
}

func (w *world) create(t fataler, parent int64, name string, restricted bool) (id int64) {
	t.Helper()
	w.must(t, func(ctx context.Context, tx *ent.Tx) (err error) {
		id, err = tree.Create(ctx, tx, w.newGroup(&parent, name, restricted), maxDepth)
		return err
	})
	return id
}

func (w *world) move(group, parent int64) error {
	return w.write(func(ctx context.Context, tx *ent.Tx) error {
		return moveAtOnce(ctx, tx, w.account, group, parent)
	})
}

func moveAtOnce(ctx context.Context, tx *ent.Tx, account, group, parent int64) error {
	_, err := tree.Move(ctx, tx, tree.Moving{AccountID: account, GroupID: group, ParentID: parent,
		MaxDepth: maxDepth, AtOnce: tree.AtOnce, Now: epoch})
	return err
}

// moveLater is moveAtOnce for a branch that counts as big however small it is: its scope rows are left to be carried.
func moveLater(ctx context.Context, tx *ent.Tx, account, group, parent int64) (moveID int64, err error) {
	return tree.Move(ctx, tx, tree.Moving{AccountID: account, GroupID: group, ParentID: parent, MaxDepth: maxDepth, AtOnce: -1, Now: epoch})
}

// carry carries one batch of a move, of one contact.
func (w *world) carry(t fataler, moveID int64) (more bool) {
	t.Helper()
	w.must(t, func(ctx context.Context, tx *ent.Tx) (err error) {
		more, err = tree.Carry(ctx, tx, moveID, 1, epoch)
		return err
	})
	return more
}

func (w *world) addUser(ctx context.Context, tx *ent.Tx, group int64) (int64, error) {
	if err := tree.LockGroups(ctx, tx, group); err != nil { // the row's foreign key is a lock on the group too
		return 0, err
	}
	mail := fmt.Sprintf("user-%d@example.com", w.serial.Add(1))
	id, err := insert(ctx, tx, `INSERT INTO users (account_id, home_group_id, name, name_key, email, email_key, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`, w.account, group, "User", "user", mail, mail, epoch)
	if err != nil {
		return 0, err
	}
	return id, tree.AddUser(ctx, tx, group)
}

func (w *world) deleteUser(ctx context.Context, tx *ent.Tx, user, home int64) error {
	if _, err := tx.ExecContext(ctx, "UPDATE users SET status = 'DELETED' WHERE id = $1", user); err != nil {
		return err
	}
	return tree.RemoveUser(ctx, tx, home)
}

func (w *world) addContact(ctx context.Context, tx *ent.Tx, p tree.Placement) (int64, error) {
	if err := tree.LockGroups(ctx, tx, p.GroupID); err != nil {
		return 0, err
	}
	id, err := insert(ctx, tx, `INSERT INTO contacts
		(account_id, group_id, arrival_group_id, name, name_key, box, sort_key, last_activity_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
		w.account, p.GroupID, p.GroupID, "Contact", "contact", int(p.Box), p.SortKey, epoch, epoch)
	if err != nil {
		return 0, err
	}
	if err := w.serve(ctx, tx, id, p.Box); err != nil {
		return 0, err
	}
	return id, tree.AddContact(ctx, tx, id)
}

func (w *world) updateContact(ctx context.Context, tx *ent.Tx, id int64, p tree.Placement) error {
	if err := tree.LockContact(ctx, tx, id, p.GroupID); err != nil {
		return err
	}
	if err := w.serve(ctx, tx, id, p.Box); err != nil {
		return err
	}
	return tree.UpdateContact(ctx, tx, id, p)
}

func (w *world) removeContact(ctx context.Context, tx *ent.Tx, id int64) error {
	if err := tree.RemoveContact(ctx, tx, id); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM contacts WHERE id = $1", id)
	return err
}

// serve gives the contact the conversations and the assignment that its box stands for.
func (w *world) serve(ctx context.Context, tx *ent.Tx, id int64, box tree.Box) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM conversations WHERE contact_id = $1", id); err != nil {
		return err
	}
	var closed *time.Time
	if box.State() == tree.Closed {
		closed = &epoch
	}
	if box.State() != tree.None {
		if _, err := tx.ExecContext(ctx, "INSERT INTO conversations (account_id, contact_id, number, opened_at, closed_at) VALUES ($1, $2, $3, $4, $5)",
			w.account, id, w.serial.Add(1), epoch, closed); err != nil {
			return err
		}
	}
	var user *int64
	if box.Assigned() {
		user = &w.server
	}
	_, err := tx.ExecContext(ctx, "UPDATE contacts SET assigned_user_id = $1 WHERE id = $2", user, id)
	return err
}

// stored is all that the database keeps about the structure of an account, one line for each row.
type stored struct {
	groups   map[int64]string // parent, path, depth, wall, visibility
	counters map[int64]tree.Counters
	scopes   []string // scope, box, sort key, contact
	contacts map[int64]string
}

func (w *world) stored(t fataler) stored {
	t.Helper()
	s := stored{groups: map[int64]string{}, contacts: map[int64]string{}}
	var ids []int64
	for _, row := range w.rows(t, "SELECT id, COALESCE(parent_id, 0), path, depth, wall, visibility FROM groups WHERE account_id = $1") {
		id := row[0].(int64)
		ids = append(ids, id)
		s.groups[id] = fmt.Sprint(row[1:]...)
	}
	for _, row := range w.rows(t, "SELECT id, group_id, box, sort_key FROM contacts WHERE account_id = $1") {
		s.contacts[row[0].(int64)] = fmt.Sprint(row[1:]...)
	}
	s.scopes = w.lists(t)
	counters, err := tree.CountersOf(context.Background(), w.db.Read, ids)
	if err != nil {
		t.Fatalf("%v", err)
	}
	s.counters = counters
	return s
}

// lists are the rows of scopes as readers have to take them: a list that a branch is entering is completed by the list
// of the branch's top group, and a list that it is leaving does not have what is in that one.
func (w *world) lists(t fataler) (lines []string) {
	t.Helper()
	lists := map[int64]map[string]bool{}
	for _, row := range w.rows(t, `SELECT scope_id, box, sort_key, contact_id FROM scopes
		WHERE scope_id = -CAST($1 AS BIGINT) OR scope_id IN (SELECT id FROM groups WHERE account_id = $1)
		OR contact_id IN (SELECT id FROM contacts WHERE account_id = $1)`) {
		scope := row[0].(int64)
		if lists[scope] == nil {
			lists[scope] = map[string]bool{}
		}
		lists[scope][fmt.Sprint(row[1:]...)] = true
	}
	kept := map[int64]map[string]bool{}
	for scope, list := range lists {
		kept[scope] = maps.Clone(list)
	}
	for _, row := range w.rows(t, "SELECT scope_id, group_id, entering FROM detours WHERE account_id = $1") {
		scope, top := row[0].(int64), row[1].(int64)
		entering := row[2] == true || row[2] == int64(1)
		if kept[scope] == nil {
			kept[scope] = map[string]bool{}
		}
		for line := range lists[top] {
			if entering {
				kept[scope][line] = true
			} else {
				delete(kept[scope], line)
			}
		}
	}
	for scope, list := range kept {
		for line := range list {
			lines = append(lines, fmt.Sprint(scope, " ", line))
		}
	}
	sort.Strings(lines)
	return lines
}

func (w *world) rows(t fataler, query string) (all [][]any) {
	t.Helper()
	rows, err := w.db.Read.QueryContext(context.Background(), query, w.account)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatalf("%v", err)
	}
	for rows.Next() {
		row, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatalf("%v", err)
		}
		for i := range row {
			if text, ok := row[i].([]byte); ok {
				row[i] = string(text)
			}
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%v", err)
	}
	return all
}

func (w *world) check(t fataler) []tree.Fault {
	t.Helper()
	faults, err := tree.Check(context.Background(), w.db.Read, w.account)
	if err != nil {
		t.Fatalf("checking: %v", err)
	}
	return faults
}

func (w *world) rebuild(t fataler) {
	t.Helper()
	w.must(t, func(ctx context.Context, tx *ent.Tx) error {
		_, err := tree.Rebuild(ctx, tx, w.account)
		return err
	})
}

// mustBeSound fails the test unless Check finds nothing and Rebuild changes nothing.
func (w *world) mustBeSound(t fataler) {
	t.Helper()
	if faults := w.check(t); len(faults) > 0 {
		t.Fatalf("Check finds %d faults, the first: %v", len(faults), faults[0])
	}
	before := w.stored(t)
	w.rebuild(t)
	if after := w.stored(t); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Fatalf("Rebuild changes\n%v\nto\n%v", before, after)
	}
}

// names makes names that differ.
func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("group %d", i)
	}
	return list
}
