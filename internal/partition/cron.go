package partition

import (
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/cron"
	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/task"
)

// A schedule is an entity like a saga: its records are in the partition of its key,
// and one commit holds that a tick was taken and the task of that tick. Whoever owns
// the partition keeps all of its schedules in memory, with the time of each one's next
// tick.

// cronBook holds the schedules of a partition.
type cronBook struct {
	open    map[string]*cron.Schedule // by name
	loaded  bool                      // all that the store held are in open
	waiting []func()                  // for that
	gone    map[string]struct{}       // that were deleted before it
	times   cronTimes
}

// cronAnswer is what became of a call.
type cronAnswer struct {
	s    *cron.Schedule // a copy
	same bool           // there was nothing to do
	err  error
}

// tellCron emits, with the batch in which a schedule's task ends, the message that
// says so to the schedule.
func (c *core) tellCron(now time.Time, t *task.Task, state task.State, reason string) {
	if message, ok := cron.MessageOf(t, state, reason); ok {
		c.emit(now, &message)
	}
}

// whenLoaded calls then when all schedules are in memory.
func (c *core) whenLoaded(then func()) {
	if c.crons.loaded {
		then()
		return
	}
	c.crons.waiting = append(c.crons.waiting, then)
}

// cronsLoaded takes the schedules that the store held; those that came or went
// meanwhile are known better.
func (c *core) cronsLoaded(found []*cron.Schedule) {
	for _, s := range found {
		name := s.Definition.Name
		if _, gone := c.crons.gone[name]; !gone && c.crons.open[name] == nil {
			c.crons.open[name] = s
			c.wakeCron(s)
		}
	}
	waiting := c.crons.waiting
	c.crons.loaded, c.crons.waiting, c.crons.gone = true, nil, nil
	for _, then := range waiting {
		then()
	}
}

// wakeCron notes when a schedule is to be looked at.
func (c *core) wakeCron(s *cron.Schedule) { c.crons.times.set(s.Definition.Name, s.Wakes()) }

// tickCrons looks at the schedules whose time has come. While the partition drains
// they are left to its next owner.
func (c *core) tickCrons(now time.Time) {
	for {
		name, at, ok := c.crons.times.due(now)
		if !ok {
			return
		}
		if !c.draining {
			c.withCron(name, func() { c.tickCron(now, name, at) })
		}
	}
}

// tickCron takes the ticks of a schedule until now.
func (c *core) tickCron(now time.Time, name string, at time.Time) {
	s := c.crons.open[name]
	if s == nil || !s.Wakes().Equal(at) {
		return
	}
	before, last := s.Counts, s.Last
	tasks, changed := s.Due(now)
	if !changed {
		return
	}
	if !s.Last.Equal(last) {
		c.counts.crons.late.Observe(now.Sub(at).Seconds())
	}
	c.keepCron(now, ledger.Author{}, s, tasks, before)
}

// withCron calls then when the records of a schedule are known.
func (c *core) withCron(name string, then func()) {
	missing := c.missingOfCron(cron.KeyOf(name))
	if len(missing) == 0 {
		then()
		return
	}
	c.loadAll(missing, then)
}

func (c *core) missingOfCron(key string) (missing []ledger.RecordKey) {
	for _, name := range []string{cron.RecordDefinition, cron.RecordState} {
		if !c.led.KnowsRecord(key, name) {
			missing = append(missing, ledger.RecordKey{Key: key, Name: name})
		}
	}
	return missing
}

// schedule returns a schedule as it is now, or nil. Its records must be known.
func (c *core) schedule(name string) (*cron.Schedule, error) {
	if s := c.crons.open[name]; s != nil {
		return s, nil
	}
	key := cron.KeyOf(name)
	state := c.led.Record(key, cron.RecordState)
	if state.Version == 0 {
		return nil, nil
	}
	s, err := cron.Decode(c.led.Record(key, cron.RecordDefinition).Value, state.Value)
	if err == nil {
		c.crons.open[name] = s
		c.wakeCron(s)
	}
	return s, err
}

// keepCron writes where a schedule is and emits its tasks. before is what was
// counted until then.
func (c *core) keepCron(now time.Time, by ledger.Author, s *cron.Schedule, tasks []task.Task, before cron.Counts) {
	var emits []task.Task
	for ; len(tasks) > 0; tasks = tasks[1:] {
		t := &tasks[0]
		if c.queues[t.Queue] != nil {
			emits = append(emits, *t)
			continue
		}
		s.Problem = fmt.Sprintf("there is no queue %q", t.Queue)
		more, _ := s.Ended(now, &cron.Ending{Birth: s.Birth, TaskID: t.ID, State: task.StateDead, Error: s.Problem})
		tasks = append(tasks, more...)
	}
	state, err := s.Encode()
	if err != nil {
		s.Problem = err.Error() // it cannot be: all of it can be written
	}
	key := cron.KeyOf(s.Definition.Name)
	c.led.Apply(now, by, &task.Task{Key: key}, &task.Outcome{Writes: []task.Write{{Name: cron.RecordState, Value: state}}})
	for i := range emits {
		c.emit(now, &emits[i])
	}
	c.press()
	c.counts.crons.count(before, s.Counts)
	c.wakeCron(s)
}

