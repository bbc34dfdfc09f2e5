package desk

import (
	"time"

	"canopy/internal/hours"
	"canopy/refusal"
)

// Interval is how long the buckets of a report are, by the name that the API gives it.
type Interval string

// The intervals.
const (
	Hour  Interval = "HOUR"
	Day   Interval = "DAY"
	Week  Interval = "WEEK" // from Monday
	Month Interval = "MONTH"
)

// MaxBuckets is how many buckets a report has at most: a year of days, or two weeks of hours.
const MaxBuckets = 400

// The years in which a report may lie.
const firstYear, lastYear = 1970, 2200

// zoneOf finds a time zone by its IANA name.
func zoneOf(name string) (*time.Location, error) {
	zone, err := hours.Zone(name)
	if err != nil {
		return nil, refusal.BadInput("timeZone", `There is no such time zone. Name one of the IANA database, such as "Europe/Lisbon" or "UTC".`)
	}
	return zone, nil
}

// cut returns the ends of the buckets into which intervals of the zone's calendar cut the time between two moments; the
// first and the last one may be shorter than the interval.
func cut(from, to time.Time, every Interval, zone *time.Location) ([]time.Time, error) {
	for i, t := range []time.Time{from, to} {
		if year := t.UTC().Year(); year < firstYear || year > lastYear {
			return nil, refusal.BadInput([]string{"from", "to"}[i], "A report lies between the years %d and %d.", firstYear, lastYear)
		}
	}
	if !from.Before(to) {
		return nil, refusal.BadInput("to", "A report ends after it begins: give a moment after `from`.")
	}
	var ends []time.Time
	for t := from.In(zone); t.Before(to); {
		t = next(t, every)
		if t.After(to) {
			t = to
		}
		if ends = append(ends, t); len(ends) > MaxBuckets {
			return nil, refusal.BadInput("interval", "A report has at most %d buckets. Ask for a longer interval, or for less time.", MaxBuckets)
		}
	}
	return ends, nil
}

// next returns the first moment after t at which the calendar of its zone begins another interval.
func next(t time.Time, every Interval) time.Time {
	year, month, day := t.Date()
	switch every {
	case Hour:
		return nextHour(t)
	case Week:
		sinceMonday := (int(t.Weekday()) + 6) % 7
		day += 7 - sinceMonday
	case Month:
		month, day = month+1, 1
	default:
		day++
	}
	return startOfDay(year, month, day, t.Location())
}

// nextHour goes on until a clock shows a full hour: where it is put back or forward by half an hour, that takes longer.
func nextHour(t time.Time) time.Time {
	for {
		t = t.Add(time.Hour - time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
		if t.Minute() == 0 && t.Second() == 0 {
			return t
		}
	}
}

// startOfDay returns the first moment of a day: midnight, or the end of the jump where clocks leave midnight out, or the
// first of two midnights.
func startOfDay(year int, month time.Month, day int, zone *time.Location) time.Time {
	date := time.Date(year, month, day, 12, 0, 0, 0, time.UTC) // brings days of the next month into their own
	t := time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, zone)
	start, end := t.ZoneBounds()
	if t.Day() != date.Day() { // a moment before the jump, as the clock before it counts
		return end.In(zone)
	}
	if start.IsZero() {
		return t
	}
	_, before := start.Add(-time.Nanosecond).Zone()
	_, after := t.Zone()
	first := t.Add(time.Duration(after-before) * time.Second) // the same time by the clock before the last change
	switch {
	case t.Hour() != 0:
		return start.In(zone)
	case first.Before(start):
		return first
	}
	return t
}
