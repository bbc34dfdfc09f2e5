package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"canopy/bulk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/session"
	"canopy/relay"
	"canopy/server"
)

// The two branches whose groups have many children or few.
const (
	broad, slim           = "Broad", "Slim"
	parents               = 10
	broadWidth, slimWidth = 2000, 20
)

// nest makes both branches, unless they are there.
func (d *dataset) nest(ctx context.Context) error {
	ctx, err := d.as(ctx, owner)
	if err != nil {
		return err
	}
	importer := &bulk.Service{DB: d.db, Directory: d.directory, Desk: d.desk, Now: time.Now}
	_, err = importer.Import(ctx, bulk.Import{Kind: bulk.Groups, Reason: "bench", Done: func(r bulk.Row) error {
		if r.Refusal != nil {
			return r.Refusal
		}
		return nil
	}}, branches())
	return err
}

func branches() iter.Seq2[bulk.Record, error] {
	return func(yield func(bulk.Record, error) bool) {
		path := func(names ...string) bool { return yield(bulk.Record{Group: &bulk.Group{Path: names}}, nil) }
		for top, width := range map[string]int{broad: broadWidth, slim: slimWidth} {
			if !path(top) {
				return
			}
			for i := range parents {
				parent := fmt.Sprint("Parent ", i)
				if !path(top, parent) {
					return
				}
				for j := range width {
					if !path(top, parent, fmt.Sprint("Child ", j)) {
						return
					}
				}
			}
		}
	}
}

// nestedPages asks for the first 20 children of ten groups with 2,000 each, against the same of ten with 20 each.
func (s measuring) nestedPages(ctx context.Context, d *dataset) ([]row, error) {
	if err := d.nest(ctx); err != nil {
		return nil, err
	}
	handler, err := server.New(server.Config{DB: d.db, Directory: d.directory, Desk: d.desk})
	if err != nil {
		return nil, err
	}
	in, err := d.directory.LogIn(ctx, directory.LogIn{Account: slug, Email: owner, Password: password, Kind: session.KindTOKEN})
	if err != nil {
		return nil, err
	}
	ctx, err = d.as(ctx, owner)
	if err != nil {
		return nil, err
	}
	ask := func(name string) (op, error) {
		top, err := d.db.Read.Group.Query().Where(group.AccountID(d.account.ID), group.Name(name), group.Depth(1)).Only(ctx)
		if err != nil {
			return nil, err
		}
		return nestedPage(ctx, handler, in.Token, top), nil
	}
	many, err := ask(broad)
	if err != nil {
		return nil, err
	}
	few, err := ask(slim)
	if err != nil {
		return nil, err
	}
	found, err := s.watch.compare(many, few)
	return []row{{figure: "nested page of 20, at 2,000 children a parent; floor: at 20", layer: "graph", size: "10 parents",
		real: short(found.real), floor: short(found.floor), found: found.ratio(), target: 1.2}}, err
}

func nestedPage(ctx context.Context, handler http.Handler, token string, top *ent.Group) op {
	question := fmt.Sprintf(`{"query":"{ group(id: \"%s\") { children(first: 20) { nodes { name children(first: 20) { nodes { id name depth } pageInfo { hasNextPage } } } } } }"}`,
		relay.NewID(relay.KindGroup, top.ID))
	return func() error {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", strings.NewReader(question))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		answer, err := io.ReadAll(w.Result().Body)
		if err == nil && strings.Count(string(answer), `"name":"Child `) != parents*slimWidth {
			err = errors.New("not all children are there: " + string(answer[:min(len(answer), 300)]))
		}
		return err
	}
}
