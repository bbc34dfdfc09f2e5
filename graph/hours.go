package graph

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"canopy/graph/model"
	"canopy/internal/hours"
	"canopy/internal/optional"
	"canopy/refusal"

	"github.com/99designs/gqlgen/graphql"
)

// weekdays are in the order of package time.
var weekdays = [...]model.Weekday{model.WeekdaySunday, model.WeekdayMonday, model.WeekdayTuesday, model.WeekdayWednesday,
	model.WeekdayThursday, model.WeekdayFriday, model.WeekdaySaturday}

// shownHours are working hours as clients see them, nil for none.
func shownHours(w *hours.Week) *model.WorkingHours {
	if w == nil {
		return nil
	}
	shown := &model.WorkingHours{TimeZone: w.TimeZone, Shifts: make([]*model.Shift, len(w.Shifts))}
	for i, s := range w.Shifts {
		shown.Shifts[i] = &model.Shift{Day: weekdays[s.Day], Start: clockOf(s.Start), End: clockOf(s.End)}
	}
	return shown
}

func clockOf(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// hoursOf reads working hours as clients write them. Whether they are any is for the use-case to say.
func hoursOf(v graphql.Omittable[*model.WorkingHoursInput]) (optional.Value[hours.Week], error) {
	in, set := v.ValueOK()
	if in == nil {
		return optional.Value[hours.Week]{Set: set}, nil
	}
	week := &hours.Week{TimeZone: in.TimeZone}
	for i, s := range in.Shifts {
		start, good := minutesOf(s.Start)
		end, alsoGood := minutesOf(s.End)
		if !good || !alsoGood {
			return optional.Value[hours.Week]{}, refusal.BadInput("input.workingHours.shifts."+strconv.Itoa(i),
				"A time of day is written like 09:00, up to 24:00.")
		}
		day := time.Weekday(slices.Index(weekdays[:], s.Day))
		week.Shifts = append(week.Shifts, hours.Shift{Day: day, Start: start, End: end})
	}
	return optional.Value[hours.Week]{Set: true, To: week}, nil
}

// minutesOf reads a time of day as minutes after midnight.
func minutesOf(clock string) (int, bool) {
	hour, minute, found := strings.Cut(clock, ":")
	h, err := strconv.ParseUint(hour, 10, 8)
	m, err2 := strconv.ParseUint(minute, 10, 8)
	if !found || len(hour) != 2 || len(minute) != 2 || err != nil || err2 != nil || m > 59 || h > 24 || h == 24 && m > 0 {
		return 0, false
	}
	return int(h*60 + m), true
}
