package fenfa

import (
	"container/list"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Defaults of CacheOptions.
const (
	DefaultCacheMaxAge = 2 * time.Second
	DefaultCacheBytes  = 64 << 20
)

// cacheOverhead is what an entry takes beside key, name and value, about.
const cacheOverhead = 250

// CacheOptions sets what a Cache holds and how old its answers may be.
type CacheOptions struct {
	Keys []string // these keys only, at most 10,000; instead of a prefix
	Name string   // only records of this name; empty: of every name

	// MaxAge is how old an answer from memory may be; an older one is read from the
	// node. Default DefaultCacheMaxAge; at least 20 ms.
	MaxAge time.Duration
	// MaxBytes bounds the memory, about; what was not asked for longest goes first.
	// Default DefaultCacheBytes.
	MaxBytes int
	// Preload fills the cache with the records as they are when it begins. Without it
	// a record is read from the node when it is asked for the first time.
	Preload bool
}

// Cache answers reads of records from memory, kept current by a watch. Each answer
// says how old it may be: the record was so at some moment since then, whatever the
// connection, the node and the clocks did. It is safe for use by many goroutines.
type Cache struct {
	client *Client
	prefix string
	opts   CacheOptions
	keys   []string // of the options, sorted
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu        sync.Mutex
	entries   map[recordName]*list.Element // of *cached
	recent    *list.List                   // most recently used first
	bytes     int
	following bool                 // what is read from now on is kept current
	confirmed time.Time            // everything that was durable then has arrived
	asked     map[uint64]time.Time // pings that are not answered, by when they were made
	pings     uint64
	stats     CacheStats
	err       error
}

type recordName struct{ key, name string }

// cached is what is known of one record.
type cached struct {
	recordName
	rec    Record
	exists bool
	ready  bool      // rec and exists hold
	seq    uint64    // number of the change that made it so; 0: none is known
	read   time.Time // it was so at the node then or later; zero: as the watch says
	size   int
}

// CacheStats counts what a Cache did.
type CacheStats struct {
	Hits    uint64 // answers from memory
	Reads   uint64 // answers from the node
	Evicted uint64 // records that had no room
	Entries int
	Bytes   int
	// Age is how old an answer from memory is now; negative: there are none, the watch
	// has not begun.
	Age time.Duration
}

// Cache makes a cache of the records whose key begins with prefix. It follows their
// changes until it is closed.
func (c *Client) Cache(prefix string, opts CacheOptions) (*Cache, error) {
	if opts.MaxAge == 0 {
		opts.MaxAge = DefaultCacheMaxAge
	}
	if opts.MaxBytes == 0 {
		opts.MaxBytes = DefaultCacheBytes
	}
	switch {
	case opts.MaxAge < 20*time.Millisecond:
		return nil, errorf(CodeInvalidArgument, "max age %v: want 20ms or more", opts.MaxAge).withField("max_age")
	case opts.MaxBytes < 0:
		return nil, errorf(CodeInvalidArgument, "max bytes %d: want more than 0", opts.MaxBytes).withField("max_bytes")
	case prefix != "" && len(opts.Keys) > 0:
		return nil, errorf(CodeInvalidArgument, "the cache has a prefix and keys: give one of them").withField("keys")
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &Cache{client: c, prefix: prefix, opts: opts, keys: slices.Sorted(slices.Values(opts.Keys)), cancel: cancel}
	k.forget(nil)
	k.group.Go(func() { k.follow(ctx) })
	return k, nil
}

// Close ends the watch and forgets everything. Reads after it are answered by the
// node.
func (k *Cache) Close() {
	k.cancel()
	k.group.Wait()
	k.forget(nil)
}

// Get returns a record and how old the answer may be. It fails with CodeNotFound
// where there is no record, and like State.Get where the node must be asked and does
// not answer.
func (k *Cache) Get(ctx context.Context, key, name string) (Record, time.Duration, error) {
	at := recordName{key, name}
	if rec, exists, age, ok := k.lookup(at); ok {
		if !exists {
			return Record{}, age, errorf(CodeNotFound, "key %q has no record %q", clip(key, 100), clip(name, 100))
		}
		return rec, age, nil
	}
	began := time.Now()
	room := k.expect(at)
	rec, err := k.client.State().Get(ctx, key, name)
	if err == nil || CodeOf(err) == CodeNotFound {
		k.fill(room, began, rec, err == nil)
	}
	return rec, time.Since(began), err
}

// Stats returns what the cache did and holds.
func (k *Cache) Stats() CacheStats {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.stats
	s.Entries, s.Bytes, s.Age = len(k.entries), k.bytes, -1
	if !k.confirmed.IsZero() {
		s.Age = time.Since(k.confirmed)
	}
	return s
}

// Err returns why the watch is not connected, or nil.
func (k *Cache) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// lookup answers from memory if that is not too old.
func (k *Cache) lookup(at recordName) (rec Record, exists bool, age time.Duration, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	el := k.entries[at]
	if el == nil {
		return Record{}, false, 0, false
	}
	e := entryOf(el)
	since := e.read
	if k.confirmed.After(since) {
		since = k.confirmed
	}
	if age = time.Since(since); !e.ready || since.IsZero() || age > k.opts.MaxAge {
		return Record{}, false, 0, false
	}
	k.recent.MoveToFront(el)
	k.stats.Hits++
	return e.rec, e.exists, age, true
}

// expect makes room for a record that is about to be read, so that changes that
// arrive meanwhile are not missed. Without room it will not be kept.
func (k *Cache) expect(at recordName) (room *list.Element) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stats.Reads++
	if !k.following || !k.covers(at) {
		return nil
	}
	k.entry(at)
	return k.entries[at]
}

// fill takes what a read of the node has found that began then. Where the room that
// was made for it is gone a change may have been missed, also if another read has
// made room for the record again.
func (k *Cache) fill(room *list.Element, began time.Time, rec Record, exists bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if room == nil || k.entries[entryOf(room).recordName] != room {
		return
	}
	e := entryOf(room)
	switch {
	case !exists && e.ready && !e.exists: // The watch knows that too, and since which change.
	case !exists:
		// Which changes the read has seen is not known, so that what still arrives could
		// not be told from what is newer.
		k.remove(room)
	default:
		if rec.Version > e.seq {
			k.set(e, rec, true, rec.Version)
		}
		e.ready = true
		if began.After(e.read) {
			e.read = began
		}
	}
	k.evict()
}

// covers reports whether the watch tells of the record.
func (k *Cache) covers(at recordName) bool {
	if k.opts.Name != "" && at.name != k.opts.Name {
		return false
	}
	if len(k.opts.Keys) == 0 {
		return strings.HasPrefix(at.key, k.prefix)
	}
	return k.has(at.key)
}

// has reports whether a key is one of those that are watched.
func (k *Cache) has(key string) bool {
	_, ok := slices.BinarySearch(k.keys, key)
	return ok
}

func entryOf(el *list.Element) *cached {
	e, _ := el.Value.(*cached) // Nothing else is in the list.
	return e
}

func (k *Cache) entry(at recordName) *cached {
	if el := k.entries[at]; el != nil {
		return entryOf(el)
	}
	e := &cached{recordName: at}
	k.entries[at] = k.recent.PushFront(e)
	k.grow(e)
	return e
}

// set makes an entry what a change, or a record that was read, says.
func (k *Cache) set(e *cached, rec Record, exists bool, seq uint64) {
	e.rec, e.exists, e.seq, e.ready = rec, exists, seq, true
	k.grow(e)
}

// grow counts the size of an entry anew.
func (k *Cache) grow(e *cached) {
	k.bytes -= e.size
	e.size = cacheOverhead + 2*(len(e.key)+len(e.name)) + len(e.rec.Value)
	k.bytes += e.size
}

func (k *Cache) evict() {
	for k.bytes > k.opts.MaxBytes && k.recent.Len() > 0 {
		k.remove(k.recent.Back())
		k.stats.Evicted++
	}
}

func (k *Cache) remove(el *list.Element) {
	e := entryOf(el)
	k.recent.Remove(el)
	delete(k.entries, e.recordName)
	k.bytes -= e.size
}

// forget begins anew with nothing.
func (k *Cache) forget(cause error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.entries, k.recent, k.bytes = make(map[recordName]*list.Element), list.New(), 0
	k.following, k.confirmed, k.asked = false, time.Time{}, make(map[uint64]time.Time)
	k.err = cause
}
