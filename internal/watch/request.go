package watch

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of a request.
const (
	MaxKeys         = 10_000                 // of Request.Keys
	minProgress     = 100 * time.Millisecond // of Request.Progress
	maxProgress     = time.Hour
	defaultProgress = time.Second
)

// Request says what a watch is about and where it begins.
type Request struct {
	Prefix string   // of keys; empty: all keys
	Keys   []string // these keys only, at most MaxKeys; not together with Prefix
	Name   string   // only records of this name; empty: of every name
	Parts  []int    // only these partitions; empty: all, or those of Keys

	// One of these says where the watch begins; none: with what changes from now on.
	From    []Position // one for each partition
	Initial bool       // with the records as they are
	Oldest  bool       // with the oldest change that the op log has

	// Progress is how often positions are told while nothing else is; default 1 s,
	// 100 ms to 1 h.
	Progress time.Duration
}

// Position is how far a watch is in one partition. A watch that begins there goes
// on as if it had not been interrupted.
type Position struct {
	Part int
	Seq  uint64 // everything up to this number of the op log is done with
	// Reading says that the records as they are have been handed out up to Key and
	// Name only; both empty: none yet.
	Reading   bool
	Key, Name string
}

// filter tells which records are watched.
type filter struct {
	prefix string
	keys   map[string]struct{} // nil: by prefix
	name   string
}

func (f *filter) match(key, name string) bool {
	if f.name != "" && name != f.name || store.IsIndex(key) {
		return false
	}
	if f.keys != nil {
		_, ok := f.keys[key]
		return ok
	}
	return strings.HasPrefix(key, f.prefix) && !strings.HasPrefix(key, task.ActivityPrefix)
}

// keysOf returns the keys of one partition, sorted.
func (f *filter) keysOf(part, partitions int) (keys []string) {
	for key := range f.keys {
		if task.PartitionOf(key, partitions) == part {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// filter checks what the request is about.
func (r *Request) filter() (filter, error) {
	switch {
	case len(r.Keys) > 0 && r.Prefix != "":
		return filter{}, task.Errorf(task.CodeInvalidArgument, "the watch has a prefix and keys: give one of them").WithField("keys")
	case len(r.Keys) > MaxKeys:
		return filter{}, task.Errorf(task.CodeInvalidArgument, "the watch has %d keys: at most %d are allowed, or a prefix", len(r.Keys), MaxKeys).WithField("keys")
	case len(r.Prefix) > task.MaxKey:
		return filter{}, task.Errorf(task.CodeInvalidArgument, "the prefix has %d bytes: a key has at most %d", len(r.Prefix), task.MaxKey).WithField("key_prefix")
	case len(r.Name) > task.MaxRecordName:
		return filter{}, task.Errorf(task.CodeInvalidArgument, "the name has %d bytes: at most %d are allowed", len(r.Name), task.MaxRecordName).WithField("name")
	}
	f := filter{prefix: r.Prefix, name: r.Name}
	if len(r.Keys) > 0 {
		f.keys = make(map[string]struct{}, len(r.Keys))
		for _, key := range r.Keys {
			if key == "" || len(key) > task.MaxKey {
				return filter{}, task.Errorf(task.CodeInvalidArgument, "a key has 1 to %d bytes, this one has %d", task.MaxKey, len(key)).WithField("keys")
			}
			f.keys[key] = struct{}{}
		}
	}
	return f, nil
}

// parts returns the partitions to watch, sorted, each once.
func (r *Request) parts(f *filter, partitions int) ([]int, error) {
	var parts []int
	switch {
	case len(r.Parts) > 0:
		parts = slices.Clone(r.Parts)
	case f.keys != nil:
		for key := range f.keys {
			parts = append(parts, task.PartitionOf(key, partitions))
		}
	default:
		for part := range partitions {
			parts = append(parts, part)
		}
	}
	slices.Sort(parts)
	parts = slices.Compact(parts)
	if first, last := parts[0], parts[len(parts)-1]; first < 0 || last >= partitions {
		return nil, task.Errorf(task.CodeInvalidArgument, "there are partitions 0 to %d only", partitions-1).WithField("partitions")
	}
	return parts, nil
}

// progress checks how often positions are told.
func (r *Request) progress() (time.Duration, error) {
	switch {
	case r.Progress == 0:
		return defaultProgress, nil
	case r.Progress < minProgress || r.Progress > maxProgress:
		return 0, task.Errorf(task.CodeInvalidArgument, "progress is asked for every %v: want %v to %v", r.Progress, minProgress, maxProgress).WithField("progress")
	default:
		return r.Progress, nil
	}
}

// begin checks that at most one beginning is given, and returns the positions by
// partition; none: the watch begins elsewhere.
func (r *Request) begin(parts []int) (map[int]Position, error) {
	given := 0
	for _, set := range []bool{len(r.From) > 0, r.Initial, r.Oldest} {
		if set {
			given++
		}
	}
	if given > 1 {
		return nil, task.Errorf(task.CodeInvalidArgument, "the watch begins at one place: give positions, initial or oldest").WithField("from")
	}
	if len(r.From) == 0 {
		return nil, nil
	}
	from := make(map[int]Position, len(r.From))
	for _, p := range r.From {
		from[p.Part] = p
	}
	if len(from) != len(r.From) || !slices.Equal(slices.Sorted(maps.Keys(from)), parts) {
		return nil, task.Errorf(task.CodeInvalidArgument,
			"the positions are not one for each watched partition: %d of %d partitions", len(r.From), len(parts)).WithField("from")
	}
	return from, nil
}