// define writes the definition of a schedule.
func (c *core) define(now time.Time, s *cron.Schedule) error {
	b, err := s.Definition.Encode()
	if err == nil {
		key := cron.KeyOf(s.Definition.Name)
		c.led.Apply(now, ledger.Author{}, &task.Task{Key: key}, &task.Outcome{Writes: []task.Write{{Name: cron.RecordDefinition, Value: b}}})
	}
	return err
}

// cronMessage takes one message to a schedule. One for a schedule that is not there
// any more has nothing to tell.
func (c *core) cronMessage(now time.Time, it *item) error {
	s, err := c.schedule(cron.NameOf(it.Key))
	if s == nil || err != nil {
		return err
	}
	end, err := cron.Read(&it.Task)
	if err != nil {
		return err
	}
	before := s.Counts
	if tasks, changed := s.Ended(now, &end); changed {
		c.keepCron(now, ledger.Author{TaskID: it.ID, Attempt: 1, Worker: c.cfg.Node}, s, tasks, before)
	}
	return nil
}

// answerCron answers when what the schedule is now is durable.
func (c *core) answerCron(answer func(cronAnswer), a cronAnswer) {
	if a.err != nil {
		answer(a)
		return
	}
	if a.s != nil {
		a.s = a.s.Clone()
	}
	c.afterDurable(func() { answer(a) })
}

// createCron begins a schedule, unless there is one of its name.
func (c *core) createCron(now time.Time, d *cron.Definition, answer func(cronAnswer)) {
	c.withCron(d.Name, func() {
		s, err := c.schedule(d.Name)
		if err != nil || s != nil {
			if err == nil && !s.Same(d) {
				err = task.Errorf(task.CodeAlreadyExists, "there is a schedule %q already, with another definition: update it, or use another name", d.Name).WithField("name")
			}
			c.answerCron(answer, cronAnswer{s: s, same: true, err: err})
			return
		}
		s = cron.New(now, uint64(c.led.Stamp(now)), *d)
		if err := c.define(now, s); err != nil {
			answer(cronAnswer{err: err})
			return
		}
		c.crons.open[d.Name] = s
		c.keepCron(now, ledger.Author{}, s, nil, s.Counts)
		c.answerCron(answer, cronAnswer{s: s})
	})
}

// operateCron carries out what a person asks of a schedule.
func (c *core) operateCron(now time.Time, name string, op *cron.Operation, answer func(cronAnswer)) {
	c.withCron(name, func() {
		s, err := c.knownCron(name)
		if err != nil {
			answer(cronAnswer{err: err})
			return
		}
		before := s.Counts
		tasks, changed := s.Operate(now, op)
		if changed && op.Do == cron.DoUpdate {
			err = c.define(now, s)
		}
		if changed {
			c.keepCron(now, ledger.Author{}, s, tasks, before)
		}
		c.answerCron(answer, cronAnswer{s: s, same: !changed, err: err})
	})
}

// deleteCron ends a schedule. Tasks that it submitted go on.
func (c *core) deleteCron(now time.Time, name string, answer func(cronAnswer)) {
	c.withCron(name, func() {
		s, err := c.knownCron(name)
		if err != nil {
			answer(cronAnswer{err: err})
			return
		}
		delete(c.crons.open, name)
		c.crons.times.set(name, time.Time{})
		if !c.crons.loaded {
			c.crons.gone[name] = struct{}{}
		}
		c.led.Apply(now, ledger.Author{}, &task.Task{Key: cron.KeyOf(name)}, &task.Outcome{
			Writes: []task.Write{{Name: cron.RecordState, Delete: true}, {Name: cron.RecordDefinition, Delete: true}},
		})
		c.press()
		c.answerCron(answer, cronAnswer{s: s})
	})
}

// getCron answers with a schedule as it is, durably.
func (c *core) getCron(name string, answer func(cronAnswer)) {
	c.withCron(name, func() {
		s, err := c.knownCron(name)
		c.answerCron(answer, cronAnswer{s: s, err: err})
	})
}

func (c *core) knownCron(name string) (*cron.Schedule, error) {
	s, err := c.schedule(name)
	if err == nil && s == nil {
		err = task.Errorf(task.CodeNotFound, "there is no schedule %q: see `fenfa cron list`", name).WithField("name")
	}
	return s, err
}
