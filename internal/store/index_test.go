package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

func TestRowsOfTheIndexFitAndAreInOrder(t *testing.T) {
	long := strings.Repeat("k", task.MaxKey)
	for _, key := range []string{"k", "#", "", long, long[1:] + "x"} {
		older, newer := store.Gone(key, "n", 7), store.Gone(key, "n", 1<<40)
		if older.Key != newer.Key || newer.Name >= older.Name || older.Version != 7 || string(older.Value) != "n" {
			t.Errorf("%q: %+v and %+v", key, older, newer)
		}
		for _, r := range []*store.Record{older, newer, store.Held(key, 3)} {
			if err := task.ValidateRecord(r.Key, r.Name, len(r.Value)); err != nil || !store.IsIndex(r.Key) || !task.Reserved(r.Name) || r.Key >= store.AfterIndex {
				t.Errorf("%q: %+v, %v", key, r, err)
			}
		}
		from, to := store.GoneOf(key, 8)
		if from.Key != older.Key || from.Name != older.Name || to.Key <= older.Key {
			t.Errorf("%q: before 8 from %+v to %+v", key, from, to)
		}
	}
	if store.Gone(long, "n", 1).Key == store.Gone(long[1:]+"x", "n", 1).Key || store.Gone("#", "n", 1).Key == store.IndexPrefix+"gone/#" {
		t.Error("different keys have the same row")
	}
	from, to := store.AllHeld()
	for _, lock := range []string{"", "a", "\xff\xff", long} {
		if r := store.Held(lock, 1); r.Key < from.Key || r.Key >= to.Key {
			t.Errorf("lock %q is at %q, which is not from %q to %q", lock, r.Key, from.Key, to.Key)
		}
	}
}

func TestTheIndexSaysFromWhereOnItIsComplete(t *testing.T) {
	for _, seq := range []uint64{0, 1, 1 << 50} {
		if got, complete := store.SinceOf(store.Since(store.IndexGone, seq)); got != seq || !complete {
			t.Errorf("%d became %d, %v", seq, got, complete)
		}
	}
	for _, none := range []store.Row{nil, (*store.Record)(nil)} {
		if _, complete := store.SinceOf(none); complete {
			t.Errorf("%v says that it is complete", none)
		}
	}
}

func TestTasksThatExpireAreInTheIndexByTime(t *testing.T) {
	at := time.Date(2027, 1, 2, 3, 4, 5, 6000, time.UTC)
	id := task.DeriveID("x")
	from, to := store.AllExpires()
	last := from.Name
	for _, x := range []struct {
		at  time.Time
		seq uint64
	}{{time.Unix(0, 0), 1}, {at.Add(-time.Microsecond), 1 << 63}, {at, 0}, {at, 7}, {at, 1 << 62}, {at.Add(time.Microsecond), 1}, {at.AddDate(200, 0, 0), 1}} {
		r := store.Expires(x.at, x.seq, id)
		if r.Key < from.Key || r.Key >= to.Key || r.Name <= last || !store.IsIndex(r.Key) || !task.Reserved(r.Name) {
			t.Errorf("%v %d is at %q %q, behind %q", x.at, x.seq, r.Key, r.Name, last)
		}
		if err := task.ValidateRecord(r.Key, r.Name, len(r.Value)); err != nil {
			t.Error(err)
		}
		if got, seq, owner, err := store.ExpiresOf(r); err != nil || !got.Equal(x.at) || seq != x.seq || owner != id {
			t.Errorf("%v %d is read as %v %d of %v, %v", x.at, x.seq, got, seq, owner, err)
		}
		last = r.Name
	}
	good := store.Expires(at, 7, id)
	for _, bad := range []store.Row{nil, (*store.Record)(nil), &store.Dedup{}, &store.Record{Name: "x", Value: good.Value}, &store.Record{Name: good.Name, Value: []byte("x")}} {
		if _, _, _, err := store.ExpiresOf(bad); !errors.Is(err, task.ErrCorrupt) {
			t.Errorf("%+v is read: %v", bad, err)
		}
	}
}
