package generate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"

	"canopy/authz"
	"canopy/bulk"
)

// Records returns all records of a kind as package bulk takes them. Users are agents at their home group.
func (o Options) Records(kind bulk.Kind) iter.Seq2[bulk.Record, error] {
	switch kind {
	case bulk.Users:
		return numbered(o.Staff(), func(u User) bulk.Record {
			return bulk.Record{User: &bulk.User{Email: u.Email, Name: u.Name, Home: slices.Clone(u.Group.Path), Grants: []bulk.Grant{{Role: authz.RoleAgent}}}}
		})
	case bulk.Contacts:
		return numbered(o.Customers(), func(c Contact) bulk.Record {
			return bulk.Record{Contact: &bulk.Contact{Name: c.Name, Email: c.Email, Phone: c.Phone, Channel: "email", Address: c.Email, Group: slices.Clone(c.Group.Path)}}
		})
	}
	return numbered(o.Tree(), func(g Group) bulk.Record {
		return bulk.Record{Group: &bulk.Group{Path: slices.Clone(g.Path)}}
	})
}

func numbered[T any](things iter.Seq[T], record func(T) bulk.Record) iter.Seq2[bulk.Record, error] {
	return func(yield func(bulk.Record, error) bool) {
		line := 0
		for thing := range things {
			line++
			r := record(thing)
			r.Line = line
			if !yield(r, nil) {
				return
			}
		}
	}
}

// Into puts the company into the account of the viewer in the context, who needs what the import of each kind needs.
// One that was interrupted goes on where it stopped when it is asked for again with the same options; what is there
// stays as it is. Done hears of every record that is in.
func (o Options) Into(ctx context.Context, s *bulk.Service, done func(bulk.Kind)) error {
	if err := o.Check(); err != nil {
		return err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v", o))
	for _, kind := range []bulk.Kind{bulk.Groups, bulk.Users, bulk.Contacts} {
		_, err := s.Import(ctx, bulk.Import{
			Kind: kind, Reason: "generated", Fingerprint: hex.EncodeToString(sum[:]), Again: true,
			Done: func(row bulk.Row) error {
				if row.Refusal != nil {
					return fmt.Errorf("%s, number %d: %w", kind, row.Record.Line, row.Refusal)
				}
				done(kind)
				return nil
			},
		}, o.Records(kind))
		if err != nil {
			return fmt.Errorf("generating: %w", err)
		}
	}
	return nil
}
