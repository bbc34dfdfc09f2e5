// Package authz decides who may do what: the permissions, the scopes and the built-in roles as one table, the
// viewer with the grants that are in force, and the check.
//
// Everything that guards something asks this package: the directives of the schema, the use-cases and the row rules
// (ent/rule). It imports the standard library only, runs no SQL and keeps no state: a viewer is loaded once per
// request by directory and is a value from then on. It does not know where rows are stored, and it does not decide
// rules that need other rows, such as the last owner; those are use-cases.
package authz
