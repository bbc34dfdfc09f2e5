// Package tree keeps the structure under the tree of groups: the materialised paths, depths and walls of the groups,
// the scope rows by which contacts are listed, and the counters of every subtree. A group's parent and visibility, a
// contact's group, box and sort key, and a user's home group are the truth; everything else follows from them and is
// changed here, in the same transaction, by a number of SQL statements that does not depend on the size of a branch.
//
// Neighbours: directory and desk call it from their transactions, ent/rule and desk's queries read the columns and
// rows that it writes. It knows no viewer, checks no permission, writes no audit event and opens no transaction; its
// SQL is not subject to the row rules, so every statement is bound to one account or to rows already found in it.
package tree
