package task

import "time"

// Timestamp is a hybrid logical clock reading (Kulkarni et al., 2014): the Unix
// microsecond in the upper 52 bits, a counter that breaks ties in the lower 12.
// Readings of one node only grow. Zero means unset.
type Timestamp uint64

const logicalBits = 12

// TimestampAt returns the first reading of the given moment.
func TimestampAt(t time.Time) Timestamp {
	return Timestamp(uint64(t.UnixMicro()) << logicalBits)
}

// Time returns the moment of the reading, to the microsecond, in UTC.
func (ts Timestamp) Time() time.Time {
	if ts == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(ts >> logicalBits)).UTC()
}

// Next returns the reading that follows last at the moment now: the moment
// itself when it is ahead of last, else one tick after last.
func Next(last Timestamp, now time.Time) Timestamp {
	if ts := TimestampAt(now); ts > last {
		return ts
	}
	return last + 1
}
