package doctor

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"canopy/authz"
	"canopy/internal/fold"
	"canopy/relay"
	"canopy/store"
)

// keyed are the columns that names and addresses are found by.
var keyed = []struct {
	of               relay.Kind
	table, text, key string
}{
	{relay.KindGroup, "groups", "name", "name_key"},
	{relay.KindUser, "users", "name", "name_key"},
	{relay.KindUser, "users", "email", "email_key"},
	{relay.KindContact, "contacts", "name", "name_key"},
	{relay.KindRole, "roles", "name", "name_key"},
	{relay.KindTag, "tags", "name", "name_key"},
}

// maxKey is how many characters of a key are kept.
const maxKey = 400

// keys compares names and addresses with what they are found by.
func (e *examination) keys(ctx context.Context, accountID int64) error {
	for _, k := range keyed {
		found := 0
		query := fmt.Sprintf("SELECT id, %s, %s FROM %s WHERE account_id = $1", k.text, k.key, k.table)
		err := store.EachRow(ctx, e.c, query, []any{accountID}, func(rows *sql.Rows) error {
			var id int64
			var text, key string
			if err := rows.Scan(&id, &text, &key); err != nil {
				return err
			}
			if should := keyOf(text); key != should && found < MaxFaults {
				found++
				e.report(Fault{Kind: WrongKey, Account: e.slugs[accountID], Of: k.of, Number: id,
					Detail: fmt.Sprintf("%s is %q, should be %q", k.key, key, should)})
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("reading the %s of account %d: %w", k.table, accountID, err)
		}
	}
	return nil
}

func keyOf(text string) string {
	key := []rune(fold.Key(text))
	return string(key[:min(len(key), maxKey)])
}

// owners looks for those who count as owners of the account: active users who hold OWNER now and without an end. The
// primary owner of an account counts also until they set their first password.
func (e *examination) owners(ctx context.Context, accountID int64) error {
	var primary sql.NullInt64
	owners, primaryOwns := 0, false
	query := `SELECT DISTINCT a.primary_owner_id, o.id FROM accounts AS a LEFT JOIN (
			SELECT u.id, u.account_id, u.status FROM role_grants AS n
			JOIN roles AS r ON r.id = n.role_id JOIN users AS u ON u.id = n.user_id
			WHERE n.account_id = $1 AND r."key" = $2 AND n.revoked_at IS NULL AND n.valid_until IS NULL AND n.valid_from <= $3
		) AS o ON o.account_id = a.id AND (o.status = 'ACTIVE' OR o.status = 'INVITED' AND o.id = a.primary_owner_id)
		WHERE a.id = $1`
	err := store.EachRow(ctx, e.c, query, []any{accountID, authz.RoleOwner, e.now}, func(rows *sql.Rows) error {
		var owner sql.NullInt64
		err := rows.Scan(&primary, &owner)
		if owner.Valid {
			owners++
			primaryOwns = primaryOwns || owner == primary
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("looking for the owners of account %d: %w", accountID, err)
	}
	fault := Fault{Account: e.slugs[accountID], Of: relay.KindAccount, Number: accountID}
	switch {
	case owners == 0:
		fault.Kind, fault.Detail = NoOwner, "has no active user who holds OWNER now and without an end, should have at least one"
		e.report(fault)
	case !primaryOwns:
		fault.Kind, fault.Detail = WrongPrimary, fmt.Sprintf("its primary owner is %s, should be one of its %d owners", who(primary), owners)
		e.report(fault)
	}
	return nil
}

// roles compares the built-in roles with the list, and reads what the custom ones hold.
func (e *examination) roles(ctx context.Context, accountID int64) error {
	var there []string
	query := `SELECT id, "key", CAST(pairs AS TEXT) FROM roles WHERE account_id = $1 ORDER BY id`
	err := store.EachRow(ctx, e.c, query, []any{accountID}, func(rows *sql.Rows) error {
		var id int64
		var key, pairs sql.NullString
		if err := rows.Scan(&id, &key, &pairs); err != nil {
			return err
		}
		there = append(there, key.String)
		fault := Fault{Kind: WrongRole, Account: e.slugs[accountID], Of: relay.KindRole, Number: id}
		if _, builtIn := authz.BuiltInRole(key.String); key.Valid && !builtIn {
			fault.Detail = fmt.Sprintf("its key %q is of no built-in role", key.String)
			e.report(fault)
		}
		if err := json.Unmarshal([]byte(pairs.String), new([]authz.Pair)); pairs.Valid && err != nil {
			fault.Detail = fmt.Sprintf("its pairs %.100q should be pairs of a permission and a scope: %v", pairs.String, err)
			e.report(fault)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the roles of account %d: %w", accountID, err)
	}
	for _, r := range authz.BuiltInRoles() {
		if !slices.Contains(there, r.Key) {
			e.report(Fault{Kind: WrongRole, Account: e.slugs[accountID], Of: relay.KindAccount, Number: accountID,
				Detail: "has no role " + r.Key + ", should have it"})
		}
	}
	return nil
}
