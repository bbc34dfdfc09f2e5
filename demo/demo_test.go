package demo_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	"canopy/demo"
	"canopy/desk"
	"canopy/directory"
	"canopy/ent/generated/account"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/group"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/session"
	"canopy/ent/generated/user"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"
)

// TestTheDemo makes the database once, looks at it from all sides, opens it again, and makes it anew.
func TestTheDemo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "demo.db")
	db := open(t, demo.Options{File: file}, true)
	original := dump(t, db)
	for name, test := range map[string]func(*testing.T, *store.DB){
		"is as large as promised":                   hasWhatIsPromised,
		"has every role and every kind of grant":    hasAllKindsOfPeople,
		"has contacts of every kind":                hasAllKindsOfContacts,
		"has settings of every kind":                hasAllKindsOfSettings,
		"is whole":                                  isWhole,
		"lies in the past":                          liesInThePast,
		"names nobody real":                         namesNobodyReal,
		"lets everybody log in":                     letsEverybodyLogIn,
		"shows different people different contacts": showsWhatTheRolesMean,
	} {
		t.Run(name, func(t *testing.T) { test(t, db) })
	}
	used := dump(t, db)
	shut(t, db)

	db = open(t, demo.Options{File: file}, false)
	t.Run("is there again the next time", func(t *testing.T) { areTheSame(t, used, dump(t, db)) })
	shut(t, db)

	db = open(t, demo.Options{File: file, Reset: true}, true)
	t.Run("is the same when it is made anew", func(t *testing.T) { areTheSame(t, original, dump(t, db)) })
	shut(t, db)
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("there is more than the database: %v %v", entries, err)
	}
}

func open(t *testing.T, o demo.Options, wantMade bool) *store.DB {
	t.Helper()
	announced := false
	o.Making = func() { announced = true }
	db, made, err := demo.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if made != wantMade || announced != wantMade {
		t.Errorf("it was made: %t, announced: %t", made, announced)
	}
	return db
}

