package partition

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// spec is what a task's handler does; it follows from the task's id.
type spec struct {
	fails  int           // failed attempts before the last one
	after  time.Duration // the handler's own delay; negative: the policy's
	hangs  bool          // the first attempt never answers
	poison bool          // kills its worker
	bad    int           // what is wrong with a refused outcome
	dead   bool
	ops    []operation
	emits  int
}

type operation struct {
	kind    int // 0 put, 1 delete, 2 read
	sibling bool
	name    string
}

func (w *world) specOf(t *task.Task) spec {
	r := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(t.ID[:8]), binary.LittleEndian.Uint64(t.ID[8:])))
	s := spec{after: -1}
	if w.plan.faults&faultTasks != 0 {
		if r.IntN(4) == 0 {
			s.fails = 1 + r.IntN(3)
			s.after = []time.Duration{-1, 0, 300 * time.Millisecond, 3 * time.Second, 40 * time.Second}[r.IntN(5)]
		}
		s.hangs = r.IntN(15) == 0
		s.poison = r.IntN(40) == 0
		s.dead = r.IntN(20) == 0
		if r.IntN(20) == 0 {
			s.bad = 1 + r.IntN(6)
		}
	}
	names := slices.Clone(simNames)
	for range r.IntN(3) {
		i := r.IntN(len(names))
		s.ops = append(s.ops, operation{kind: []int{0, 0, 0, 1, 2}[r.IntN(5)], sibling: r.IntN(5) == 0, name: names[i]})
		names = slices.Delete(names, i, i+1)
	}
	if t.Payload[0] > 0 && r.IntN(3) == 0 {
		s.emits = 1 + r.IntN(2)
	}
	return s
}

// execute runs a handler; false says that it waits for a record, or never ends.
func (s *simSession) execute(l *simLease, index int) (task.Outcome, bool) {
	w := s.w
	t := &l.lease.Tasks[index]
	sp := w.specOf(&t.Task)
	if w.has(faultReturns) && w.chance(6) {
		w.model.gives(l.lease.LeaseRef, index)
		return task.Outcome{Kind: task.OutcomeReturned}, true
	}
	if sp.poison && !s.gone {
		w.logf("task %v kills session %d", t.ID, s.id)
		s.die()
		return task.Outcome{}, false
	}
	if sp.hangs && t.Delivery == 1 {
		if l.lease.Ordered {
			l.done, l.unsent, l.next = true, nil, len(l.lease.Tasks)+1
		} else {
			l.loose, l.overlay = l.loose[1:], nil
		}
		return task.Outcome{}, false
	}
	switch {
	case t.Attempt <= sp.fails:
		return task.Outcome{Kind: task.OutcomeRetry, Error: "not yet", RetryAfter: sp.after}, true
	case sp.dead:
		return task.Outcome{Kind: task.OutcomeDead, Error: "never"}, true
	}
	return s.succeed(l, &t.Task, sp)
}

// succeed forms a done outcome over the lease's overlay.
func (s *simSession) succeed(l *simLease, t *task.Task, sp spec) (task.Outcome, bool) {
	w := s.w
	o := task.Outcome{Kind: task.OutcomeDone}
	run := &execution{task: t.ID, ref: l.lease.LeaseRef, session: s.id, worker: s.name}
	if t.Key != "" && sp.bad == 0 {
		for _, op := range sp.ops {
			key := t.Key
			if op.sibling {
				keys := simKeys[l.lease.Partition]
				key = keys[(slices.Index(keys, t.Key)+1)%len(keys)]
			}
			if !s.look(l, cellName{key, op.name}) {
				return o, false
			}
		}
	}
	w.serial++
	run.id = fmt.Sprintf("run-%d", w.serial)
	o.Result = []byte(run.id)
	if t.Key != "" && sp.bad == 0 {
		for i, op := range sp.ops {
			l.operate(run, &o, t.Key, op, i)
		}
	}
	for i := range sp.emits {
		e := w.newTask(task.ID{}, t.Payload[0]-1)
		if i == 1 {
			e.ID = task.DeriveID(t.ID.String(), "emit")
		}
		o.Emits = append(o.Emits, e)
		if e.ID.IsZero() {
			e.ID = task.DeriveID("emit", t.ID.String(), fmt.Sprint(i))
		}
		run.emits = append(run.emits, e.ID)
	}
	spoil(&o, t, sp.bad, l.lease.Partition)
	if w.has(faultAnswers) && len(o.Writes) > 0 && !o.Writes[0].Chained && w.chance(12) {
		o.Writes[0].Expected += 1000
	}
	w.model.ran(run)
	return o, true
}

// spoil makes an outcome one that can never take effect.
func spoil(o *task.Outcome, t *task.Task, bad, part int) {
	switch bad {
	case 1:
		o.Writes = []task.Write{{Key: simKeys[1-part][0], Name: "a", Chained: true}}
	case 2:
		o.Emits = []task.Task{{Queue: "nowhere"}}
	case 3:
		o.Writes = []task.Write{{Name: ""}}
	case 4:
		o.Writes = []task.Write{{Name: "new"}, {Key: t.Key, Name: "new"}}
	case 5:
		o.Result = make([]byte, task.MaxResult+1)
	case 6:
		o.Emits = []task.Task{{Queue: "keyed", Key: string(make([]byte, task.MaxKey+1))}}
	}
}

// look has a record in the overlay, or asks for it.
func (s *simSession) look(l *simLease, n cellName) bool {
	if l.overlay[n] != nil {
		return true
	}
	if l.full && l.lease.Ordered && n.key == l.lease.Tasks[0].Key {
		l.overlay[n] = &cell{}
		return true
	}
	if l.asked {
		return false
	}
	l.asked = true
	age := l.age
	ok := l.o.mail.post(func(c *core, now time.Time) {
		c.getRecord(now, n.key, n.name, func(r task.Record, _ error) {
			s.inbox = append(s.inbox, func() {
				if l.age == age {
					l.asked = false
					if l.overlay[n] == nil {
						l.overlay[n] = &cell{version: r.Version, value: string(r.Value), exists: r.Version != 0}
					}
				}
			})
		})
	})
	if !ok {
		l.done, l.unsent, l.loose = true, nil, nil
	}
	return false
}

// operate does one operation of a handler on the overlay.
func (l *simLease) operate(run *execution, o *task.Outcome, own string, op operation, i int) {
	key := own
	if op.sibling {
		keys := simKeys[l.lease.Partition]
		key = keys[(slices.Index(keys, own)+1)%len(keys)]
	}
	n := cellName{key, op.name}
	c := l.overlay[n]
	named := key
	if !op.sibling && i == 0 {
		named = "" // means the task's own key
	}
	if op.kind == 2 {
		o.Reads = append(o.Reads, task.Read{Key: named, Name: op.name, Version: c.version, Chained: c.chained})
		run.reads = append(run.reads, change{n, c.value, c.exists, "", false})
		return
	}
	w := task.Write{Key: named, Name: op.name, Expected: c.version, Chained: c.chained, Delete: op.kind == 1}
	after := &cell{chained: true}
	if op.kind == 0 {
		after.value, after.exists = run.id+"/"+op.name, true
		w.Value = []byte(after.value)
	}
	o.Writes = append(o.Writes, w)
	run.writes = append(run.writes, change{n, c.value, c.exists, after.value, after.exists})
	if l.lease.Ordered {
		l.overlay[n] = after
	}
}
