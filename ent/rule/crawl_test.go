package rule_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/refusal"

	"entgo.io/ent/dialect/sql"
)

// The crawl knows no entity and no edge by name: it finds them in the generated code.

// narrow are viewers who do not see everything; the last sees all of the account.
var narrow = []string{"nobody", "cashier", "developer", "city agent", "shop agent", "safe agent", "shed agent", "helper",
	"caretaker", "supervisor", "warden", "consul", "gone", "administrator", "rival agent", "owner"}

// entity is a generated client of one type.
type entity struct {
	name   string
	client reflect.Value // *ent.XClient
}

// entities finds the typed clients: those that make queries.
func entities(c *ent.Client) []entity {
	var list []entity
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); v.Type().Field(i).IsExported() && f.MethodByName("Query").IsValid() {
			list = append(list, entity{v.Type().Field(i).Name, f})
		}
	}
	return list
}

func (e entity) query() reflect.Value { return e.client.MethodByName("Query").Call(nil)[0] }

// edges are the names of the type's edges: its query has QueryX and WithX for each X.
func edges(query reflect.Value) []string {
	var names []string
	for i := range query.NumMethod() {
		name, ok := strings.CutPrefix(query.Type().Method(i).Name, "Query")
		if ok && query.MethodByName("With"+name).IsValid() {
			names = append(names, name)
		}
	}
	return names
}

// call calls a method and returns its value and error.
func call(v reflect.Value, method string, args ...any) (reflect.Value, error) {
	in := make([]reflect.Value, len(args))
	for i, a := range args {
		in[i] = reflect.ValueOf(a)
	}
	out := v.MethodByName(method).Call(in)
	err, _ := out[len(out)-1].Interface().(error)
	return out[0], err
}

// all runs a query and returns its entities, whatever their type.
func all(t *testing.T, ctx context.Context, query reflect.Value) []reflect.Value {
	t.Helper()
	list, err := call(query, "All", ctx)
	if err != nil {
		t.Fatalf("%s: %v", query.Type(), err)
	}
	var rows []reflect.Value
	for i := range list.Len() {
		rows = append(rows, list.Index(i))
	}
	return rows
}

func typeName(row reflect.Value) string { return row.Type().Elem().Name() }
func idOf(row reflect.Value) int64      { return row.Elem().FieldByName("ID").Int() }

// within puts "id IN ids" on a query or a mutation's builder.
func within(builder reflect.Value, ids []int64) {
	where := builder.MethodByName("Where")
	predicate := reflect.ValueOf(func(s *sql.Selector) {
		list := make([]any, len(ids))
		for i, id := range ids {
			list[i] = id
		}
		s.Where(sql.In(s.C("id"), list...))
	}).Convert(where.Type().In(0).Elem())
	where.Call([]reflect.Value{predicate})
}

// crawler walks everything as one viewer.
type crawler struct {
	*testing.T
	who     string
	ctx     context.Context
	client  *ent.Client
	all     rowsOf
	visible map[string]map[int64]bool
}

// only fails for a row that the viewer may not see.
func (c *crawler) only(rows []reflect.Value, how string) {
	c.Helper()
	for _, r := range rows {
		if !c.visible[typeName(r)][idOf(r)] {
			c.Errorf("%s sees %s %d by %s", c.who, typeName(r), idOf(r), how)
		}
	}
}

