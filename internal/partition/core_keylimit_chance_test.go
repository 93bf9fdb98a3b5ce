package partition

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// TestKeysKeepToTheirLimitWhateverHappens lets chance decide what comes, how leases
// end, and what else happens; all tasks end, and never do too many of a key run, which
// the rig holds with every lease.
func TestKeysKeepToTheirLimitWhateverHappens(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			d := &keyDraw{rng: rand.New(rand.NewPCG(seed, 7)), names: map[string]bool{}}
			small := func(cfg *coreConfig) { cfg.Window.Tasks, cfg.Page = 4+d.rng.IntN(30), 1+d.rng.IntN(8) }
			d.rig = keyRig(t, 1+d.rng.IntN(3), small)
			d.slots = 2 + d.rng.IntN(20)
			d.join(1+d.rng.IntN(3), gpuLabels())
			for range 250 {
				d.event()
			}
			d.end()
		})
	}
}

// keyDraw is one run by chance.
type keyDraw struct {
	*rig
	rng     *rand.Rand
	names   map[string]bool
	pending []task.Task // the broker's log
	leases  []*task.Lease
}

func (d *keyDraw) event() {
	r := d.rig
	switch n := d.rng.IntN(20); {
	case n < 6:
		d.submit(1 + d.rng.IntN(12))
	case n < 12:
		d.finishSome()
	case n < 14:
		r.pass(time.Duration(d.rng.IntN(3000)) * time.Millisecond)
	case n < 15:
		r.limitKeys(d.rng.IntN(4))
	case n < 16:
		names := sortedKeys(d.names)
		if len(names) > 0 {
			r.cancelled(names[d.rng.IntN(len(names))])
		}
	case n < 17:
		r.settings("loose", func(q *task.Queue) { q.Paused = !q.Paused && d.rng.IntN(2) == 0 })
	case n < 18:
		r.setAsideAll()
	default:
		r.capacity("loose", pickOf(d.rng, "", gpu))
	}
	d.feed()
}

func (d *keyDraw) submit(n int) {
	for range n {
		key := pickOf(d.rng, "", "hot", "hot", "hot", "a", "b", "c", fmt.Sprint("u", len(d.names)))
		x := newTask("loose", key, fmt.Sprint("t", len(d.names)))
		x.CreatedAt = task.TimestampAt(d.now) + task.Timestamp(len(d.names))
		if d.rng.IntN(6) == 0 {
			x.Placement.Require = gpu
		}
		if d.rng.IntN(20) == 0 {
			x.RunAt = d.now.Add(time.Duration(d.rng.IntN(5000)) * time.Millisecond)
		}
		d.names[string(x.Payload)] = true
		d.pending = append(d.pending, x)
	}
}

// feed delivers what the window has room for, reads rows, and takes leases.
func (d *keyDraw) feed() {
	r := d.rig
	for len(d.pending) > 0 && r.c.queues["loose"].bands[rankNormal].held.Tasks < r.c.cfg.Window.Tasks {
		n := min(len(d.pending), 1+d.rng.IntN(5))
		r.batchOf(d.pending[:n]...)
		d.pending = d.pending[n:]
	}
	for range 3 {
		if len(r.parked) > 0 && d.rng.IntN(2) == 0 {
			r.page(1 + d.rng.IntN(r.c.cfg.Page))
		}
	}
	if len(r.schedule) > 0 {
		r.rowsDue()
	}
	if d.rng.IntN(3) > 0 {
		r.commit()
	}
	d.leases = append(d.leases, r.take()...)
}

func (d *keyDraw) finishSome() {
	if len(d.leases) == 0 {
		return
	}
	i := d.rng.IntN(len(d.leases))
	l := d.leases[i]
	at := d.rng.IntN(len(l.Tasks))
	d.answer(l, at, pickOf(d.rng, did(), did(), did(), retry(0), retry(time.Second), retry(time.Minute), reject(), returned()))
	if d.rng.IntN(3) == 0 {
		d.leases = slices.Delete(d.leases, i, i+1)
		d.answer(l, 0, make([]task.Outcome, len(l.Tasks))...)
	}
}

// end lets everything come to its end.
func (d *keyDraw) end() {
	r := d.rig
	r.settings("loose", func(q *task.Queue) { q.Paused = false })
	for range 3000 {
		d.feed()
		for _, l := range d.leases {
			d.answer(l, 0, make([]task.Outcome, len(l.Tasks))...)
		}
		d.leases = nil
		r.commit()
		if len(d.pending)+len(r.c.tasks)+len(r.parked) == 0 && len(r.table(store.TableParked))+len(r.table(store.TableSchedule)) == 0 {
			break
		}
		if d.rng.IntN(10) == 0 {
			r.pass(time.Minute)
			r.capacity("loose", "")
			r.capacity("loose", gpu)
		}
	}
	for _, name := range sortedKeys(d.names) {
		if !r.state(name).Final() {
			r.t.Fatalf("%s is %v: %s", name, r.state(name), leftOf(r.c.queues["loose"]))
		}
	}
	r.step()
	r.commit()
	r.wantEmpty()
}

func pickOf[T any](rng *rand.Rand, all ...T) T { return all[rng.IntN(len(all))] }
