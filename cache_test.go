package fenfa

import (
	"container/list"
	"testing"
	"testing/synctest"
	"time"
)

// newTestCache returns a cache that follows nothing: the test plays the watch.
func newTestCache(opts CacheOptions) *Cache {
	k := &Cache{opts: opts}
	k.forget(nil)
	k.following = true
	return k
}

func TestAnAnswerToAPingCountsFromWhenItWasMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTestCache(CacheOptions{})
		first := k.ask()
		<-time.After(3 * time.Second)
		second := k.ask()
		<-time.After(4 * time.Second)
		if age := k.Stats().Age; age >= 0 {
			t.Errorf("without an answer the age is %v", age)
		}
		k.answered(first)
		if age := k.Stats().Age; age != 7*time.Second {
			t.Errorf("the age is %v, want 7s", age)
		}
		k.answered(second)
		k.answered(first) // It was answered already.
		if age := k.Stats().Age; age != 4*time.Second || len(k.asked) != 0 {
			t.Errorf("the age is %v, want 4s; %d pings are left", age, len(k.asked))
		}
	})
}

// TestReadsAndChangesMeetInAnyOrder plays what can happen while a record is read.
func TestReadsAndChangesMeetInAnyOrder(t *testing.T) {
	at := recordName{"k", "n"}
	put := func(seq uint64) *Change {
		return &Change{Seq: seq, Key: "k", Name: "n", VersionAfter: seq, Value: []byte{byte(seq)}}
	}
	deleted := func(seq uint64) *Change { return &Change{Seq: seq, Key: "k", Name: "n"} }
	found := func(version uint64) Record {
		return Record{Key: "k", Name: "n", Version: version, Value: []byte{byte(version)}}
	}
	for name, c := range map[string]struct {
		play    func(k *Cache, room *list.Element, began time.Time)
		version uint64 // that is held; 0: nothing is
	}{
		"a read alone":               {func(k *Cache, e *list.Element, b time.Time) { k.fill(e, b, found(5), true) }, 5},
		"a change alone":             {func(k *Cache, _ *list.Element, _ time.Time) { k.changed(put(5)) }, 5},
		"an older change after it":   {func(k *Cache, e *list.Element, b time.Time) { k.fill(e, b, found(5), true); k.changed(put(4)) }, 5},
		"an older delete after it":   {func(k *Cache, e *list.Element, b time.Time) { k.fill(e, b, found(5), true); k.changed(deleted(4)) }, 5},
		"a newer change before it":   {func(k *Cache, e *list.Element, b time.Time) { k.changed(put(6)); k.fill(e, b, found(5), true) }, 6},
		"a newer change after it":    {func(k *Cache, e *list.Element, b time.Time) { k.fill(e, b, found(5), true); k.changed(put(6)) }, 6},
		"nothing is found":           {func(k *Cache, e *list.Element, b time.Time) { k.fill(e, b, Record{}, false) }, 0},
		"nothing, and an old change": {func(k *Cache, e *list.Element, b time.Time) { k.changed(put(4)); k.fill(e, b, Record{}, false) }, 0},
		"a read of an earlier begin": {func(k *Cache, e *list.Element, b time.Time) { k.forget(nil); k.fill(e, b, found(5), true) }, 0},
		"a read whose room is gone, and another's after a change": {func(k *Cache, e *list.Element, b time.Time) {
			k.remove(e) // and so the change is not seen
			k.changed(put(10))
			k.expect(at)
			k.fill(e, b, found(9), true)
		}, 0},
		"a read without a watch": {func(k *Cache, _ *list.Element, b time.Time) { k.fill(nil, b, found(5), true) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := newTestCache(CacheOptions{MaxAge: time.Hour, MaxBytes: DefaultCacheBytes})
			k.answered(k.ask())
			c.play(k, k.expect(at), time.Now())
			rec, exists, _, ok := k.lookup(at)
			if ok && !exists || rec.Version != c.version {
				t.Errorf("got version %d (%v, %v), want %d", rec.Version, exists, ok, c.version)
			}
		})
	}
}

func TestADeleteIsRememberedAndARecordThatComesBackIsSeen(t *testing.T) {
	at := recordName{"k", "n"}
	k := newTestCache(CacheOptions{MaxAge: time.Hour, MaxBytes: DefaultCacheBytes})
	k.fill(k.expect(at), time.Now(), Record{Key: "k", Name: "n", Version: 5}, true)
	k.changed(&Change{Seq: 6, Key: "k", Name: "n"})
	if _, exists, _, ok := k.lookup(at); exists || !ok {
		t.Errorf("after the delete: exists %v, held %v", exists, ok)
	}
	k.changed(&Change{Seq: 8, Key: "k", Name: "n", VersionAfter: 8})
	if rec, exists, _, ok := k.lookup(at); !exists || !ok || rec.Version != 8 {
		t.Errorf("after it came back: %+v, exists %v, held %v", rec, exists, ok)
	}
}

func TestACacheKeepsOnlyWhatItsWatchTellsOf(t *testing.T) {
	for name, c := range map[string]struct {
		k    *Cache
		want map[recordName]bool
	}{
		"prefix": {&Cache{prefix: "a"}, map[recordName]bool{{"a", "n"}: true, {"ab", "n"}: true, {"b", "n"}: false}},
		"keys":   {&Cache{opts: CacheOptions{Keys: []string{"b", "a"}}, keys: []string{"a", "b"}}, map[recordName]bool{{"a", "n"}: true, {"ab", "n"}: false}},
		"name":   {&Cache{opts: CacheOptions{Name: "n"}}, map[recordName]bool{{"a", "n"}: true, {"a", "m"}: false}},
	} {
		for at, want := range c.want {
			if c.k.covers(at) != want {
				t.Errorf("%s: %v is covered: %v", name, at, !want)
			}
		}
	}
}
