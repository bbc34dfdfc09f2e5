package tree

import (
	"fmt"
	"strings"
)

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

// withPairs adds "pairs": every group with every group at or below it, and whether no wall stands between them.
func withPairs() string {
	return withTree() + `,
	pairs(above, below, open) AS (
		SELECT id, id, 1 FROM tree
		UNION ALL
		SELECT p.above, g.id, CASE WHEN g.visibility = 'RESTRICTED' THEN 0 ELSE p.open END
		FROM pairs AS p CROSS JOIN groups AS g WHERE g.parent_id = p.below AND g.account_id = $1)`
}

// withScopes adds "due", the scope rows that there should be, and "stored", those that there are: all that name a
// group or a contact of the account, or nothing that exists.
func withScopes() string {
	return withPairs() + `,
	due AS (
		SELECT p.above AS scope_id, c.box, c.sort_key, c.id AS contact_id
		FROM pairs AS p JOIN contacts AS c ON c.group_id = p.below WHERE p.open = 1 AND c.account_id = $1
		UNION ALL
		SELECT -c.account_id, c.box, c.sort_key, c.id FROM contacts AS c WHERE c.account_id = $1),
	stored AS (
		SELECT s.scope_id, s.box, s.sort_key, s.contact_id FROM scopes AS s
		WHERE s.scope_id = -CAST($1 AS BIGINT)
			OR s.scope_id IN (SELECT id FROM groups WHERE account_id = $1)
			OR s.contact_id IN (SELECT id FROM contacts WHERE account_id = $1)
			OR NOT EXISTS (SELECT 1 FROM contacts AS c WHERE c.id = s.contact_id)
				AND NOT EXISTS (SELECT 1 FROM groups AS g WHERE g.id = s.scope_id)
				AND NOT EXISTS (SELECT 1 FROM accounts AS a WHERE a.id = -s.scope_id))`
}

// excused are the scope rows of branches that are being carried: those that may still be missing from lists that they
// enter, or still stand in lists that they leave.
func excused(entering bool) string {
	condition := "NOT d.entering"
	if entering {
		condition = "d.entering"
	}
	return ` EXCEPT SELECT d.scope_id, c.box, c.sort_key, c.id FROM detours AS d
		JOIN tree AS top ON top.id = d.group_id
		JOIN tree AS t ON substr(t.path, 1, length(top.path)) = top.path
		JOIN contacts AS c ON c.group_id = t.id
		WHERE d.account_id = $1 AND ` + condition
}

const (
	missingScopes = " SELECT scope_id, box, sort_key, contact_id FROM due EXCEPT SELECT scope_id, box, sort_key, contact_id FROM stored"
	surplusScopes = " SELECT scope_id, box, sort_key, contact_id FROM stored EXCEPT SELECT scope_id, box, sort_key, contact_id FROM due"
)

// withTotals adds "total", the counters that there should be.
func withTotals() string {
	return withPairs() + `,
	total AS (
		SELECT p.above AS group_id,
			SUM(CASE WHEN g.parent_id = p.above THEN 1 ELSE 0 END) AS children,
			COUNT(*) - 1 AS descendants,
			SUM(CASE WHEN p.below <> p.above AND g.visibility = 'RESTRICTED' THEN 1 ELSE 0 END) AS restricted,
			SUM(COALESCE(u.users, 0)) AS users,
			SUM(COALESCE(k.contacts, 0)) AS contacts,
			SUM(COALESCE(k.open, 0)) AS open,
			SUM(COALESCE(k.waiting, 0)) AS waiting,
			SUM(COALESCE(k.closed, 0)) AS closed
		FROM pairs AS p
		JOIN groups AS g ON g.id = p.below
		LEFT JOIN (
			SELECT home_group_id, COUNT(*) AS users FROM users
			WHERE account_id = $1 AND status <> 'DELETED' GROUP BY home_group_id
		) AS u ON u.home_group_id = p.below
		LEFT JOIN (
			SELECT group_id, COUNT(*) AS contacts,
				SUM(CASE WHEN box / 2 = 1 THEN 1 ELSE 0 END) AS open,
				SUM(CASE WHEN box % 2 = 0 THEN 1 ELSE 0 END) AS waiting,
				SUM(CASE WHEN box / 2 = 2 THEN 1 ELSE 0 END) AS closed
			FROM contacts WHERE account_id = $1 GROUP BY group_id
		) AS k ON k.group_id = p.below
		GROUP BY p.above)`
}

// countersDiffer says that a counters row n is not as the total t.
func countersDiffer() string {
	terms := make([]string, len(counterColumns))
	for i, name := range counterColumns {
		terms[i] = "n." + name + " <> t." + name
	}
	return "(" + strings.Join(terms, " OR ") + ")"
}

// placesDiffer says that a group g is not where the tree t has it.
const placesDiffer = "(g.path <> t.path OR g.depth <> t.depth OR g.wall <> t.wall)"

// trueBox is the box in which a contact c should be.
const trueBox = `(CASE
	WHEN EXISTS (SELECT 1 FROM conversations AS v WHERE v.contact_id = c.id AND v.closed_at IS NULL) THEN 2
	WHEN EXISTS (SELECT 1 FROM conversations AS v WHERE v.contact_id = c.id) THEN 4
	ELSE 0 END + CASE WHEN c.assigned_user_id IS NULL THEN 0 ELSE 1 END)`
