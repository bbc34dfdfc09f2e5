// Package hours is about working hours: the shifts of a week, by the clocks of a place.
package hours

import (
	"time"
	_ "time/tzdata" // the machine may have no time zones
)

// Week is when somebody works, every week.
type Week struct {
	TimeZone string  `json:"timeZone"` // an IANA name: Africa/Nairobi
	Shifts   []Shift `json:"shifts"`
}

// Shift is a part of a week.
type Shift struct {
	Day   time.Weekday `json:"day"`
	Start int          `json:"start"` // minutes after midnight, 0 to 1439
	End   int          `json:"end"`   // minutes after midnight, up to 1440; not after Start: on the next day
}

// Zone is the place with the IANA name, whose clocks count. The name "Local" is no place.
func Zone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, errNoZone
	}
	return time.LoadLocation(name)
}

type zoneError string

func (e zoneError) Error() string { return string(e) }

const errNoZone = zoneError("hours: this is not the name of a time zone")

// span is a shift on a certain day.
type span struct{ start, end time.Time }

// around returns the shifts from the day before the moment to a week after it. What the clocks leave out (the hour that
// is skipped in spring) is begun and ended when they go on; what they show twice is worked twice.
func (w *Week) around(at time.Time) []span {
	zone, err := Zone(w.TimeZone)
	if err != nil {
		return nil
	}
	local := at.In(zone)
	var spans []span
	for days := -1; days <= 7; days++ {
		day := time.Date(local.Year(), local.Month(), local.Day()+days, 12, 0, 0, 0, zone)
		for _, s := range w.Shifts {
			if s.Day != day.Weekday() {
				continue
			}
			end := s.End
			if end <= s.Start {
				end += 24 * 60
			}
			spans = append(spans, span{clock(day, s.Start, zone), clock(day, end, zone)})
		}
	}
	return spans
}

// clock is the moment at which the clocks show so many minutes after the midnight with which the day begins.
func clock(day time.Time, minutes int, zone *time.Location) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), 0, minutes, 0, 0, zone)
}

// Includes says whether the moment is in a shift. Without hours (nil) everything is.
func (w *Week) Includes(at time.Time) bool {
	if w == nil {
		return true
	}
	for _, s := range w.around(at) {
		if !at.Before(s.start) && at.Before(s.end) {
			return true
		}
	}
	return false
}

// Next is the next moment after the given one at which a shift begins; false when none does within a week.
func (w *Week) Next(at time.Time) (next time.Time, some bool) {
	if w == nil {
		return time.Time{}, false
	}
	for _, s := range w.around(at) {
		if s.start.After(at) && (!some || s.start.Before(next)) {
			next, some = s.start, true
		}
	}
	return next, some
}

// Turn is the next moment after the given one at which a shift begins or ends; false when none does within a week.
func (w *Week) Turn(at time.Time) (next time.Time, some bool) {
	if w == nil {
		return time.Time{}, false
	}
	for _, s := range w.around(at) {
		for _, t := range []time.Time{s.start, s.end} {
			if t.After(at) && (!some || t.Before(next)) {
				next, some = t, true
			}
		}
	}
	return next, some
}
