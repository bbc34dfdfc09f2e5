package tree

import (
	"context"
	"fmt"
)

// DropAccount removes what no foreign key takes along when an account is deleted: its scope rows. The account's row
// goes right after it, in the same transaction.
func DropAccount(ctx context.Context, c Conn, accountID int64) error {
	if err := LockExclusive(ctx, c, accountID); err != nil {
		return err
	}
	if err := lockAll(ctx, c, accountID); err != nil {
		return err
	}
	_, err := exec(ctx, c, "DELETE FROM scopes WHERE scope_id = $1 OR scope_id IN (SELECT id FROM groups WHERE account_id = $2)",
		-accountID, accountID)
	if err != nil {
		return fmt.Errorf("dropping the scopes of account %d: %w", accountID, err)
	}
	return nil
}
