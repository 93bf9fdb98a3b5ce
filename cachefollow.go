package fenfa

import (
	"context"
	"time"
)

// Bounds of the time between two pings of a cache.
const (
	leastPing = 5 * time.Millisecond
	mostPing  = time.Second
	mostAsked = 256 // pings without an answer that are remembered
)

// follow keeps the cache current until ctx ends. When the watch cannot go on, it
// begins anew with nothing.
func (k *Cache) follow(ctx context.Context) {
	for failures := 1; ctx.Err() == nil; failures++ {
		w := k.client.Watch(k.prefix, WatchOptions{Keys: k.opts.Keys, Name: k.opts.Name, Initial: k.opts.Preload})
		w.pings = make(chan uint64, 1)
		w.pong = k.answered
		watching, stop := context.WithCancel(ctx)
		k.group.Go(func() { k.ping(watching, w.pings) })
		err := k.take(watching, w)
		stop()
		if ctx.Err() != nil {
			return
		}
		k.client.cfg.logger.WarnContext(ctx, "cache begins anew", "addr", k.client.addr, "error", err)
		k.forget(err)
		pause(ctx, backoffDelay(failures))
	}
}

// take applies what the watch tells until it ends.
func (k *Cache) take(ctx context.Context, w *Watcher) error {
	for ev, err := range w.Events(ctx) {
		if err != nil {
			return err
		}
		k.mu.Lock()
		switch ev.Kind {
		case WatchChange:
			k.changed(&ev.Change)
		case WatchRecord:
			k.loaded(ev.Record)
		case WatchDisconnected:
			k.err = ev.Err
		case WatchProgress, WatchLive: // The first message: from here on nothing is missed.
			k.following, k.err = true, nil
		case WatchLag:
		}
		k.evict()
		k.mu.Unlock()
	}
	return nil
}

// changed applies a change of a record that is held, or about to be.
func (k *Cache) changed(c *Change) {
	at := recordName{c.Key, c.Name}
	if k.entries[at] == nil && !k.opts.Preload {
		return
	}
	e := k.entry(at)
	if c.Seq <= e.seq {
		return
	}
	rec := Record{Key: c.Key, Name: c.Name, Version: c.VersionAfter, Value: c.Value, UpdatedAt: c.At, TaskID: c.TaskID}
	k.set(e, rec, c.VersionAfter != 0, c.Seq)
}

// loaded takes a record as it is, of a cache that is filled at its begin.
func (k *Cache) loaded(rec Record) {
	if e := k.entry(recordName{rec.Key, rec.Name}); rec.Version > e.seq {
		k.set(e, rec, true, rec.Version)
	}
}

// ping asks, again and again, how far the node is.
func (k *Cache) ping(ctx context.Context, pings chan<- uint64) {
	every := min(max(k.opts.MaxAge/4, leastPing), mostPing)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case pings <- k.ask():
		case <-ctx.Done():
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// ask makes the next ping. The moment is noted before anybody sends it, so that the
// answer can only be newer.
func (k *Cache) ask() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pings++
	k.asked[k.pings] = time.Now()
	delete(k.asked, k.pings-mostAsked)
	return k.pings
}

// answered says that everything has arrived that was durable when the node got the
// ping.
func (k *Cache) answered(id uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	asked, ok := k.asked[id]
	if !ok {
		return
	}
	if asked.After(k.confirmed) {
		k.confirmed = asked
	}
	for earlier := range k.asked {
		if earlier <= id {
			delete(k.asked, earlier)
		}
	}
}
