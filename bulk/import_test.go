package bulk_test

import (
	"database/sql"
	"fmt"
	"testing"

	"canopy/bulk"
	"canopy/internal/mask"
	"canopy/store"

	"entgo.io/ent/dialect"
)

func TestGroupsBuildOnEachOther(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		records := []bulk.Record{groupAt("North"), groupAt("North", "Harbour"), groupAt("NORTH", "harbour", "Pier"),
			groupAt("South", "Station"), groupAt("South"), groupAt("north"), groupAt(), groupAt("North", "\x07")}
		want := []string{"CREATED", "CREATED", "CREATED", "NOT_FOUND path", "CREATED", "EXISTS", "BAD_USER_INPUT path", "BAD_USER_INPUT path"}
		w.want(w.take(w.owner, bulk.Import{Kind: bulk.Groups, DryRun: true}, records...), want...)
		w.want(w.take(w.owner, bulk.Import{Kind: bulk.Groups}, records...), want...)
		w.want(w.take(w.owner, bulk.Import{Kind: bulk.Groups}, records[:3]...), "EXISTS", "EXISTS", "EXISTS")
	})
}

func TestContactsArrive(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.want(w.take(w.owner, bulk.Import{Kind: bulk.Groups}, groupAt("North")), "CREATED")
		agent := w.user("ana", "North", "AGENT")
		_ = agent
		c := func(c bulk.Contact) bulk.Record { return bulk.Record{Contact: &c} }
		records := []bulk.Record{
			c(bulk.Contact{Name: "Basil", Phone: "+5511912345678", Group: bulk.Path{"North"}}),
			c(bulk.Contact{Name: "Basil", Channel: "WhatsApp", Address: "5511912345678", Group: bulk.Path{}}),
			c(bulk.Contact{Name: "Basil", Channel: "whatsapp", Address: "+5511912345678", Group: bulk.Path{"North"}}),
			c(bulk.Contact{Name: "Basil", Group: bulk.Path{"Nowhere"}}),
			c(bulk.Contact{Name: "Clove", Group: bulk.Path{}, Agent: "ANA@acacia.example"}),
			c(bulk.Contact{Name: "Clove", Group: bulk.Path{}, Agent: "bob@acacia.example"}),
			c(bulk.Contact{Name: "Clove", Group: bulk.Path{}, Agent: "olga@acacia.example"}),
			c(bulk.Contact{Name: "", Group: bulk.Path{}}),
			c(bulk.Contact{Name: "Dill", Phone: "911", Group: bulk.Path{}}),
			c(bulk.Contact{Name: "Dill", Channel: "web", Group: bulk.Path{}}),
			c(bulk.Contact{Name: "Elder", Phone: mask.Phone("+5511912345678"), Group: bulk.Path{}}),
			c(bulk.Contact{Name: "Elder", Email: mask.Email("elder@post.example"), Group: bulk.Path{}}),
			c(bulk.Contact{Name: "Elder", Channel: "web", Address: mask.Hidden, Group: bulk.Path{}}),
		}
		want := []string{"CREATED", "CREATED", "EXISTS", "NOT_FOUND group", "CREATED", "NOT_FOUND agent", "CREATED",
			"BAD_USER_INPUT name", "BAD_USER_INPUT phone", "BAD_USER_INPUT address",
			"BAD_USER_INPUT phone", "BAD_USER_INPUT email", "BAD_USER_INPUT address"}
		w.want(w.take(w.owner, bulk.Import{Kind: bulk.Contacts, DryRun: true}, records...), want...)
		w.want(w.take(w.owner, bulk.Import{Kind: bulk.Contacts}, records...), want...)
	})
}

func TestManyGroups(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var records []bulk.Record
		for i := range 3000 {
			records = append(records, groupAt(fmt.Sprint("a", i/100), fmt.Sprint("b", i)))
			if i%100 == 0 {
				records = append(records[:len(records)-1], groupAt(fmt.Sprint("a", i/100)), records[len(records)-1])
			}
		}
		rows := w.take(w.owner, bulk.Import{Kind: bulk.Groups}, records...)
		for _, r := range rows {
			if r.Status != bulk.Created {
				t.Fatal(r, r.Refusal)
			}
		}
	})
}

func TestUsersAreInvited(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.want(w.take(w.owner, bulk.Import{Kind: bulk.Groups}, groupAt("North"), groupAt("South")), "CREATED", "CREATED")
		ada := w.user("ada", "North", "ADMINISTRATOR")
		u := func(email string, home bulk.Path, grants ...bulk.Grant) bulk.Record {
			return bulk.Record{User: &bulk.User{Email: email, Name: "Somebody", Home: home, Grants: grants}}
		}
		records := []bulk.Record{
			u("a@acacia.example", bulk.Path{"North"}, bulk.Grant{Role: "AGENT"}, bulk.Grant{Role: "dashboard administrator", Group: &bulk.Path{"South"}}),
			u("A@acacia.example", bulk.Path{"North"}),
			u("b@acacia.example", bulk.Path{"North"}, bulk.Grant{Role: "OWNER"}),
			u("c@acacia.example", bulk.Path{"Nowhere"}, bulk.Grant{Role: "OWNER"}),
			u("d@acacia.example", bulk.Path{}, bulk.Grant{Role: "Nothing"}),
			u("e", bulk.Path{}, bulk.Grant{Role: "AGENT"}),
			u("f@acacia.example", bulk.Path{}, bulk.Grant{Role: "AGENT"}, bulk.Grant{Role: "AGENT"}),
		}
		want := []string{"CREATED", "EXISTS", "MAY_NOT_GIVE grants", "NOT_FOUND home", "NOT_FOUND grants", "BAD_USER_INPUT email", "ALREADY_GRANTED grants"}
		w.want(w.take(ada, bulk.Import{Kind: bulk.Users, DryRun: true}, records...), want...)
		w.want(w.take(ada, bulk.Import{Kind: bulk.Users}, records...), want...)
	})
}

// TestPlansFollowTheFirstRows: PostgreSQL knows of the groups of an import while it goes on.
func TestPlansFollowTheFirstRows(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if w.db.Dialect() != dialect.Postgres {
			return
		}
		records := make([]bulk.Record, 1200)
		for i := range records {
			records[i] = groupAt(fmt.Sprint("group ", i))
		}
		w.take(w.owner, bulk.Import{Kind: bulk.Groups}, records...)
		var known float64
		err := store.EachRow(t.Context(), w.db.Read, "SELECT reltuples FROM pg_class WHERE oid = 'groups'::regclass", nil,
			func(rows *sql.Rows) error { return rows.Scan(&known) })
		if err != nil || known < 500 {
			t.Errorf("the planner knows of %v groups, %v", known, err)
		}
	})
}
