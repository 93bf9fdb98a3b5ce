package recent

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func idAt(ms int64) task.ID { return task.NewID(time.UnixMilli(ms)) }

// checkRecent drives a memory of ids with the bytes of a script and compares it
// with a map: no accepted id may ever be called never accepted.
func checkRecent(t *testing.T, script []byte) {
	t.Helper()
	accepted := map[task.ID]bool{}
	var all []task.ID
	newest := uint64(0)
	r := New(4, 0)
	now := int64(1_000_000)
	for i, op := range script {
		id := idAt(now)
		switch op % 8 {
		case 0, 1:
			now += int64(op)
		case 2: // From a program whose clock is behind, or ahead.
			id = idAt(now - int64(op)*3)
		case 3:
			id = idAt(now + int64(op))
		case 4:
			id = task.DeriveID(string(script[:i]))
		case 5:
			if len(all) > 0 {
				id = all[int(op)*7%len(all)]
			}
		case 6:
			if op > 200 { // A restart.
				r = New(4, newest+1)
			}
		}
		if r.NeverAccepted(&id) {
			if accepted[id] {
				t.Fatalf("step %d: the accepted id %s is forgotten", i, id)
			}
		}
		if !accepted[id] && op%8 != 7 {
			r.Add(&id)
			accepted[id] = true
			all = append(all, id)
			if ms, ok := id.Millis(); ok {
				newest = max(newest, ms)
			}
		}
	}
	for _, id := range all {
		if r.NeverAccepted(&id) {
			t.Fatalf("the accepted id %s is forgotten", id)
		}
	}
}

func TestRecentNeverForgetsWhatWasAccepted(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		script := make([]byte, rng.IntN(400))
		for i := range script {
			script[i] = byte(rng.Uint32())
		}
		checkRecent(t, script)
	}
}

func FuzzIDs(f *testing.F) {
	f.Add([]byte{0, 5, 5, 2, 2, 2, 3, 254, 5, 0, 8, 16, 24, 206, 5, 13, 21})
	f.Add([]byte{3, 11, 19, 27, 35, 254, 2, 10, 18, 5, 5, 5, 4, 4})
	f.Fuzz(checkRecent)
}

func TestFreshIDsAreToldWithoutAskingTheDisk(t *testing.T) {
	const capacity = 10_000
	r := New(capacity, 0)
	unsure := 0
	for i := range 5 * capacity {
		id := idAt(1_000_000 + int64(i/10))
		if !r.NeverAccepted(&id) {
			unsure++
		}
		r.Add(&id)
	}
	// Filters with 12 bits for each id err in less than 2 of 100 cases each.
	if unsure > 5*capacity*4/100 {
		t.Errorf("%d of %d fresh ids were not sure", unsure, 5*capacity)
	}
	if old := idAt(1_000_000); r.NeverAccepted(&old) {
		t.Error("an id from before the floor is sure")
	}
	if other := task.DeriveID("a"); r.NeverAccepted(&other) {
		t.Error("an id without a time is sure")
	}
}

func BenchmarkIDs(b *testing.B) {
	r := New(1<<20, 0)
	ids := make([]task.ID, 1<<16)
	for i := range ids {
		ids[i] = idAt(int64(i))
	}
	b.ReportAllocs()
	for i := range b.N {
		id := &ids[i&(1<<16-1)]
		if r.NeverAccepted(id) {
			r.Add(id)
		}
	}
}

func TestCheckRefusesIDsThatCannotBeTaken(t *testing.T) {
	now := time.UnixMilli(1_000_000_000)
	latest := Latest(now)
	for name, c := range map[string]struct {
		id task.ID
		ok bool
	}{
		"none":               {task.ID{}, false},
		"of now":             {task.NewID(now), true},
		"of the last moment": {task.NewID(now.Add(time.Hour)), true},
		"from too far ahead": {task.NewID(now.Add(time.Hour + time.Millisecond)), false},
		"of no time":         {task.DeriveID("a"), true},
		"of long ago":        {task.NewID(time.UnixMilli(1)), true},
	} {
		err := Check(&c.id, latest)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && task.CodeOf(err) != task.CodeInvalidArgument {
			t.Errorf("%s: code %v", name, task.CodeOf(err))
		}
	}
}
