package rabbitmq

import (
	"testing"
	"time"
)

func TestDoubtEnds(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	const stamp uint64 = 1<<64 - 5 // stamps wrap
	for name, c := range map[string]struct {
		happens func(d *doubt)
		after   time.Duration
		full    bool
		want    bool // that it is over
	}{
		"never by itself": {func(*doubt) {}, time.Hour, false, false},
		"with something newer, and the next question": {func(d *doubt) { d.gave(4); d.asked(false) }, 0, false, true},
		"not before the next question":                {func(d *doubt) { d.asked(false); d.gave(stamp) }, time.Hour, false, false},
		"not with something older":                    {func(d *doubt) { d.gave(stamp - 1); d.asked(false) }, time.Hour, false, false},
		"not with something of another process":       {func(d *doubt) { d.gave(1 << 60); d.asked(false) }, time.Hour, false, false},
		"when nothing comes for a while":              {func(d *doubt) { d.asked(true) }, standby, false, true},
		"not sooner":                                  {func(d *doubt) { d.asked(true) }, standby - 1, false, false},
		"not while there is no room":                  {func(d *doubt) { d.asked(true) }, time.Hour, true, false},
		"not while something is there":                {func(d *doubt) { d.asked(true); d.asked(false) }, time.Hour, false, false},
		"not without a subscription":                  {func(d *doubt) { d.asked(true); d.lost(start) }, time.Hour, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoubt()
			d.subscribed(start, stamp)
			c.happens(&d)
			now := start.Add(c.after)
			certain := d.certain(now, !c.full)
			if over := certain.Equal(now); over != c.want || !over && !certain.IsZero() {
				t.Errorf("certain since %v", certain)
			}
		})
	}
}

func TestDoubtComesBackWithALostSubscription(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	d := newDoubt()
	d.subscribed(now, 1)
	d.gave(1)
	d.asked(true)
	d.lost(now)
	later := now.Add(time.Hour)
	if got, want := d.certain(later, true), now.Add(-ackGrace); !got.Equal(want) {
		t.Errorf("certain since %v, want %v", got, want)
	}
	d.lost(later) // changes nothing: it was not over
	d.subscribed(later, 2)
	if got, want := d.certain(later, true), now.Add(-ackGrace); !got.Equal(want) {
		t.Errorf("certain since %v, want %v", got, want)
	}
	d.gave(2)
	d.asked(false)
	if got := d.certain(later, true); !got.Equal(later) {
		t.Errorf("certain since %v, want %v", got, later)
	}
}
