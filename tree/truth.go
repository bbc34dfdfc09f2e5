package tree

import "fmt"

// What the structure should be, as SQL, from the truth alone: parents, visibility, groups of contacts, homes of users,
// conversations. $1 is the account.

// withTree begins a statement on "tree", the account's groups with the path, depth and wall that they should have.
// Groups in a circle, which cannot be reached from the root, are not in it.
func withTree() string {
	return fmt.Sprintf(`WITH RECURSIVE tree(id, path, depth, wall) AS (
		SELECT id, %[1]s, 0, CASE WHEN visibility = 'RESTRICTED' THEN %[1]s ELSE '' END
		FROM groups WHERE account_id = $1 AND parent_id IS NULL
		UNION ALL
		SELECT g.id, t.path || %[2]s, t.depth + 1,
			CASE WHEN g.visibility = 'RESTRICTED' THEN t.path || %[2]s ELSE t.wall END
		FROM tree AS t CROSS JOIN groups AS g WHERE g.parent_id = t.id AND g.account_id = $1)`, label("id"), label("g.id"))
}

// withLevels begins a statement on "levels", as many numbers as a path can have labels.
const withLevels = `WITH RECURSIVE levels(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM levels WHERE n <= 64)`

// missingScopes and surplusScopes find the scope rows that there should be and are not, and those that there are and
// should not be, among the scopes of the account's groups and of the account itself. They take the places of the groups
// and the boxes of the contacts as they are stored, so those have to be right already: then the groups above one are in
// its path, and nothing has to be sorted or kept, whatever the size of the account.
const (
	missingScopes = ` SELECT a.id AS scope_id, c.box, c.sort_key, c.id AS contact_id
		FROM groups AS g CROSS JOIN contacts AS c CROSS JOIN levels AS l CROSS JOIN groups AS a
		WHERE g.account_id = $1 AND c.group_id = g.id AND l.n <= g.depth + 1 AND 6 * l.n >= length(g.wall)
		AND a.account_id = $1 AND a.path = substr(g.path, 1, 6 * l.n) AND NOT EXISTS (
			SELECT 1 FROM scopes AS s
			WHERE s.scope_id = a.id AND s.box = c.box AND s.sort_key = c.sort_key AND s.contact_id = c.id)
		UNION ALL
		SELECT -c.account_id, c.box, c.sort_key, c.id FROM contacts AS c
		WHERE c.account_id = $1 AND NOT EXISTS (
			SELECT 1 FROM scopes AS s
			WHERE s.scope_id = -c.account_id AND s.box = c.box AND s.sort_key = c.sort_key AND s.contact_id = c.id)`
	surplusScopes = ` SELECT s.scope_id, s.box, s.sort_key, s.contact_id
		FROM groups AS a CROSS JOIN scopes AS s
		LEFT JOIN contacts AS c ON c.id = s.contact_id
		LEFT JOIN groups AS g ON g.id = c.group_id
		WHERE a.account_id = $1 AND s.scope_id = a.id AND NOT COALESCE(c.box = s.box AND c.sort_key = s.sort_key
			AND g.account_id = $1 AND substr(g.path, 1, length(a.path)) = a.path AND length(g.wall) <= length(a.path), FALSE)
		UNION ALL
		SELECT s.scope_id, s.box, s.sort_key, s.contact_id
		FROM scopes AS s LEFT JOIN contacts AS c ON c.id = s.contact_id
		WHERE s.scope_id = -CAST($1 AS BIGINT)
		AND NOT COALESCE(c.box = s.box AND c.sort_key = s.sort_key AND c.account_id = $1, FALSE)`
)

// excused are the scope rows of branches that are being carried: those that may still be missing from lists that they
// enter, or still stand in lists that they leave.
func excused(entering bool) string {
	condition := "NOT d.entering"
	if entering {
		condition = "d.entering"
	}
	return ` EXCEPT SELECT d.scope_id, c.box, c.sort_key, c.id FROM detours AS d
		CROSS JOIN groups AS top CROSS JOIN groups AS g CROSS JOIN contacts AS c
		WHERE d.account_id = $1 AND top.id = d.group_id AND g.account_id = $1 AND g.path >= top.path AND g.path < top.path || '` + last + `'
		AND c.group_id = g.id AND ` + condition
}

// strayScopes finds the scope rows of groups and accounts that do not exist.
const strayScopes = ` SELECT s.scope_id, s.box, s.sort_key, s.contact_id FROM scopes AS s
	WHERE NOT EXISTS (SELECT 1 FROM groups AS g WHERE g.id = s.scope_id)
	AND NOT EXISTS (SELECT 1 FROM accounts AS a WHERE a.id = -s.scope_id)`

// placesDiffer says that a group g is not where the tree t has it.
const placesDiffer = "(g.path <> t.path OR g.depth <> t.depth OR g.wall <> t.wall)"

// trueBox is the box in which a contact c should be.
const trueBox = `(CASE
	WHEN EXISTS (SELECT 1 FROM conversations AS v WHERE v.contact_id = c.id AND v.closed_at IS NULL) THEN 2
	WHEN EXISTS (SELECT 1 FROM conversations AS v WHERE v.contact_id = c.id) THEN 4
	ELSE 0 END + CASE WHEN c.assigned_user_id IS NULL THEN 0 ELSE 1 END)`
