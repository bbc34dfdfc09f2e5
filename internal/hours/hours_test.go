package hours_test

import (
	"testing"
	"time"

	"canopy/internal/hours"
)

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestHoursAreThoseOfTheClocksOfThePlace(t *testing.T) {
	sundays := &hours.Week{TimeZone: "Europe/Berlin", Shifts: []hours.Shift{
		{Day: time.Sunday, Start: 1 * 60, End: 4 * 60},
		{Day: time.Saturday, Start: 22 * 60, End: 60}, // over midnight
		{Day: time.Monday, Start: 9 * 60, End: 17 * 60},
	}}
	nights := &hours.Week{TimeZone: "Asia/Kolkata", Shifts: []hours.Shift{{Day: time.Monday, Start: 0, End: 1440}}}
	for _, c := range []struct {
		week *hours.Week
		at   string
		want bool
	}{
		{sundays, "2027-03-29T08:59:59+02:00", false},
		{sundays, "2027-03-29T09:00:00+02:00", true}, // a Monday
		{sundays, "2027-03-29T16:59:59+02:00", true},
		{sundays, "2027-03-29T17:00:00+02:00", false},
		{sundays, "2027-03-29T07:00:00Z", true},                       // summer time since yesterday
		{sundays, "2027-03-22T07:30:00Z", false},                      // winter time still: half past eight
		{sundays, "2027-03-27T22:30:00+01:00", true},                  // Saturday evening
		{sundays, "2027-03-28T00:59:00+01:00", true},                  // and its end
		{sundays, "2027-03-28T01:59:00+01:00", true},                  // a minute later it is three o'clock
		{sundays, "2027-03-28T02:30:00+01:00", true},                  // 3:30
		{sundays, "2027-03-28T03:00:00+01:00", false},                 // 4:00
		{sundays, "2027-10-31T02:30:00+02:00", true},                  // shown twice
		{sundays, "2027-10-31T02:30:00+01:00", true},                  // the second time
		{sundays, "2027-10-31T04:00:00+01:00", false},                 //
		{nights, "2027-03-28T18:30:00Z", true},                        // Monday begins in Kolkata
		{nights, "2027-03-28T18:29:59Z", false},                       //
		{nights, "2027-03-29T18:30:00Z", false},                       // and ends
		{nil, "2027-03-29T18:30:00Z", true},                           // none is always
		{&hours.Week{TimeZone: "UTC"}, "2027-03-29T18:30:00Z", false}, // no shift is never
	} {
		if got := c.week.Includes(moment(t, c.at)); got != c.want {
			t.Errorf("%v at %s: %v", c.week, c.at, got)
		}
	}
	for at, want := range map[string]string{
		"2027-03-22T07:30:00Z":      "2027-03-22T09:00:00+01:00",
		"2027-03-28T00:00:00+01:00": "2027-03-28T01:00:00+01:00",
		"2027-03-28T04:00:00+02:00": "2027-03-29T09:00:00+02:00",
		"2027-03-29T09:00:00+02:00": "2027-04-03T22:00:00+02:00",
	} {
		if got, some := sundays.Next(moment(t, at)); !some || !got.Equal(moment(t, want)) {
			t.Errorf("after %s comes %s; want %s", at, got, want)
		}
	}
	weekly := &hours.Week{TimeZone: "UTC", Shifts: []hours.Shift{{Day: time.Monday, Start: 0, End: 60}}}
	if got, some := weekly.Next(moment(t, "2027-03-29T00:00:00Z")); !some || !got.Equal(moment(t, "2027-04-05T00:00:00Z")) {
		t.Errorf("a week later comes %s", got)
	}
	for at, want := range map[string]string{
		"2027-03-28T23:59:00Z": "2027-03-29T00:00:00Z",
		"2027-03-29T00:00:00Z": "2027-03-29T01:00:00Z",
		"2027-03-29T01:00:00Z": "2027-04-05T00:00:00Z",
	} {
		if got, some := weekly.Turn(moment(t, at)); !some || !got.Equal(moment(t, want)) {
			t.Errorf("after %s begins or ends at %s; want %s", at, got, want)
		}
	}
}

func TestOnlyIANANamesAreTimeZones(t *testing.T) {
	for name, good := range map[string]bool{"Africa/Nairobi": true, "UTC": true, "": false, "Local": false, "Nowhere/At_All": false, "../etc/passwd": false} {
		if _, err := hours.Zone(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
