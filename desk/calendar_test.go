package desk

import (
	"testing"
	"time"
)

// TestIntervalsBeginWhereTheCalendarSaysSo walks through years of clocks that are put forward and back, at midnight, by
// half an hour and over a whole day, minute by minute, and sees where another interval begins.
func TestIntervalsBeginWhereTheCalendarSaysSo(t *testing.T) {
	key := map[Interval]func(time.Time) any{
		Day: func(t time.Time) any { return [3]int{t.Year(), int(t.Month()), t.Day()} },
		Week: func(t time.Time) any {
			year, week := t.ISOWeek()
			return [2]int{year, week}
		},
		Month: func(t time.Time) any { return [2]int{t.Year(), int(t.Month())} },
	}
	for _, c := range []struct{ zone, from, to string }{
		{"UTC", "2027-02-20", "2027-03-10"},
		{"Europe/Lisbon", "2027-03-20", "2027-04-05"},
		{"Europe/Lisbon", "2027-10-25", "2027-11-05"},
		{"America/New_York", "2027-11-01", "2027-11-12"},
		{"America/Sao_Paulo", "2017-10-10", "2017-10-20"}, // no midnight
		{"America/Sao_Paulo", "2018-02-14", "2018-02-20"}, // 23 o'clock twice
		{"America/Havana", "2023-03-08", "2023-03-16"},    // no midnight
		{"America/Havana", "2023-11-01", "2023-11-08"},    // midnight twice
		{"Asia/Beirut", "2022-03-20", "2022-04-02"},
		{"Australia/Lord_Howe", "2027-04-01", "2027-04-07"}, // by half an hour
		{"Australia/Lord_Howe", "2027-09-28", "2027-10-06"},
		{"Asia/Kathmandu", "2027-01-28", "2027-02-03"},
		{"Pacific/Apia", "2011-12-25", "2012-01-05"}, // without the 30th of December
	} {
		zone, err := zoneOf(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		from, _ := time.Parse(time.DateOnly, c.from)
		to, _ := time.Parse(time.DateOnly, c.to)
		for _, every := range []Interval{Hour, Day, Week, Month} {
			var want []time.Time
			for m := from.Add(time.Minute); m.Before(to); m = m.Add(time.Minute) {
				begins := every == Hour && m.In(zone).Minute() == 0 // also when clocks show an hour twice
				if begins || every != Hour && key[every](m.In(zone)) != key[every](m.Add(-time.Minute).In(zone)) && !backward(m, zone) {
					want = append(want, m)
				}
			}
			var got []time.Time
			for m := next(from.In(zone), every); m.Before(to); m = next(m, every) {
				got = append(got, m)
			}
			if len(got) != len(want) {
				t.Errorf("%s %s from %s: %d begin, want %d", c.zone, every, c.from, len(got), len(want))
				continue
			}
			for i := range got {
				if !got[i].Equal(want[i]) {
					t.Errorf("%s %s: %s begins, want %s", c.zone, every, got[i], want[i].In(zone))
				}
			}
		}
	}
}

// backward says whether the clock only goes back into a day that had begun already.
func backward(m time.Time, zone *time.Location) bool {
	date := func(t time.Time) time.Time {
		year, month, day := t.In(zone).Date()
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	return date(m).Before(date(m.Add(-time.Minute)))
}
