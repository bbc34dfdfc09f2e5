package bulk_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/bulk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/user"
	"canopy/internal/testdb"
	"canopy/store"
)

func (w *world) export(kind bulk.Kind, format bulk.Format) string {
	w.t.Helper()
	var b bytes.Buffer
	_, err := w.bulk.Export(w.as(w.owner), bulk.Export{Kind: kind, Format: format}, &b)
	w.must(err)
	return b.String()
}

// read imports a file and wants every row to be in.
func (w *world) read(kind bulk.Kind, format bulk.Format, text string) {
	w.t.Helper()
	in := bulk.Import{Kind: kind, Done: func(r bulk.Row) error {
		if r.Status == bulk.Refused {
			w.t.Errorf("line %d: %s: %v", r.Record.Line, r.Refusal.Field, r.Refusal)
		}
		return nil
	}}
	_, err := w.bulk.Import(w.as(w.owner), in, bulk.Read(strings.NewReader(text), kind, format))
	w.must(err)
}

// The files by which the first world is made. Whatever can be awkward about a name is in one of them.
const (
	someGroups = `{"path":["North"],"assignmentMode":"MANUAL","capacity":-1,"closeAfter":86400,"sharedInbox":false}
{"path":["North","A/B\\C;D@E|F"]}
{"path":["North","A/B\\C;D@E|F","=SUM(1)"]}
{"path":["-1"],"radarWindow":60,"escalateAfter":-1,"reassignAfter":60}
{"path":["'@home"]}
{"path":["Vault"],"visibility":"RESTRICTED","sharedInbox":true}
{"path":["Vault","\"Quoted\", comma"]}
{"path":["Vault","Ünïcode 名前 🌳"]}
`
	someUsers = `{"email":"ana@acacia.example","name":"=Ana","home":["North"],"grants":[{"role":"AGENT"},{"role":"DASHBOARD_ADMINISTRATOR","group":["North","A/B\\C;D@E|F"]},{"role":"DASHBOARD_ADMINISTRATOR","group":[],"until":"2031-01-02T03:04:05Z"},{"role":"Odd @ role; or|so","until":"2031-01-02T03:04:05Z"}]}
{"email":"bob@acacia.example","name":"Bob","home":[]}
`
	someContacts = `{"name":"Basil","phone":"+5511912345678","group":["North"]}
{"name":"-Dill","email":"dill@example.com","channel":"email","address":"dill@example.com","group":[]}
{"name":"'Fennel","channel":"web","address":"=1+1","group":["Vault","Ünïcode 名前 🌳"]}
{"name":"Mint \"the\" herb, dried","channel":"whatsapp","address":"+5511912345679","group":["North"],"agent":"ana@acacia.example"}
`
)

func TestWhatIsExportedComesInAgain(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		first := newWorld(t, db, "acacia")
		first.role("Odd @ role; or|so")
		first.read(bulk.Groups, bulk.JSONLines, someGroups)
		first.read(bulk.Users, bulk.JSONLines, someUsers)
		first.all()
		first.read(bulk.Contacts, bulk.JSONLines, someContacts)
		for _, format := range []bulk.Format{bulk.CSV, bulk.JSONLines} {
			files := map[bulk.Kind]string{}
			for _, kind := range []bulk.Kind{bulk.Groups, bulk.Users, bulk.Contacts} {
				files[kind] = first.export(kind, format)
			}
			// The same owner, of another account in the same database, so that the ids are others.
			next := newWorldOf(t, db, "next-"+strings.ToLower(strings.ReplaceAll(string(format), "_", "-")), "olga@acacia.example")
			next.role("Odd @ role; or|so")
			for _, kind := range []bulk.Kind{bulk.Groups, bulk.Users, bulk.Contacts} {
				next.read(kind, format, files[kind])
				next.all()
				if again := next.export(kind, format); again != files[kind] {
					t.Errorf("%s as %s come out as\n%s\nand went in as\n%s", kind, format, again, files[kind])
				}
			}
			next.intact()
		}
		if got := first.export(bulk.Groups, bulk.JSONLines); len(got) < len(someGroups)-200 {
			t.Errorf("the export has only\n%s", got)
		}
	})
}

