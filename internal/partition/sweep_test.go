package partition

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
)

func TestOnlyMarksThatNoRepeatNeedsAreSwept(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for name, c := range map[string]struct {
		expires, certain time.Time
		want             bool
	}{
		"expired":                               {now.Add(-time.Second), now, true},
		"not expired":                           {now.Add(time.Second), now, false},
		"never expires":                         {time.Time{}, now, false},
		"expired before what may come again":    {now.Add(-time.Hour), now.Add(-time.Minute), true},
		"may be that of a task that comes":      {now.Add(-time.Minute), now.Add(-time.Hour), false},
		"expired, and anything may come again":  {now.Add(-time.Hour), time.Time{}, false},
		"expires at the moment of doubt itself": {now.Add(-time.Hour), now.Add(-time.Hour), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sweepable(&store.Dedup{Expires: c.expires}, now, c.certain); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// lateReader is a reader that knows only so much.
type lateReader struct {
	broker.Reader
	certain time.Time
}

func (r lateReader) Certain() time.Time { return r.certain }

func TestTheReaderThatKnowsLeastDecidesWhatIsCertain(t *testing.T) {
	clk := &handClock{now: time.Unix(1_800_000_000, 0)}
	own := (&owner{e: &Engine{cfg: Config{Clock: clk}}}).newOwnership()
	check := func(want time.Time) {
		t.Helper()
		if got := own.certain(); !got.Equal(want) {
			t.Errorf("certain since %v, want %v", got, want)
		}
	}
	check(clk.now)
	own.feeders["embedded"] = &feeder{}
	check(clk.now)
	own.feeders["behind"] = &feeder{reader: lateReader{certain: clk.now.Add(-time.Hour)}}
	own.feeders["ahead"] = &feeder{reader: lateReader{certain: clk.now.Add(time.Hour)}}
	check(clk.now.Add(-time.Hour))
	own.feeders["new"] = &feeder{reader: lateReader{}}
	check(time.Time{})
}
