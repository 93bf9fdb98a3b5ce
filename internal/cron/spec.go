package cron

import (
	"strings"
	"time"
	_ "time/tzdata" // zones are known where the machine has none, as in a bare container

	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of what a spec may say.
const (
	MaxSpec    = 256 // bytes
	LeastEvery = time.Second
	MostEvery  = task.MaxDelay
)

// searched is how far ahead a tick is looked for: the 29th of February is at most
// eight years away.
const searched = 8*366 + 1

// Spec is when a schedule ticks.
type Spec struct {
	every time.Duration // instead of the fields; zero: none

	second, minute, hour, day, month, weekday set
}

// Parse reads a spec: minute, hour, day of month, month and day of week, with a
// second before them where there are six; or @yearly, @monthly, @weekly, @daily,
// @hourly, or @every with a duration.
func Parse(text string) (Spec, error) {
	s, err := parse(text)
	if err == nil && s.every == 0 {
		if _, ok := s.nextWall(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); !ok {
			return Spec{}, task.Errorf(task.CodeInvalidArgument, "spec %q names a day that no month has", text).WithField("spec")
		}
	}
	return s, err
}

func parse(text string) (Spec, error) {
	if len(text) > MaxSpec {
		return Spec{}, task.Errorf(task.CodeTooLarge, "the spec has %d bytes; at most %d are allowed", len(text), MaxSpec).WithField("spec")
	}
	if after, ok := strings.CutPrefix(text, "@every "); ok {
		every, err := time.ParseDuration(strings.TrimSpace(after))
		if err != nil || every < LeastEvery || every > MostEvery || every%time.Second != 0 {
			return Spec{}, task.Errorf(task.CodeInvalidArgument, "spec %q: want @every with whole seconds from 1s to 8784h, as @every 90s", text).WithField("spec")
		}
		return Spec{every: every}, nil
	}
	parts := strings.Fields(descriptor(text))
	if len(parts) == 5 {
		parts = append([]string{"0"}, parts...)
	}
	if len(parts) != 6 {
		return Spec{}, task.Errorf(task.CodeInvalidArgument,
			"spec %q: want 5 fields (minute, hour, day of month, month, day of week), 6 with a second before them, or @yearly, @monthly, @weekly, @daily, @hourly or @every 90s",
			text).WithField("spec")
	}
	var s Spec
	known := fields()
	for i, to := range []*set{&s.second, &s.minute, &s.hour, &s.day, &s.month, &s.weekday} {
		var err error
		if *to, err = known[i].parse(parts[i]); err != nil {
			return Spec{}, task.Errorf(task.CodeInvalidArgument, "spec %q: %w", text, err).WithField("spec")
		}
	}
	return s, nil
}

func descriptor(text string) string {
	switch strings.TrimSpace(text) {
	case "@yearly", "@annually":
		return "0 0 1 1 *"
	case "@monthly":
		return "0 0 1 * *"
	case "@weekly":
		return "0 0 * * 0"
	case "@daily", "@midnight":
		return "0 0 * * *"
	case "@hourly":
		return "0 * * * *"
	}
	return text
}

// Next returns the first tick after a moment, in whole seconds; zero: there is none.
// A spec with @every ticks at whole multiples from the anchor on.
func (s *Spec) Next(after, anchor time.Time, zone *time.Location) time.Time {
	if s.every > 0 {
		if after.Before(anchor) {
			return anchor.Add(s.every)
		}
		return anchor.Add((after.Sub(anchor)/s.every + 1) * s.every)
	}
	if s.hour.star {
		return s.nextElapsed(after.In(zone)).UTC()
	}
	return s.nextNamed(after.In(zone)).UTC()
}

// wall is what clocks on the wall show at a moment, as if it were UTC.
func wall(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// nextElapsed follows the time that passes: what the clocks show is met as often as
// they show it. Between two changes of the clocks both go alike.
func (s *Spec) nextElapsed(after time.Time) time.Time {
	from := after.Truncate(time.Second).Add(time.Second)
	for limit := after.AddDate(0, 0, searched); from.Before(limit); {
		shown, ok := s.nextWall(wall(from).Add(-time.Second))
		if !ok {
			break
		}
		at := from.Add(shown.Sub(wall(from)))
		_, change := from.ZoneBounds()
		if change.IsZero() || at.Before(change) {
			return at
		}
		from = change
	}
	return time.Time{}
}

// nextNamed meets each local time that the spec names once: at its first
// occurrence, or where it does not exist at the moment that clocks are put forward.
func (s *Spec) nextNamed(after time.Time) time.Time {
	for shown := wall(after); ; {
		var ok bool
		if shown, ok = s.nextWall(shown); !ok {
			return time.Time{}
		}
		if at := moment(shown, after.Location()); at.After(after) {
			return at
		}
	}
}

// moment returns when the clocks of a zone first show something, or, where they
// never do, when they skip it.
func moment(shown time.Time, zone *time.Location) time.Time {
	year, month, day := shown.Date()
	hour, minute, second := shown.Clock()
	at := time.Date(year, month, day, hour, minute, second, 0, zone)
	start, end := at.ZoneBounds()
	if !wall(at).Equal(shown) { // skipped at one of the two bounds
		for _, change := range []time.Time{start, end} {
			if !change.IsZero() && !shown.Before(wall(change.Add(-time.Nanosecond).In(zone))) && shown.Before(wall(change.In(zone))) {
				return change.In(zone)
			}
		}
		return at
	}
	if start.IsZero() {
		return at
	}
	before := start.Add(-time.Nanosecond).In(zone)
	if earlier := before.Add(shown.Sub(wall(before))); earlier.Before(start) {
		return earlier
	}
	return at
}

// nextWall returns the first time after a local one that the fields allow.
func (s *Spec) nextWall(after time.Time) (time.Time, bool) {
	t := after.Truncate(time.Second).Add(time.Second)
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	from := t.Sub(day)
	for range searched {
		if s.allows(day) {
			if clock, ok := s.nextClock(from); ok {
				return day.Add(clock), true
			}
		}
		day, from = day.AddDate(0, 0, 1), 0
	}
	return time.Time{}, false
}

// allows reports whether the spec has ticks on a day. Where both the day of the
// month and that of the week are given, one of them is enough.
func (s *Spec) allows(day time.Time) bool {
	if !s.month.has(int(day.Month())) {
		return false
	}
	inMonth, inWeek := s.day.has(day.Day()), s.weekday.has(int(day.Weekday()))
	if s.day.star || s.weekday.star {
		return inMonth && inWeek
	}
	return inMonth || inWeek
}

// nextClock returns the first time of a day, from the given one on.
func (s *Spec) nextClock(from time.Duration) (time.Duration, bool) {
	total := int(from / time.Second)
	hour, minute, second := total/3600, total/60%60, total%60
	h, ok := s.hour.next(hour)
	if !ok {
		return 0, false
	}
	if h == hour {
		m, ok := s.minute.next(minute)
		if ok && m == minute {
			if sec, ok := s.second.next(second); ok {
				return clock(h, m, sec), true
			}
			m, ok = s.minute.next(minute + 1)
		}
		if ok {
			return clock(h, m, s.second.first()), true
		}
		if h, ok = s.hour.next(hour + 1); !ok {
			return 0, false
		}
	}
	return clock(h, s.minute.first(), s.second.first()), true
}

func clock(hour, minute, second int) time.Duration {
	return time.Duration(hour*3600+minute*60+second) * time.Second
}
