package partition

import (
	"fmt"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// txnClient does one thing after another: transfers, audits, plain writes and plain
// reads. It repeats a commit whose answer was lost until it knows what became of it.
type txnClient struct {
	w     *txnWorld
	name  string
	waits *txnOwner // for an answer of whom
	turn  int       // answers to earlier turns come too late
	kind  string
	keys  []string
	recs  []task.Record
	req   *Commit // under way; nil: still reading
	tried int
}

func (c *txnClient) step() {
	switch {
	case c.waits != nil:
	case c.req != nil:
		c.send()
	case c.keys == nil:
		c.choose()
	case c.kind == "move":
		c.act()
	case len(c.recs) < len(c.keys):
		c.read(c.keys[len(c.recs)])
	default:
		c.act()
	}
}

// finish ends what the client began, and begins nothing.
func (c *txnClient) finish() {
	if c.req != nil && c.waits == nil {
		c.send()
	}
}

func (c *txnClient) choose() {
	w := c.w
	c.keys = slices.Clone(w.keys)
	w.rng.Shuffle(len(c.keys), func(i, j int) { c.keys[i], c.keys[j] = c.keys[j], c.keys[i] })
	switch n := w.rng.IntN(20); {
	case n < 12:
		c.kind, c.keys = "transfer", c.keys[:2+w.rng.IntN(3)]
		if w.rng.IntN(3) == 0 { // a hot one
			if i := slices.Index(c.keys, w.keys[0]); i < 0 {
				c.keys[0] = w.keys[0]
			}
		}
	case n < 14:
		c.kind = "audit"
	case n < 15:
		c.kind, c.keys = "move", c.keys[:2]
	case n < 17:
		c.kind, c.keys = "put", c.keys[:1]
	default:
		c.kind, c.keys = "get", c.keys[:1]
	}
}

func (c *txnClient) reset() {
	c.waits, c.keys, c.recs, c.req, c.tried = nil, nil, nil, nil, 0
	c.turn++
}

// lost says that an owner is gone, and with it the answers that it owed.
func (c *txnClient) lost(o *txnOwner) {
	if c.waits == o {
		c.waits = nil
		c.turn++
	}
}

// ask posts to an owner and waits for the answer.
func (c *txnClient) ask(o *txnOwner, f func(core *core, now time.Time, turn int)) {
	c.waits = o
	c.turn++
	turn := c.turn
	if !o.mail.post(func(core *core, now time.Time) { f(core, now, turn) }) {
		c.waits = nil
	}
}

func (c *txnClient) read(key string) {
	o := c.w.of(key)
	if o == nil {
		return
	}
	if c.kind == "get" && c.w.rng.IntN(2) == 0 {
		c.look(o, key)
		return
	}
	before := slices.Clone(c.w.known[key])
	c.ask(o, func(core *core, now time.Time, turn int) {
		core.getRecord(now, key, "balance", func(r task.Record, err error) {
			if err == nil {
				c.w.reads = append(c.w.reads, txnRead{key: key, version: r.Version, by: decodeBalance(c.w, r.Value).By, after: before})
			}
			if turn != c.turn {
				return
			}
			if c.waits = nil; err != nil {
				c.reset()
				return
			}
			c.recs = append(c.recs, r)
		})
	})
}

// act is what follows the reads.
func (c *txnClient) act() {
	w := c.w
	w.serial++
	change := fmt.Sprint(c.kind, "-", w.serial)
	switch c.kind {
	case "get":
		c.reset()
	case "put":
		c.put(change)
	case "move":
		c.w.tally.moves++
		c.move(change)
	case "audit":
		c.req = &Commit{ID: task.DeriveID(change)}
		for i := range c.recs {
			c.req.Reads = append(c.req.Reads, task.Read{Key: c.keys[i], Name: "balance", Version: c.recs[i].Version})
		}
		c.begin(change)
	default:
		c.transfer(change)
	}
}

func (c *txnClient) transfer(change string) {
	c.req = &Commit{ID: task.DeriveID(change)}
	amount := 1 + c.w.rng.IntN(9)
	for i := range c.recs {
		r := &c.recs[i]
		if i >= 2 { // a third account is only read
			c.req.Reads = append(c.req.Reads, task.Read{Key: r.Key, Name: r.Name, Version: r.Version})
			continue
		}
		next := decodeBalance(c.w, r.Value).Amount + amount*(1-2*i)
		c.req.Writes = append(c.req.Writes, task.Write{Key: r.Key, Name: r.Name, Expected: r.Version, Value: encodeBalance(next, change)})
	}
	if c.w.rng.IntN(2) == 0 {
		c.req.Writes = append(c.req.Writes, c.goods()...)
	}
	c.begin(change)
}

// look reads a counter.
func (c *txnClient) look(o *txnOwner, key string) {
	c.ask(o, func(core *core, now time.Time, turn int) {
		core.getRecord(now, key, "stock", func(r task.Record, err error) {
			if err == nil {
				c.w.looked(&r)
			}
			if turn == c.turn {
				c.reset()
			}
		})
	})
}

// begin notes what a commit is going to do.
func (c *txnClient) begin(change string) {
	c.req.normalize()
	c.w.must(c.req.validate())
	x := &txnEffect{reads: slices.Clone(c.req.Reads)}
	for _, wr := range c.req.Writes {
		if wr.Escrow != task.EscrowNone {
			continue
		}
		x.reads = append(x.reads, task.Read{Key: wr.Key, Name: wr.Name, Version: wr.Expected})
		x.writes = append(x.writes, wr.Key)
	}
	c.w.txns[change] = x
	c.kind = change
	c.send()
}

// put rewrites a balance as it is, by a plain write.
func (c *txnClient) put(change string) {
	r := c.recs[0]
	o := c.w.of(r.Key)
	if o == nil {
		return
	}
	value := encodeBalance(decodeBalance(c.w, r.Value).Amount, change)
	c.ask(o, func(core *core, now time.Time, turn int) {
		core.putRecord(now, &task.Write{Key: r.Key, Name: r.Name, Expected: r.Version, Value: value}, false, func(_ uint64, err error) {
			if err == nil {
				c.w.tally.puts++
				c.w.ends[change] = nil
				c.w.known[r.Key] = append(c.w.known[r.Key], change)
				c.w.txns[change] = &txnEffect{reads: []task.Read{{Key: r.Key, Name: r.Name, Version: r.Version}}, writes: []string{r.Key}}
			}
			if turn == c.turn {
				c.reset()
			}
		})
	})
	c.keys, c.recs = nil, nil
}

func (c *txnClient) send() {
	o := c.w.of(c.req.home())
	if o == nil {
		return
	}
	change, tried := c.kind, c.tried
	c.tried++
	c.ask(o, func(core *core, now time.Time, turn int) {
		req := *c.req
		until := now.Add(commitPatience)
		core.commit(now, &req, until, func(r CommitResult, err error) {
			if turn != c.turn {
				return // the client gave this call up; it will learn from another
			}
			c.waits = nil
			c.w.logf("%s: %v %v", change, r, err)
			c.answered(change, r, err, tried)
		})
	})
}

func (c *txnClient) answered(change string, r CommitResult, err error, tried int) {
	w := c.w
	switch {
	case err == nil:
		w.tally.committed++
		if r.Duplicate {
			w.tally.repeats++
			if tried == 0 {
				w.failf("%s was new, and answered as a repeat", change)
			}
		}
		w.ends[change] = nil
		x := w.txns[change]
		for _, key := range x.writes {
			w.known[key] = append(w.known[key], change)
		}
		if len(c.req.Writes) == 0 {
			c.audited(change)
		}
	case task.CodeOf(err) == task.CodeUnavailable:
		return // again, under the same ID
	case task.CodeOf(err) == task.CodeConflict:
		w.tally.conflicts++
		w.ends[change] = err
	case task.CodeOf(err) == task.CodeFailedPrecondition:
		w.tally.bounds++
		w.ends[change] = err
	default:
		w.failf("%s: %v", change, err)
	}
	c.reset()
}

// audited holds the sum over a consistent read of everything.
func (c *txnClient) audited(change string) {
	c.w.tally.audits++
	sum := 0
	for i := range c.recs {
		sum += decodeBalance(c.w, c.recs[i].Value).Amount
	}
	if sum != txnAccounts*txnOpening {
		c.w.failf("%s finds %d, not %d", change, sum, txnAccounts*txnOpening)
	}
}