func (c *crawler) hidden(entity string) []int64 {
	var ids []int64
	for id := range c.all[entity] {
		if !c.visible[entity][id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func TestConsequence8_AHiddenRowDoesNotExist(t *testing.T) {
	each(t, func(t *testing.T, c *company) {
		rows := everything(t, c.db.Read)
		for _, who := range narrow {
			v := c.viewer(who)
			t.Run(who, func(t *testing.T) {
				t.Parallel()
				crawl := &crawler{T: t, who: who, ctx: authz.NewContext(t.Context(), v), client: c.db.Read, all: rows,
					visible: newOracle(v, rows).visible(rows)}
				for _, e := range entities(c.db.Read) {
					crawl.list(e)
					crawl.count(e)
					crawl.byID(e)
					crawl.traverse(e)
					crawl.load(e)
					crawl.fromRows(e)
				}
			})
		}
	})
}

// list wants exactly the visible rows of an entity.
func (c *crawler) list(e entity) {
	c.Helper()
	if c.all[e.name] == nil {
		c.Fatalf("the crawl knows nothing about %s: say in oracle_test.go who sees it", e.name)
	}
	rows := all(c.T, c.ctx, e.query())
	c.only(rows, "listing")
	if len(rows) != len(c.visible[e.name]) {
		c.Errorf("%s lists %d of %d %s", c.who, len(rows), len(c.visible[e.name]), e.name)
	}
	ids, err := call(e.query(), "IDs", c.ctx)
	if err != nil || ids.Len() != len(rows) {
		c.Errorf("%s lists %d ids of %d %s (%v)", c.who, ids.Len(), len(rows), e.name, err)
	}
}

// count wants their number, in all ways of counting.
func (c *crawler) count(e entity) {
	c.Helper()
	want := len(c.visible[e.name])
	if n, err := call(e.query(), "Count", c.ctx); err != nil || int(n.Int()) != want {
		c.Errorf("%s counts %d of %d %s (%v)", c.who, n.Int(), want, e.name, err)
	}
	if exists, err := call(e.query(), "Exist", c.ctx); err != nil || exists.Bool() != (want > 0) {
		c.Errorf("%s: some %s exist: %t (%v)", c.who, e.name, exists.Bool(), err)
	}
	aggregate, _ := call(e.query(), "Aggregate", ent.Count())
	if n, err := call(aggregate, "Int", c.ctx); err != nil || int(n.Int()) != want {
		c.Errorf("%s aggregates %d of %d %s (%v)", c.who, n.Int(), want, e.name, err)
	}
	groups, _ := call(e.query(), "GroupBy", "id")
	if ids, err := call(groups, "Ints", c.ctx); err != nil || ids.Len() != want {
		c.Errorf("%s groups %d of %d %s (%v)", c.who, ids.Len(), want, e.name, err)
	}
}

// byID wants NotFound for every hidden id.
func (c *crawler) byID(e entity) {
	c.Helper()
	for id := range c.all[e.name] {
		_, err := call(e.client, "Get", c.ctx, id)
		if c.visible[e.name][id] && err != nil || !c.visible[e.name][id] && !ent.IsNotFound(err) {
			c.Errorf("%s gets %s %d: %v", c.who, e.name, id, err)
		}
	}
	query := e.query()
	within(query, c.hidden(e.name))
	if n, err := call(query, "Count", c.ctx); err != nil || n.Int() != 0 {
		c.Errorf("%s counts %d hidden %s (%v)", c.who, n.Int(), e.name, err)
	}
}

// traverse walks every edge, and every edge of what is behind it.
func (c *crawler) traverse(e entity) {
	c.Helper()
	for _, first := range edges(e.query()) {
		query, _ := call(e.query(), "Query"+first)
		c.only(all(c.T, c.ctx, query), e.name+".Query"+first)
		for _, second := range edges(query) {
			query, _ := call(e.query(), "Query"+first)
			further, _ := call(query, "Query"+second)
			rows := all(c.T, c.ctx, further)
			c.only(rows, e.name+".Query"+first+".Query"+second)
			if n, err := call(further, "Count", c.ctx); err != nil || int(n.Int()) != len(rows) {
				c.Errorf("%s counts %d of %d behind %s.%s.%s (%v)", c.who, n.Int(), len(rows), e.name, first, second, err)
			}
		}
	}
}

// load loads every edge together with the rows, and every edge of what is behind it.
func (c *crawler) load(e entity) {
	c.Helper()
	for _, first := range edges(e.query()) {
		query := e.query()
		with := query.MethodByName("With" + first)
		option := with.Type().In(0).Elem() // func(*YQuery)
		with.Call([]reflect.Value{reflect.MakeFunc(option, func(args []reflect.Value) []reflect.Value {
			for _, second := range edges(args[0]) {
				args[0].MethodByName("With" + second).Call(nil)
			}
			return nil
		})})
		for _, row := range all(c.T, c.ctx, query) {
			near := loaded(row)
			c.only(near, e.name+".With"+first)
			for _, r := range near {
				c.only(loaded(r), e.name+".With"+first+".With…")
			}
		}
	}
}

// loaded are the rows in the edges of a row.
func loaded(row reflect.Value) []reflect.Value {
	var rows []reflect.Value
	edges := row.Elem().FieldByName("Edges")
	for i := range edges.NumField() {
		switch f := edges.Field(i); {
		case !edges.Type().Field(i).IsExported():
		case f.Kind() == reflect.Pointer && !f.IsNil():
			rows = append(rows, f)
		case f.Kind() == reflect.Slice:
			for j := range f.Len() {
				rows = append(rows, f.Index(j))
			}
		}
	}
	return rows
}

// fromRows follows every edge from hidden rows, as code does that holds a row it should not; some rows of each entity
// have to do.
func (c *crawler) fromRows(e entity) {
	c.Helper()
	hidden := c.hidden(e.name)
	for i := 0; i < len(hidden); i += 1 + len(hidden)/8 {
		id := hidden[i]
		for _, edge := range edges(e.query()) {
			query, _ := call(reflect.ValueOf(c.all[e.name][id]), "Query"+edge)
			c.only(all(c.T, c.ctx, query), "following "+e.name+"."+edge)
		}
	}
}

// errUndo rolls a transaction of the crawl back.
var errUndo = errors.New("undo")

// try runs fn in a transaction as the viewer and rolls it back, having compared the hidden rows before and after.
func (c *crawler) try(company *company, what string, fn func(client *ent.Client) error) (failed error) {
	c.Helper()
	err := company.db.Write(c.ctx, func(ctx context.Context, tx *ent.Tx) error {
		if failed = fn(tx.Client()); failed != nil {
			return errUndo // PostgreSQL admits no further statement after one that failed
		}
		c.untouched(everything(c.T, tx.Client()), what)
		return errUndo
	})
	if !errors.Is(err, errUndo) {
		c.Fatalf("%s: %v", what, err)
	}
	return failed
}

// untouched fails when a hidden row is gone or differs from what it was.
func (c *crawler) untouched(now rowsOf, what string) {
	c.Helper()
	for entity := range c.all {
		for _, id := range c.hidden(entity) {
			if now[entity][id] == nil || describe(now[entity][id]) != describe(c.all[entity][id]) {
				c.Errorf("%s changes %s %d by %s", c.who, entity, id, what)
			}
		}
	}
}

// describe is all of a row but who loaded it.
func describe(row any) string { return row.(interface{ String() string }).String() }

// setters are the methods of an update builder that set one column, with a value of another row for each.
func setters(builder reflect.Value, donor any) map[string]reflect.Value {
	found := map[string]reflect.Value{}
	row := reflect.ValueOf(donor).Elem()
	for i := range builder.NumMethod() {
		name := builder.Type().Method(i).Name
		field, ok := strings.CutPrefix(name, "Set")
		if !ok || strings.HasPrefix(field, "Nillable") {
			continue
		}
		value := row.FieldByName(field)
		if value.IsValid() && value.Kind() == reflect.Pointer && !value.IsNil() {
			value = value.Elem()
		}
		if value.IsValid() && value.Type() == builder.Method(i).Type().In(0) {
			found[name] = value
		}
	}
	return found
}

func TestAHiddenRowIsNeitherChangedNorDeleted(t *testing.T) {
	each(t, func(t *testing.T, c *company) {
		rows := everything(t, c.db.Read)
		for _, who := range []string{"nobody", "shed agent", "safe agent", "caretaker", "supervisor", "consul", "administrator", "rival agent"} {
			t.Run(who, func(t *testing.T) {
				v := c.viewer(who)
				crawl := &crawler{T: t, who: who, ctx: authz.NewContext(t.Context(), v), client: c.db.Read, all: rows,
					visible: newOracle(v, rows).visible(rows)}
				for _, e := range entities(c.db.Read) {
					crawl.changeHidden(c, e)
					crawl.updateAll(c, e)
					crawl.deleteAll(c, e)
				}
			})
		}
	})
}

// on is the entity's client within a transaction.
func on(client *ent.Client, e entity) reflect.Value {
	return reflect.ValueOf(client).Elem().FieldByName(e.name)
}

// changeHidden wants NotFound for every way of changing or deleting one hidden row, and no rows from changing or
// deleting all of them.
func (c *crawler) changeHidden(company *company, e entity) {
	c.Helper()
	hidden := c.hidden(e.name)
	err := c.try(company, "changing hidden "+e.name, func(client *ent.Client) error {
		for i, id := range hidden {
			// All columns of the first row, one of each other.
			for _, change := range changes(on(client, e), id, c.all[e.name][id], i == 0) {
				_, err := call(change.builder, change.run, c.ctx)
				if !ent.IsNotFound(err) && !errors.Is(err, refusal.NotFound("")) {
					c.Errorf("%s: %s of %s %d ends as %v", c.who, change.name, e.name, id, err)
				}
			}
		}
		remove, _ := call(on(client, e), "Delete")
		within(remove, hidden)
		if n, err := call(remove, "Exec", c.ctx); err != nil || n.Int() != 0 {
			c.Errorf("%s deletes %d hidden %s (%v)", c.who, n.Int(), e.name, err)
		}
		return nil
	})
	if err != nil {
		c.Error(err)
	}
}

// change is one way of changing or deleting a row.
type change struct {
	name, run string
	builder   reflect.Value
}

func changes(client reflect.Value, id int64, row any, allColumns bool) []change {
	byID := func() reflect.Value { b, _ := call(client, "UpdateOneID", id); return b }
	byRow := func() reflect.Value { b, _ := call(client, "UpdateOne", row); return b }
	list := []change{{"an empty update", "Save", byID()}, {"an empty update by row", "Save", byRow()}}
	for setter, value := range setters(byID(), row) {
		for _, b := range []reflect.Value{byID(), byRow()} {
			b.MethodByName(setter).Call([]reflect.Value{value})
			list = append(list, change{setter, "Save", b})
		}
		if !allColumns {
			break
		}
	}
	for _, method := range []string{"ClearChildren", "ClearMayGive", "ClearGivenBy"} {
		if b := byID(); b.MethodByName(method).IsValid() {
			b.MethodByName(method).Call(nil)
			list = append(list, change{method, "Save", b})
		}
	}
	byOne, _ := call(client, "DeleteOneID", id)
	return append(list, change{"deleting", "Exec", byOne})
}

// updateAll wants an update of all rows to change as many as the viewer sees. A value comes from another row; where
// the database refuses it for all rows at once, as it does a name that must be unique, the next column has to do.
func (c *crawler) updateAll(company *company, e entity) {
	c.Helper()
	tried, succeeded := 0, 0
	for _, donor := range c.all[e.name] {
		for setter, value := range setters(e.client.MethodByName("Update").Call(nil)[0], donor) {
			tried++
			what := e.name + ".Update." + setter
			err := c.try(company, what, func(client *ent.Client) error {
				update, _ := call(on(client, e), "Update")
				update.MethodByName(setter).Call([]reflect.Value{value})
				n, err := call(update, "Save", c.ctx)
				if err == nil && int(n.Int()) != len(c.visible[e.name]) {
					c.Errorf("%s: %s changes %d of %d", c.who, what, n.Int(), len(c.visible[e.name]))
				}
				return err
			})
			switch {
			case err == nil:
				succeeded++
			case !ent.IsConstraintError(err) && !refused(err):
				c.Errorf("%s: %s fails: %v", c.who, what, err)
			}
		}
		if succeeded > 0 {
			return
		}
	}
	if tried > 0 {
		c.Errorf("%s: no column of %s could be tried", c.who, e.name)
	}
}

func refused(err error) bool {
	var r *refusal.Refusal
	return errors.As(err, &r)
}

// deleteAll wants deleting everything to spare what is hidden. Where other rows refer to the visible ones the database
// refuses it altogether.
func (c *crawler) deleteAll(company *company, e entity) {
	c.Helper()
	err := company.db.Write(c.ctx, func(ctx context.Context, tx *ent.Tx) error {
		remove, _ := call(on(tx.Client(), e), "Delete")
		n, err := call(remove, "Exec", c.ctx)
		switch {
		case err == nil && int(n.Int()) != len(c.visible[e.name]):
			c.Errorf("%s deletes %d %s and sees %d", c.who, n.Int(), e.name, len(c.visible[e.name]))
		case err != nil && !ent.IsConstraintError(err):
			c.Errorf("%s: deleting all %s: %v", c.who, e.name, err)
		}
		return errUndo
	})
	if !errors.Is(err, errUndo) {
		c.Error(err)
	}
}

func TestWithoutAViewerThereIsNothing(t *testing.T) {
	each(t, func(t *testing.T, c *company) {
		rows := everything(t, c.db.Read)
		crawl := &crawler{T: t, who: "nobody", ctx: t.Context(), client: c.db.Read, all: rows, visible: map[string]map[int64]bool{}}
		for _, e := range entities(c.db.Read) {
			crawl.list(e)
			crawl.count(e)
			crawl.byID(e)
			crawl.traverse(e)
			crawl.load(e)
			crawl.fromRows(e)
			for _, operation := range []string{"Create", "Update", "Delete", "UpdateOneID", "DeleteOneID"} {
				var args []any
				if strings.HasSuffix(operation, "ID") {
					args = []any{int64(1)}
				}
				err := crawl.try(c, operation, func(client *ent.Client) error {
					builder, _ := call(on(client, e), operation, args...)
					run := "Save"
					if strings.HasPrefix(operation, "Delete") {
						run = "Exec"
					}
					_, err := call(builder, run, t.Context())
					return err
				})
				if !errors.Is(err, refusal.NoViewer()) {
					t.Errorf("%s of %s without a viewer ends as %v", operation, e.name, err)
				}
			}
		}
	})
}
