package desk_test

import (
	"strings"
	"testing"

	"canopy/authz"
	"canopy/desk"
	"canopy/internal/optional"
	"canopy/refusal"
)

func TestACreatedContactArrivesAndWaits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		phone, email := "+55 11 91234–1234", " kim@example.com "
		c, err := w.desk.CreateContact(w.as("sue"), desk.CreateContact{GroupID: w.groups["north"], Name: "  Kim  Lee ", Phone: &phone, Email: &email})
		ok(t, err)
		if c.Name != "Kim Lee" || c.NameKey != "kim lee" || *c.Phone != "+5511912341234" || *c.Email != "kim@example.com" || c.ArrivalGroupID != w.groups["north"] {
			t.Errorf("the contact is %v", c)
		}
		w.waitsIn(c.ID, "north")
		e := w.lastEvent()
		if e.Action != "CONTACT_CREATED" || strings.Contains(string(e.After), "1191234") || strings.Contains(string(e.After), "kim@") {
			t.Errorf("the audit event is %v %s", e, e.After)
		}
	})
}

func TestWhoMayCreateAContact(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		create := func(who, at string) error {
			_, err := w.desk.CreateContact(w.as(who), desk.CreateContact{GroupID: w.groups[at], Name: "Kim"})
			return err
		}
		ok(t, create("sue", "north"))
		ok(t, create("olga", "cellar"))
		lacks(t, create("ana", "north"), authz.ContactsCreate)
		lacks(t, create("adam", "north"), authz.ContactsCreate)
		lacks(t, create("dev", "root"), authz.ContactsCreate)
		for who, at := range map[string]string{"ana": "sales", "sue": "root", "dev": "sales", "vera": "cellar"} {
			refused(t, create(who, at), refusal.NotFoundCode, "")
		}
		// A wall stops the supervisor above it.
		w.grant("sue", authz.RoleDashboardAdministrator, "root")
		refused(t, create("sue", "vault"), refusal.NotFoundCode, "")
		ok(t, create("sue", "support"))
	})
}

func TestNamesPhonesAndAddressesAreChecked(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := func(s string) *string { return &s }
		at, sue := w.groups["north"], w.as("sue")
		for _, bad := range []struct {
			field string
			in    desk.CreateContact
		}{
			{"input.name", desk.CreateContact{Name: "  "}},
			{"input.name", desk.CreateContact{Name: "\u200b"}},
			{"input.name", desk.CreateContact{Name: strings.Repeat("é", 101)}},
			{"input.name", desk.CreateContact{Name: "a\x00b"}},
			{"input.phone", desk.CreateContact{Name: "Kim", Phone: text("11 91234-1234")}},
			{"input.phone", desk.CreateContact{Name: "Kim", Phone: text("+55 •••• 1234")}},
			{"input.phone", desk.CreateContact{Name: "Kim", Phone: text("+0511912341234")}},
			{"input.phone", desk.CreateContact{Name: "Kim", Phone: text("+1234567890123456")}},
			{"input.phone", desk.CreateContact{Name: "Kim", Phone: text("")}},
			{"input.email", desk.CreateContact{Name: "Kim", Email: text("kim")}},
			{"input.email", desk.CreateContact{Name: "Kim", Email: text("Kim <kim@example.com>")}},
			{"input.email", desk.CreateContact{Name: "Kim", Email: text(strings.Repeat("a", 250) + "@example.com")}},
		} {
			bad.in.GroupID = at
			_, err := w.desk.CreateContact(sue, bad.in)
			blames(t, err, bad.field)
		}
		// A hundred characters, of any length in bytes and however they fold.
		for _, name := range []string{strings.Repeat("木", 100), strings.Repeat("ﷺ", 100), strings.Repeat("ŉ", 100)} {
			_, err := w.desk.CreateContact(sue, desk.CreateContact{GroupID: at, Name: name})
			ok(t, err)
		}
	})
}

func TestAnUpdateChangesWhatIsSetAndNullClears(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		phone, email := "+5511912341234", "kim@example.com"
		c, err := w.desk.CreateContact(w.as("sue"), desk.CreateContact{GroupID: w.groups["north"], Name: "Kim", Phone: &phone, Email: &email})
		ok(t, err)
		name := "Lee"
		got, err := w.desk.UpdateContact(w.as("sue"), desk.UpdateContact{ContactID: c.ID, Name: &name, Phone: optional.Cleared[string]()})
		ok(t, err)
		if got.Name != "Lee" || got.NameKey != "lee" || got.Phone != nil || *got.Email != email {
			t.Errorf("the contact is %v", got)
		}
		got, err = w.desk.UpdateContact(w.as("sue"), desk.UpdateContact{ContactID: c.ID, Phone: optional.To("+55 11 0000-9999"), Email: optional.Cleared[string]()})
		ok(t, err)
		if got.Name != "Lee" || *got.Phone != "+551100009999" || got.Email != nil {
			t.Errorf("the contact is %v", got)
		}
		events := w.lastEvent().ID
		_, err = w.desk.UpdateContact(w.as("sue"), desk.UpdateContact{ContactID: c.ID})
		ok(t, err)
		if w.lastEvent().ID != events {
			t.Error("a change of nothing was recorded")
		}
		_, err = w.desk.UpdateContact(w.as("sue"), desk.UpdateContact{ContactID: c.ID, Email: optional.To("kim")})
		blames(t, err, "input.email")
	})
}