// all makes every invited user active, so that they can serve.
func (w *world) all() {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.User.Update().Where(user.AccountID(w.account.ID)).SetStatus(user.StatusACTIVE).Exec(ctx)
	})
}

func TestExportShowsWhatTheViewerSees(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.read(bulk.Groups, bulk.JSONLines, someGroups)
		w.role("Exporter", authz.Pair{Permission: authz.ContactsExport, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
		w.read(bulk.Contacts, bulk.JSONLines, `{"name":"Basil","phone":"+5511912345678","email":"b@example.com","channel":"whatsapp","address":"+5511912345678","group":["North"]}
{"name":"Dill","phone":"+5511912345679","group":["Vault"]}
{"name":"Mint","group":["-1"]}
`)
		exporter, sue, nobody := w.user("eve", "North", "Exporter"), w.user("sue", "A/B\\C;D@E|F", "DASHBOARD_ADMINISTRATOR"), w.user("nil", "North")
		got := func(u *ent.User, kind bulk.Kind) (string, error) {
			var b bytes.Buffer
			_, err := w.bulk.Export(w.as(u), bulk.Export{Kind: kind, Format: bulk.CSV}, &b)
			return b.String(), err
		}
		text, err := got(exporter, bulk.Contacts)
		if want := "name,phone,email,channel,address,group,agent\nBasil,'+55 •••• 5678,b•••@example.com,whatsapp,••••,North,\n"; text != want || err != nil {
			t.Errorf("who may not see customer data exports\n%s%v", text, err)
		}
		// The names of the groups above are hidden from her, and so they are in paths.
		text, err = got(sue, bulk.Groups)
		if want := `A\/B\\C\;D\@E\|F,`; err != nil || !strings.Contains(text, "\n"+want) || strings.Contains(text, "North") || strings.Contains(text, "Vault") {
			t.Errorf("a supervisor exports\n%s%v", text, err)
		}
		w.want(w.take(sue, bulk.Import{Kind: bulk.Groups}, groupAt("a/b\\c;d@e|f", "New"), groupAt("North", "New"), groupAt("New")),
			"CREATED", "NOT_FOUND path", "NOT_FOUND path")
		for _, kind := range []bulk.Kind{bulk.Groups, bulk.Users, bulk.Contacts} {
			if text, err := got(nobody, kind); err == nil || text != "" {
				t.Errorf("nobody exports %s: %s", kind, text)
			}
		}
		if n := w.events("CONTACTS_EXPORTED"); n != 1 {
			t.Errorf("%d exports of contacts are recorded", n)
		}
	})
}

func TestOtherAccountsStayOut(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.read(bulk.Groups, bulk.JSONLines, someGroups)
		w.read(bulk.Contacts, bulk.JSONLines, someContacts[:strings.LastIndex(strings.TrimSpace(someContacts), "\n")+1])
		other := newWorld(t, w.db, "birch")
		for _, kind := range []bulk.Kind{bulk.Groups, bulk.Contacts} {
			if lines := strings.Count(other.export(kind, bulk.JSONLines), "\n"); lines != 0 {
				t.Errorf("birch exports %d %s", lines, kind)
			}
		}
		// The same address in another account is another contact.
		other.want(other.take(other.owner, bulk.Import{Kind: bulk.Contacts}, bulk.Record{Contact: &bulk.Contact{Name: "Dill",
			Channel: "email", Address: "dill@example.com", Group: bulk.Path{}}}), "CREATED")
		n, err := w.db.Read.Contact.Query().Where(contact.Address("dill@example.com")).Count(authz.Trusted(t.Context()))
		if n != 2 || err != nil {
			t.Errorf("%d contacts, %v", n, err)
		}
	})
}