func shut(t *testing.T, db *store.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func trusted(t *testing.T) context.Context { return authz.Trusted(t.Context()) }

func number(t *testing.T, db *store.DB, query string, args ...any) int {
	t.Helper()
	rows, err := db.Read.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var n int
	if rows.Next() {
		err = rows.Scan(&n)
	}
	if err := errors.Join(err, rows.Err()); err != nil {
		t.Fatal(err)
	}
	return n
}

func hasWhatIsPromised(t *testing.T, db *store.DB) {
	for what, want := range map[string]struct {
		query string
		n     int
	}{
		"groups":            {"SELECT count(*) FROM groups WHERE account_id = 1", 60},
		"levels":            {"SELECT 1 + max(depth) FROM groups WHERE account_id = 1", 5},
		"users":             {"SELECT count(*) FROM users WHERE account_id = 1", 200},
		"contacts":          {"SELECT count(*) FROM contacts WHERE account_id = 1", 2000},
		"accounts":          {"SELECT count(*) FROM accounts", 2},
		"RESTRICTED groups": {"SELECT count(*) FROM groups WHERE visibility = 'RESTRICTED'", 1},
		"shared inboxes":    {"SELECT count(*) FROM groups WHERE account_id = 1 AND shared_inbox", 1},
		"groups of Birch":   {"SELECT count(*) FROM groups WHERE account_id = 2", 1},
		"custom roles":      {"SELECT count(*) FROM roles WHERE key IS NULL", 2},
	} {
		if got := number(t, db, want.query); got != want.n {
			t.Errorf("%s: %d, want %d", what, got, want.n)
		}
	}
	a, err := db.Read.Account.Query().Order(account.ByID()).All(trusted(t))
	if err != nil {
		t.Fatal(err)
	}
	if a[0].Slug != "acacia" || a[0].Plan != account.PlanPRO || a[1].Slug != "birch" || a[1].Plan != account.PlanSTARTER {
		t.Errorf("the accounts are %v", a)
	}
}

func hasAllKindsOfPeople(t *testing.T, db *store.DB) {
	for _, role := range authz.BuiltInRoles() {
		n := number(t, db, "SELECT count(*) FROM role_grants g JOIN roles r ON r.id = g.role_id WHERE r.account_id = 1 AND r.key = $1", role.Key)
		if n == 0 {
			t.Errorf("nobody is %s", role.Key)
		}
	}
	now := demo.Today()
	grants := db.Read.RoleGrant.Query
	for what, query := range map[string]int{
		"a grant that is fixed to a group": grants().Where(rolegrant.GroupIDNotNil()).CountX(trusted(t)),
		"a grant that will end":            grants().Where(rolegrant.ValidUntilGT(now)).CountX(trusted(t)),
		"a grant that has ended":           grants().Where(rolegrant.ValidUntilLTE(now)).CountX(trusted(t)),
		"a grant that is to come":          grants().Where(rolegrant.ValidFromGT(now)).CountX(trusted(t)),
		"somebody deactivated":             db.Read.User.Query().Where(user.StatusEQ(user.StatusDEACTIVATED)).CountX(trusted(t)),
		"somebody invited":                 db.Read.User.Query().Where(user.StatusEQ(user.StatusINVITED)).CountX(trusted(t)),
		"somebody paused":                  db.Read.User.Query().Where(user.AccessPausedAtNotNil()).CountX(trusted(t)),
		"a second owner":                   number(t, db, "SELECT count(*) - 1 FROM role_grants g JOIN roles r ON r.id = g.role_id WHERE r.account_id = 1 AND r.key = 'OWNER'"),
		"somebody with two roles":          number(t, db, "SELECT count(*) FROM (SELECT user_id FROM role_grants WHERE revoked_at IS NULL AND valid_until IS NULL GROUP BY user_id HAVING count(*) > 1)"),
	} {
		if query == 0 {
			t.Errorf("there is not %s", what)
		}
	}
	groups := number(t, db, "SELECT count(DISTINCT home_group_id) FROM users u JOIN role_grants g ON g.user_id = u.id JOIN roles r ON r.id = g.role_id WHERE r.key = 'AGENT' AND r.account_id = 1")
	if groups < 40 {
		t.Errorf("agents in %d groups only", groups)
	}
	levels := number(t, db, "SELECT count(DISTINCT h.depth) FROM users u JOIN groups h ON h.id = u.home_group_id JOIN role_grants g ON g.user_id = u.id JOIN roles r ON r.id = g.role_id WHERE r.key = 'DASHBOARD_ADMINISTRATOR' AND r.account_id = 1")
	if levels < 4 {
		t.Errorf("dashboard administrators at %d levels only", levels)
	}
}

func hasAllKindsOfContacts(t *testing.T, db *store.DB) {
	boxes := map[tree.Box]string{
		tree.BoxOf(tree.None, false):  "never spoken to, waiting",
		tree.BoxOf(tree.Open, false):  "waiting",
		tree.BoxOf(tree.Open, true):   "being served",
		tree.BoxOf(tree.Closed, true): "closed",
	}
	for box, what := range boxes {
		if n := number(t, db, "SELECT count(*) FROM contacts WHERE account_id = 1 AND box = $1", int(box)); n < 30 {
			t.Errorf("%d contacts are %s", n, what)
		}
	}
	methods := number(t, db, "SELECT count(DISTINCT method) FROM contact_assignments")
	if methods < 3 {
		t.Errorf("assignments came about in %d ways only", methods)
	}
	if n := number(t, db, "SELECT count(*) FROM contacts c WHERE c.account_id = 1 AND NOT EXISTS (SELECT 1 FROM conversations v WHERE v.contact_id = c.id) AND box > 1"); n != 0 {
		t.Errorf("%d contacts have a box and no conversation", n)
	}
}

func hasAllKindsOfSettings(t *testing.T, db *store.DB) {
	groups, err := db.Read.Group.Query().Where(group.AccountID(1)).All(trusted(t))
	if err != nil {
		t.Fatal(err)
	}
	settings, err := tree.SettingsOf(t.Context(), db.Read, groups)
	if err != nil {
		t.Fatal(err)
	}
	modes, levels := map[group.AssignmentMode]int{}, map[int64]bool{}
	for _, s := range settings {
		modes[s.AssignmentMode.Value]++
		levels[s.Capacity.SetBy] = true
	}
	if len(modes) != 3 {
		t.Errorf("the modes are %v", modes)
	}
	if len(levels) < 4 {
		t.Errorf("capacity is set by %d groups only", len(levels))
	}
}

func isWhole(t *testing.T, db *store.DB) {
	for _, id := range []int64{1, 2} {
		faults, err := tree.Check(t.Context(), db.Read, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range faults {
			t.Error(f)
		}
	}
	if n := number(t, db, "SELECT count(*) FROM audit_events"); n < 5000 {
		t.Errorf("%d audit events only", n)
	}
}

func liesInThePast(t *testing.T, db *store.DB) {
	// Whatever the day on which it is served, time has nothing left to close.
	if n := number(t, db, "SELECT count(*) FROM timers WHERE kind = 'CLOSE_SILENT'"); n != 0 {
		t.Errorf("%d conversations are to be closed", n)
	}
	if !demo.Today().Before(time.Now()) {
		t.Fatal("the demo ends in the future, so nothing in it is in force yet")
	}
	for table, column := range map[string]string{
		"groups": "created_at", "users": "created_at", "contacts": "last_activity_at", "messages": "sent_at",
		"conversations": "opened_at", "contact_assignments": "started_at",
		"audit_events WHERE action <> 'LOGGED_IN'": "at", // other tests log in now
	} {
		if n := number(t, db, "SELECT count(*) FROM (SELECT "+column+" AS moment FROM "+table+") WHERE moment > $1", demo.Today()); n != 0 {
			t.Errorf("%d rows of %s lie after the end", n, table)
		}
	}
}

func namesNobodyReal(t *testing.T, db *store.DB) {
	number, address := regexp.MustCompile(`^\+1\d{3}55501\d\d$`), regexp.MustCompile(`^[a-z.-]+@(acacia|birch|post)\.example$`)
	contacts, err := db.Read.Contact.Query().Order(contact.ByID()).All(trusted(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range contacts {
		if c.Phone == nil && c.Email == nil {
			t.Errorf("%s has no address", c.Name)
		}
		if c.Phone != nil && !number.MatchString(*c.Phone) {
			t.Errorf("%s has the number %s", c.Name, *c.Phone)
		}
		if c.Email != nil && !address.MatchString(*c.Email) {
			t.Errorf("%s has the address %s", c.Name, *c.Email)
		}
	}
	users, err := db.Read.User.Query().All(trusted(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		if !address.MatchString(u.Email) {
			t.Errorf("%s has the address %s", u.Name, u.Email)
		}
	}
}

func services(db *store.DB) (*directory.Service, *desk.Service) {
	service := &desk.Service{DB: db, Now: time.Now}
	return &directory.Service{DB: db, Now: time.Now, Rand: rand.Reader, MaxDepth: 64, Handover: service}, service
}

func logIn(t *testing.T, db *store.DB, l demo.Login) (*authz.Viewer, error) {
	t.Helper()
	people, _ := services(db)
	in, err := people.LogIn(t.Context(), directory.LogIn{Account: l.Account, Email: l.Email, Password: demo.Password, Kind: session.KindTOKEN})
	if err != nil {
		return nil, err
	}
	return people.Authenticate(t.Context(), in.Token)
}

func letsEverybodyLogIn(t *testing.T, db *store.DB) {
	logins := demo.Logins()
	if len(logins) < 15 {
		t.Errorf("%d logins only", len(logins))
	}
	for _, l := range logins {
		_, err := logIn(t, db, l)
		var refused *refusal.Refusal
		if strings.HasPrefix(l.Email, "paused@") {
			if !errors.As(err, &refused) || refused.Reason != refusal.AccessPaused {
				t.Errorf("%s: %v", l.Email, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", l.Email, err)
		}
		if l.Label == "" || l.Description == "" || l.Account == "" {
			t.Errorf("%+v says too little", l)
		}
	}
}

// showsWhatTheRolesMean counts what some people see in their boxes.
func showsWhatTheRolesMean(t *testing.T, db *store.DB) {
	_, service := services(db)
	for login, seen := range map[string]map[desk.Box]bool{
		"agent":         {desk.BoxYou: true, desk.BoxQueue: true, desk.BoxTeammates: true},
		"agent.station": {desk.BoxYou: true, desk.BoxQueue: true, desk.BoxTeammates: false},
		"agent.market":  {desk.BoxYou: true, desk.BoxQueue: true, desk.BoxTeammates: false},
		"agent.private": {desk.BoxYou: true, desk.BoxQueue: true, desk.BoxTeammates: false},
		"supervisor":    {desk.BoxYou: false, desk.BoxQueue: true, desk.BoxTeammates: true},
		"coach":         {desk.BoxYou: false, desk.BoxQueue: false, desk.BoxTeammates: true},
		"billing":       {desk.BoxYou: false, desk.BoxQueue: false, desk.BoxTeammates: false},
	} {
		i := slices.IndexFunc(demo.Logins(), func(l demo.Login) bool { return l.Email == login+"@acacia.example" })
		if i < 0 {
			t.Errorf("%s is not offered", login)
			continue
		}
		v, err := logIn(t, db, demo.Logins()[i])
		if err != nil {
			t.Fatal(err)
		}
		for box, some := range seen {
			n, err := service.InboxCount(authz.NewContext(t.Context(), v), desk.Query{Box: box})
			if err != nil {
				t.Fatal(err)
			}
			if (n > 0) != some {
				t.Errorf("%s sees %d in %s", login, n, box)
			}
		}
	}
}

func areTheSame(t *testing.T, one, two map[string][]string) {
	t.Helper()
	if len(one) != len(two) {
		t.Errorf("%d and %d tables", len(one), len(two))
	}
	for table, rows := range one {
		if len(rows) != len(two[table]) {
			t.Errorf("%s: %d and %d rows", table, len(rows), len(two[table]))
			continue
		}
		for i := range rows {
			if rows[i] != two[table][i] {
				t.Errorf("%s:\n%s\n%s", table, rows[i], two[table][i])
				break
			}
		}
	}
}

// dump returns all rows by table, but for those that remember when migrations were applied.
func dump(t *testing.T, db *store.DB) map[string][]string {
	t.Helper()
	tables := map[string][]string{}
	for _, name := range rowsOf(t, db, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '%migration%'") {
		columns := "*"
		if name == "event_counters" {
			columns = "account_id, last" // and a secret, which no two databases share
		}
		tables[name] = rowsOf(t, db, "SELECT "+columns+" FROM "+name)
		slices.Sort(tables[name])
	}
	return tables
}

func rowsOf(t *testing.T, db *store.DB, query string) []string {
	t.Helper()
	rows, err := db.Read.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		text := make([]string, len(columns))
		for i, v := range values {
			text[i] = v.String
		}
		list = append(list, strings.Join(text, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestADatabaseThatIsNotADemoIsLeftAlone(t *testing.T) {
	folder := t.TempDir()
	real := filepath.Join(folder, "real.db")
	db, err := store.Open(t.Context(), store.Options{URL: real})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Migrate(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
	text, empty := filepath.Join(folder, "diary.txt"), filepath.Join(folder, "empty")
	if err := errors.Join(os.WriteFile(text, []byte("Dear diary"), 0o600), os.WriteFile(empty, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{real, text, empty, folder, filepath.Join(folder, "no", "such", "folder.db"),
		"postgres://canopy:secret@localhost/canopy", "file:" + real, "sqlite:" + real} {
		before := picture(t, folder)
		for _, reset := range []bool{false, true} {
			db, _, err := demo.Open(t.Context(), demo.Options{File: file, Reset: reset})
			if err == nil {
				t.Errorf("%s was opened", file)
				_ = db.Close()
			} else if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error holds a password: %v", err)
			}
		}
		if after := picture(t, folder); after != before {
			t.Errorf("%s: the folder changed\nfrom %s\nto   %s", file, before, after)
		}
	}
}

// picture is what is in a folder.
func picture(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s:%d:%x ", e.Name(), len(content), content[:min(len(content), 8)])
	}
	return b.String()
}
