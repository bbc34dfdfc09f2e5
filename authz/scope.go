package authz

import (
	"fmt"
	"io"
	"strconv"
)

// Scope is how far a permission reaches from the group of the grant.
type Scope uint8

// The scopes. What each reaches is decided in Grant.reaches and nowhere else.
const (
	ScopeAccount  Scope = iota // everything in the account
	ScopeSubtree               // the grant's group and everything below it, up to a wall
	ScopeGroup                 // the grant's group only
	ScopeTeam                  // what is assigned to the viewer; the grant's group while its Shared Inbox is on
	ScopeQueue                 // unassigned contacts of the grant's group and of those above it, where MANUAL
	ScopeAssigned              // what is assigned to the viewer
	ScopeSelf                  // the viewer's own record
	scopeEnd
)

var scopeNames = [scopeEnd]string{"ACCOUNT", "SUBTREE", "GROUP", "TEAM", "QUEUE", "ASSIGNED", "SELF"}

// Scopes lists all scopes.
func Scopes() []Scope {
	return []Scope{ScopeAccount, ScopeSubtree, ScopeGroup, ScopeTeam, ScopeQueue, ScopeAssigned, ScopeSelf}
}

// Covers says whether s reaches at least what the other scope reaches for every grant and target (ruling 2). Scopes
// that do not compare do not cover each other.
func (s Scope) Covers(other Scope) bool {
	switch s {
	case ScopeAccount, other:
		return true
	case ScopeSubtree:
		return other == ScopeGroup
	case ScopeTeam:
		return other == ScopeAssigned
	}
	return false
}

func (s Scope) String() string {
	if s >= scopeEnd {
		return "Scope(" + strconv.Itoa(int(s)) + ")"
	}
	return scopeNames[s]
}

// ParseScope returns the scope of that name, or an error that names it.
func ParseScope(name string) (Scope, error) {
	for s, n := range scopeNames {
		if n == name {
			return Scope(s), nil
		}
	}
	return 0, fmt.Errorf("%q is not a scope", name)
}

// MarshalText writes the name; it fails for a value that is no scope.
func (s Scope) MarshalText() ([]byte, error) {
	if s >= scopeEnd {
		return nil, fmt.Errorf("%s is not a scope", s)
	}
	return []byte(s.String()), nil
}

// UnmarshalText reads a name.
func (s *Scope) UnmarshalText(text []byte) (err error) {
	*s, err = ParseScope(string(text))
	return err
}

// MarshalGQL writes the name as a GraphQL enum value.
func (s Scope) MarshalGQL(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(s.String())) }

// UnmarshalGQL reads a GraphQL enum value.
func (s *Scope) UnmarshalGQL(v any) error {
	name, ok := v.(string)
	if !ok {
		return fmt.Errorf("a scope is a name, not %T", v)
	}
	return s.UnmarshalText([]byte(name))
}

// Pair is one entry of a role: a permission and how far it reaches.
type Pair struct {
	Permission Permission `json:"permission"`
	Scope      Scope      `json:"scope"`
}

// Pairs is what a role holds, as one set of permissions for each scope.
type Pairs [scopeEnd]Set

// PairsOf gathers pairs; a pair given twice counts once.
func PairsOf(list []Pair) Pairs {
	var p Pairs
	for _, pair := range list {
		p[pair.Scope] |= SetOf(pair.Permission)
	}
	return p
}

// List spells the pairs out, permissions in the order of the chart.
func (p Pairs) List() []Pair {
	var list []Pair
	for permission := range p.Permissions().All() {
		for scope, set := range p {
			if set.Has(permission) {
				list = append(list, Pair{permission, Scope(scope)})
			}
		}
	}
	return list
}

// Permissions is the set of what is held at any scope.
func (p Pairs) Permissions() Set {
	var all Set
	for _, set := range p {
		all |= set
	}
	return all
}

// Cover says whether p holds the pair's permission at a scope that covers the pair's.
func (p Pairs) Cover(pair Pair) bool {
	for scope, set := range p {
		if set.Has(pair.Permission) && Scope(scope).Covers(pair.Scope) {
			return true
		}
	}
	return false
}
