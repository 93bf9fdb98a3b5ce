package cron

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func mustParse(tb testing.TB, text string) Spec {
	tb.Helper()
	s, err := Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func mustZone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		tb.Fatal(err)
	}
	return zone
}

func TestTicksOfASpec(t *testing.T) {
	for _, tc := range []struct {
		spec, zone, after string
		want              string // as the clocks of the zone show it
	}{
		{"*/15 * * * *", "UTC", "2026-03-01T10:07:00Z", "10:15:00 10:30:00 10:45:00"},
		{"30 9 * * mon-fri", "UTC", "2026-03-06T10:00:00Z", "Mon 09:30:00 Tue 09:30:00 Wed 09:30:00"},
		{"5/20 0 12 * * *", "UTC", "2026-03-01T00:00:00Z", "12:00:05 12:00:25 12:00:45"},
		{"0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29 2108-02-29"},
		{"0 0 13 * fri", "UTC", "2026-03-01T00:00:00Z", "03-06 03-13 03-20"},
		{"0 0 * * 7", "UTC", "2026-03-01T00:00:00Z", "03-08 03-15"},
		{"@monthly", "UTC", "2026-03-01T00:00:00Z", "04-01 05-01"},
		{"@yearly", "UTC", "2026-03-01T00:00:00Z", "2027-01-01"},
		{"0 12 1 JAN,jul ?", "UTC", "2026-03-01T00:00:00Z", "2026-07-01 2027-01-01"},
		// Clocks go forward from 02:00 to 03:00: 02:30 does not exist, and is met at the jump.
		{"30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", "03-28 02:30:00 +0100;03-29 03:00:00 +0200;03-30 02:30:00 +0200"},
		{"0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "03-29 03:00:00 +0200;03-30 02:00:00 +0200;03-30 02:30:00 +0200"},
		{"0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "03-29 03:00:00 +0200;03-30 02:00:00 +0200"},
		{"30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "01:30:00 +0100;03:30:00 +0200;04:30:00 +0200"},
		// Clocks go back from 03:00 to 02:00: 02:30 exists twice, and is met the first time.
		{"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "10-25 02:30:00 +0200;10-26 02:30:00 +0100"},
		{"0 2,3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "10-25 02:00:00 +0200;10-25 03:00:00 +0100"},
		{"*/30 * * * *", "Europe/Berlin", "2026-10-24T23:59:00Z", "02:00:00 +0200;02:30:00 +0200;02:00:00 +0100;02:30:00 +0100;03:00:00 +0100"},
		// Half an hour, and a change at midnight.
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "10-04 02:30:00 +1100;10-05 02:15:00 +1100"},
		{"0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", "09-06 01:00:00 -0300;09-07 00:00:00 -0300"},
		// A day that a zone left out.
		{"0 8 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", "12-29 08:00:00 -1000;12-31 00:00:00 +1400;12-31 08:00:00 +1400"},
	} {
		t.Run(tc.spec+" "+tc.zone+" "+tc.after, func(t *testing.T) {
			spec, zone := mustParse(t, tc.spec), mustZone(t, tc.zone)
			at, err := time.Parse(time.RFC3339, tc.after)
			if err != nil {
				t.Fatal(err)
			}
			wants := strings.Split(tc.want, ";")
			if len(wants) == 1 {
				wants = splitEvery(tc.want)
			}
			for _, want := range wants {
				at = spec.Next(at, at, zone)
				if got := at.In(zone).Format(layoutOf(want)); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		})
	}
}

// splitEvery splits at blanks, but not behind a weekday.
func splitEvery(text string) (all []string) {
	for word := range strings.FieldsSeq(text) {
		if n := len(all); n > 0 && len(all[n-1]) == 3 {
			all[n-1] += " " + word
			continue
		}
		all = append(all, word)
	}
	return all
}

func layoutOf(text string) string {
	for _, layout := range []string{"15:04:05", "Mon 15:04:05", "2006-01-02", "01-02", "01-02 15:04:05 -0700", "15:04:05 -0700"} {
		if _, err := time.Parse(layout, text); err == nil {
			return layout
		}
	}
	return "?"
}

func TestWrongSpecsAreRefusedInWords(t *testing.T) {
	for spec, want := range map[string]string{
		"":                                "5 fields",
		"* * * *":                         "5 fields",
		"* * * * * * *":                   "5 fields",
		"60 * * * *":                      "minute",
		"* 24 * * *":                      "hour",
		"* * 0 * *":                       "day of month",
		"* * * 13 *":                      "month",
		"* * * * 8":                       "day of week",
		"5-1 * * * *":                     "lower to the higher",
		"*/0 * * * *":                     "step",
		"*/x * * * *":                     "step",
		"a * * * *":                       "minute",
		"0 0 * * tues":                    "day of week",
		"0 0 30 2 *":                      "no month has",
		"@every 1ms":                      "@every",
		"@every x":                        "@every",
		"@every 1500ms":                   "@every",
		"@every 9000h":                    "@every",
		"@often":                          "@hourly",
		"TZ=Europe/Berlin * * * * *":      "second",
		strings.Repeat("1,", 200) + "1 1": "bytes",
	} {
		t.Run(spec, func(t *testing.T) {
			_, err := Parse(spec)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v, want something about %q", err, want)
			}
			if refusal, ok := errors.AsType[*task.Error](err); !ok || refusal.Field != "spec" {
				t.Errorf("%T blames another field", err)
			}
		})
	}
}

func TestEveryCountsFromItsAnchor(t *testing.T) {
	spec := mustParse(t, "@every 90s")
	anchor := time.Date(2026, 1, 1, 0, 0, 10, 0, time.UTC)
	at := anchor
	for i := range 5 {
		at = spec.Next(at, anchor, time.UTC)
		if want := anchor.Add(time.Duration(i+1) * 90 * time.Second); !at.Equal(want) {
			t.Errorf("tick %d at %v, want %v", i, at, want)
		}
	}
	if got := spec.Next(anchor.Add(-time.Hour), anchor, time.UTC); !got.Equal(anchor.Add(90 * time.Second)) {
		t.Errorf("first tick at %v", got)
	}
}

// calendar is what the clocks of a zone show in each minute of a time, by counting.
type calendar struct {
	first map[time.Time]time.Time // what is shown: when it is shown first
	order []time.Time             // moments, one a minute
	shown []time.Time
}

func newCalendar(zone *time.Location, from, to time.Time) *calendar {
	c := &calendar{first: map[time.Time]time.Time{}}
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		y, m, d := at.In(zone).Date()
		shown := time.Date(y, m, d, at.In(zone).Hour(), at.In(zone).Minute(), 0, 0, time.UTC)
		if _, twice := c.first[shown]; !twice {
			c.first[shown] = at
		}
		c.order, c.shown = append(c.order, at), append(c.shown, shown)
	}
	return c
}

// ticks finds those of a spec by looking at every minute.
func (c *calendar) ticks(s *Spec) (ticks []time.Time) {
	allowed := func(shown time.Time) bool {
		return s.allows(shown.Truncate(24*time.Hour)) && s.hour.has(shown.Hour()) && s.minute.has(shown.Minute())
	}
	for i, at := range c.order {
		shown := c.shown[i]
		if s.hour.star {
			if allowed(shown) {
				ticks = append(ticks, at)
			}
			continue
		}
		tick := allowed(shown) && c.first[shown].Equal(at)
		if i > 0 { // what was skipped since the minute before
			for left := c.shown[i-1].Add(time.Minute); left.Before(shown); left = left.Add(time.Minute) {
				tick = tick || allowed(left)
			}
		}
		if tick {
			ticks = append(ticks, at)
		}
	}
	return ticks
}

func TestTicksAroundChangesOfTheClocksAreThoseThatCountingFinds(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "Australia/Lord_Howe", "America/New_York"} {
		zone := mustZone(t, name)
		for _, month := range []time.Month{time.March, time.April, time.October, time.November} {
			from := time.Date(2026, month, 1, 0, 0, 0, 0, time.UTC)
			to := from.AddDate(0, 1, 0)
			counted := newCalendar(zone, from, to)
			for _, text := range []string{"30 2 * * *", "*/20 1-3 * * sun", "0 */2 * * *", "7 * * * *", "0 0,3 1,15 * *", "45 1 25 10 *"} {
				t.Run(fmt.Sprint(name, " ", month, " ", text), func(t *testing.T) {
					spec := mustParse(t, text)
					var got []time.Time
					for at := spec.Next(from.Add(-1), from, zone); at.Before(to) && !at.IsZero(); at = spec.Next(at, from, zone) {
						got = append(got, at)
					}
					if want := counted.ticks(&spec); !slices.EqualFunc(got, want, time.Time.Equal) {
						t.Errorf("ticks %v, counting finds %v", got, want)
					}
				})
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"* * * * *", "@every 3s", "1-5/2 0 1,2 jan mon", "@daily", "59 23 31 12 7", "0 0 0 29 2 ?"} {
		f.Add(text)
	}
	after := time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := Parse(text)
		if err != nil {
			return
		}
		if next := spec.Next(after, after, time.UTC); !next.After(after) {
			t.Errorf("%q ticks at %v after %v", text, next, after)
		}
	})
}
