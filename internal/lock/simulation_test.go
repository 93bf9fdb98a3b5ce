package lock

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// caller wants locks again and again, as the SDK does it: it asks until it has an
// answer, confirms, renews at a third, and gives back, or is gone without a word.
type caller struct {
	w    *world
	id   int
	pace float64 // how fast its clock runs

	turn     int // number of the lock that it wants or has; what belongs to another is late
	name     string
	claim    string
	ttl      time.Duration
	token    uint64
	deadline time.Time // until then it believes that it holds the lock, by the world's clock
	done     int
}

func (c *caller) begin() {
	c.turn++
	c.name = fmt.Sprint("lock ", c.w.rng.IntN(2))
	c.claim = fmt.Sprintf("caller %d turn %d", c.id, c.turn)
	c.ttl = time.Second + c.w.upTo(8*time.Second)
	c.token, c.deadline = 0, time.Time{}
	c.ask(c.turn)
}

// ask asks for the lock, and asks again where no answer comes.
func (c *caller) ask(turn int) {
	if c.turn != turn || c.token != 0 {
		return
	}
	r := Request{Name: c.name, Holder: fmt.Sprint("caller ", c.id), Claim: c.claim, TTL: c.ttl, Wait: time.Minute}
	c.w.send(func(o *owner) {
		o.acquire(r, func(h Held, err error) {
			if c.turn != turn || c.token != 0 || err != nil {
				return
			}
			if !c.w.calm && c.w.rng.IntN(10) == 0 { // It is gone, and never says a word.
				c.turn++
				c.w.after(c.w.upTo(10*time.Second), c.begin)
				return
			}
			c.granted(h)
			c.renew(turn)
		})
	})
	c.w.after(3*time.Second+c.w.upTo(3*time.Second), func() { c.ask(turn) })
}

func (c *caller) granted(h Held) {
	c.token = h.Token
	if highest := c.w.tokens[c.name]; h.Token < highest {
		// An answer may be late; the lock itself may not go back.
		if r, held := c.w.records[c.name]; held && r.token == h.Token {
			c.w.failf("%s has token %d after %d", c.name, h.Token, highest)
		}
	}
	c.w.tokens[c.name] = max(c.w.tokens[c.name], h.Token)
}

// renew confirms a grant, and renews it for as long as the caller wants it.
func (c *caller) renew(turn int) {
	if c.turn != turn {
		return
	}
	if c.believes() && c.w.rng.IntN(4) == 0 {
		c.release(turn)
		return
	}
	sent, token, name := c.w.now, c.token, c.name
	c.w.send(func(o *owner) {
		o.renew(name, token, func(_ Held, err error) {
			switch {
			case c.turn != turn:
			case err != nil && task.CodeOf(err) == task.CodeStale:
				c.lost(turn)
			case err == nil:
				if c.w.mutant == countsFromReply {
					sent = c.w.now
				}
				c.extend(turn, sent.Add(time.Duration(float64(c.ttl)*0.9/c.pace)))
			}
		})
	})
	c.w.after(c.ttl/3, func() { c.renew(turn) })
	if c.deadline.IsZero() {
		c.w.after(c.ttl, func() {
			if c.turn == turn && c.deadline.IsZero() { // Nobody confirmed.
				c.lost(turn)
			}
		})
	}
}

func (c *caller) believes() bool { return c.deadline.After(c.w.now) }

// extend moves the moment until which the caller believes that it is the holder.
func (c *caller) extend(turn int, until time.Time) {
	if !c.deadline.IsZero() && !c.believes() || !until.After(c.w.now) {
		c.lost(turn)
		return
	}
	others := c.w.believers[c.name]
	if c.deadline.IsZero() {
		for _, other := range others {
			if other != c && other.name == c.name && other.believes() {
				c.w.failf("%s: caller %d (token %d) and caller %d (token %d) believe to hold it", c.name, c.id, c.token, other.id, other.token)
			}
		}
		c.w.believers[c.name] = append(others, c)
		c.w.grants++
	}
	c.deadline = until
	c.w.after(until.Sub(c.w.now), func() {
		if c.turn == turn && !c.believes() {
			c.lost(turn)
		}
	})
}

func (c *caller) release(turn int) {
	name, token := c.name, c.token
	c.leave()
	c.done++
	c.w.send(func(o *owner) {
		o.known(name)
		err := o.table.Release(o.w.now, name, token)
		o.reply(func() { _ = err })
	})
	if c.turn == turn {
		c.turn++
		c.w.after(c.w.upTo(3*time.Second), c.begin)
	}
}

func (c *caller) lost(turn int) {
	if c.turn != turn {
		return
	}
	c.leave()
	c.turn++
	c.w.after(c.w.upTo(time.Second), c.begin)
}

// leave ends the caller's belief.
func (c *caller) leave() {
	c.deadline = time.Time{}
	c.w.believers[c.name] = slices.DeleteFunc(c.w.believers[c.name], func(o *caller) bool { return o == c })
}

// simulate runs one seed: minutes of trouble, then calm in which everybody must
// have a turn.
func simulate(seed uint64, m mutant) (failures []string, grants int) {
	w := newWorld(seed, m)
	w.run(3 * time.Minute)
	w.calm = true
	before := make([]int, len(w.callers))
	for i, c := range w.callers {
		before[i] = c.done
	}
	w.run(10 * time.Minute)
	for i, c := range w.callers {
		if c.done == before[i] && len(w.failures) == 0 {
			w.failf("caller %d had no turn although nothing went wrong any more", c.id)
		}
	}
	return w.failures, w.grants
}

func seeds(t *testing.T, most int) int {
	t.Helper()
	if s := os.Getenv("FENFA_SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return most
}

func TestSimulatedLocksHaveOneHolder(t *testing.T) {
	all := 0
	for seed := range seeds(t, 150) {
		failures, grants := simulate(uint64(seed), noMutant)
		if len(failures) > 0 {
			t.Fatalf("seed %d: %v", seed, failures)
		}
		all += grants
	}
	t.Logf("%d grants", all)
	if all == 0 {
		t.Error("nothing was granted")
	}
}

func TestSimulatedLocksSeeMutants(t *testing.T) {
	const most = 2000
	for _, m := range []mutant{noFreshTTL, answersEarly, tokensReused, renewsUnproven, countsFromReply, lastComeFirst, ignoresRenewals} {
		t.Run(string(m), func(t *testing.T) {
			for seed := range uint64(most) {
				if failures, _ := simulate(seed, m); len(failures) > 0 {
					t.Logf("seed %d: %s", seed, failures[0])
					return
				}
			}
			t.Errorf("nobody noticed in %d seeds", most)
		})
	}
}
