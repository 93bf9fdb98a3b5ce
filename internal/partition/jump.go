package partition

import "time"

// now returns the time for the events that follow. Where somebody has put the clock
// forward, what is under way has not had that time.
func (own *ownership) now() time.Time {
	if own.jumper == nil {
		return own.e.cfg.Clock.Now()
	}
	now, ahead := own.jumper.NowAhead()
	if ahead > own.ahead {
		own.core.skip(ahead - own.ahead)
		own.ahead = ahead
	}
	return now
}

// skip lets leases and locks go on for as long as before, though the clock was put
// forward by d: those who have them go by clocks that were not.
func (c *core) skip(d time.Duration) {
	for _, ls := range c.leases {
		ls.deadline = ls.deadline.Add(d)
		ls.skipped += d
		for index, s := range ls.said {
			if !s.until.IsZero() {
				s.until = s.until.Add(d)
				ls.said[index] = s
			}
		}
	}
	c.locks.Skip(d)
}
