// Package desk holds the use-cases of service: contacts, who serves them, their conversations and messages. Each is
// one transaction: load, check, change, record. It also reads the inbox and the contact list, whose order needs SQL
// of their own.
//
// Access is decided by authz at the contact, and by the row rules (ent/rule) for what is loaded; the scope rows and
// counters under the tree are written by package tree and by nothing else. Users, groups and roles are directory's,
// which calls HandOver when somebody leaves. desk knows no GraphQL.
//
// Contacts come to agents by the assignment mode of their group in the transaction that brings them there
// (distribute.go, offer.go), and by timers (timer.go, watch.go) whenever an agent has got room or time has passed.
package desk
