package kv

import (
	"bytes"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Values of the schedule are written once, beside its tables. A row of it is written in
// the order of submits and lies in the order of times, which may be months away: all
// rows are moved again and again while they are merged into those that are there. What
// is moved is then the key and where the value is.
const (
	apartBytes = 64 // values that are shorter stay with their keys
	// apartFiles is how many files may have values of one stretch of keys. Each of them
	// is in the order of keys, so that who reads on reads each of them on.
	apartFiles = 64
	// Files of which so much is not used any more are written anew, when they are old
	// enough: what comes due soon has gone by then.
	apartGarbage = 0.4
	apartAge     = 10 * time.Minute
)

// apartTable is the table of the store, behind SpaceStoreTable, whose values are kept
// apart: the schedule.
const apartTable byte = 5

// apart makes Pebble keep the values of the schedule apart.
func apart(o *pebble.Options) {
	from, to := []byte{SpaceStoreTable, apartTable}, []byte{SpaceStoreTable, apartTable + 1}
	o.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		return pebble.ValueSeparationPolicy{
			Enabled: true, MinimumSize: apartBytes, MaxBlobReferenceDepth: apartFiles, RewriteMinimumAge: apartAge, TargetGarbageRatio: apartGarbage,
		}
	}
	o.Experimental.SpanPolicyFunc = func(start []byte) (policy pebble.SpanPolicy, end []byte, err error) {
		switch {
		case bytes.Compare(start, from) < 0:
			return pebble.SpanPolicy{ValueStoragePolicy: pebble.ValueStorageLowReadLatency}, from, nil
		case bytes.Compare(start, to) < 0:
			return pebble.SpanPolicy{}, to, nil
		default:
			return pebble.SpanPolicy{ValueStoragePolicy: pebble.ValueStorageLowReadLatency}, nil, nil
		}
	}
}