// Consequence 2 of section 3 of the domain.
func TestAnAgentCannotEditOrDeleteAnyContactEvenOneAssignedToThem(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		own, waiting, hidden := w.served("kim", "ana"), w.writes("lee", "north"), w.writes("max", "south")
		for _, c := range []int64{own, waiting} {
			_, err := w.desk.UpdateContact(w.as("ana"), desk.UpdateContact{ContactID: c})
			lacks(t, err, authz.ContactsEdit)
			lacks(t, w.desk.DeleteContact(w.as("ana"), desk.DeleteContact{ContactID: c}), authz.ContactsDelete)
		}
		_, err := w.desk.UpdateContact(w.as("ana"), desk.UpdateContact{ContactID: hidden})
		refused(t, err, refusal.NotFoundCode, "")
		refused(t, w.desk.DeleteContact(w.as("ana"), desk.DeleteContact{ContactID: hidden}), refusal.NotFoundCode, "")
	})
}

func TestADeletedContactIsGoneWithEverythingSaidToIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		w.assigned(c, "bruno")
		other := w.served("lee", "ana")
		ok(t, w.desk.DeleteContact(w.as("sue"), desk.DeleteContact{ContactID: c, Reason: "Asked for it"}))
		if len(w.conversations(c))+len(w.assignments(c)) != 0 || len(w.conversations(other)) != 1 {
			t.Error("conversations or assignments are left, or gone with another contact")
		}
		if n, err := w.db.Read.Message.Query().Count(all()); err != nil || n != 1 {
			t.Errorf("%d messages are left, %v", n, err)
		}
		if e := w.lastEvent(); e.Action != "CONTACT_DELETED" || e.Reason != "Asked for it" || e.Before == nil || e.After != nil {
			t.Errorf("the audit event is %v", e)
		}
		refused(t, w.desk.DeleteContact(w.as("sue"), desk.DeleteContact{ContactID: c}), refusal.NotFoundCode, "")
		w.says("kim", nil) // a new contact
	})
}

func names(page *desk.Page) string {
	var list []string
	for _, e := range page.Entries {
		list = append(list, e.Contact.Name)
	}
	return strings.Join(list, " ")
}

func TestASearchFindsNamesAndOnlyUnmaskedNumbersAndAddresses(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		create := func(name, phone, email string) int64 {
			c, err := w.desk.CreateContact(w.as("olga"), desk.CreateContact{GroupID: w.groups["north"], Name: name, Phone: &phone, Email: &email})
			ok(t, err)
			return c.ID
		}
		own := create("Ångström", "+5511912340001", "first@example.com")
		create("100%_sure", "+5511912340002", "Second@example.com")
		create("Zoë", "+5511912340003", "ZOË.zoë@Example.org")
		w.assigned(own, "ana")
		find := func(who, text string) string {
			page, err := w.desk.Contacts(w.as(who), desk.ContactsQuery{Search: text, First: 10})
			ok(t, err)
			n, err := w.desk.ContactsCount(w.as(who), desk.ContactsQuery{Search: text})
			ok(t, err)
			if n != len(page.Entries) {
				t.Errorf("%q: %s counts %d and sees %d", text, who, n, len(page.Entries))
			}
			return names(page)
		}
		for _, c := range []struct{ who, text, want string }{
			{"ana", "ÅNGSTRÖM", "Ångström"}, {"ana", "%", "100%_sure"}, {"ana", "0%_s", "100%_sure"}, {"ana", `\`, ""},
			{"ana", " ", "Zoë 100%_sure Ångström"}, {"ana", "", "Zoë 100%_sure Ångström"},
			{"ana", "91234-0001", "Ångström"}, {"ana", "+55 11", "Ångström"}, {"sue", "+55 11", "Zoë 100%_sure Ångström"},
			{"ana", "0002", ""}, {"sue", "0002", "100%_sure"}, // not even the digits that masking shows
			{"ana", "EXAMPLE.com", "Ångström"}, {"sue", "second@", "100%_sure"}, {"bruno", "first", ""}, {"bruno", "sure", "100%_sure"},
			{"sue", ".ZOË@example.ORG", "Zoë"}, {"sue", "zoë.", ""}, // capitals outside of ASCII are found on neither database
			{"dora", "sure", ""}, {"adam", "sure", ""},
		} {
			if got := find(c.who, c.text); got != c.want {
				t.Errorf("%s finds %q by %q; want %q", c.who, got, c.text, c.want)
			}
		}
		_, err := w.desk.Contacts(w.as("ana"), desk.ContactsQuery{Search: strings.Repeat("a", 101), First: 1})
		blames(t, err, "search")
	})
}
