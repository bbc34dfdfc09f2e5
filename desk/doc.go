// Package desk holds the use-cases of service: contacts, who serves them, their conversations and messages. Each is
// one transaction: load, check, change, record. It also reads the inbox and the contact list, whose order needs SQL
// of their own.
//
// Access is decided by authz at the contact, and by the row rules (ent/rule) for what is loaded; the scope rows and
// counters under the tree are written by package tree and by nothing else. Users, groups and roles are directory's,
// which calls HandOver when somebody leaves. desk knows no GraphQL, and it does not distribute contacts: what the
// assignment mode of a group would give to an agent waits there for a supervisor.
package desk
