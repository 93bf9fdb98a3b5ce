package rabbitmq

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// posted is a message on its way: one task, or a pack of them.
type posted struct {
	log   *log
	queue *queue
	first int // in the batch; publication.next leads to the others
	last  int
	tasks int
	bytes int // of all bodies

	// Set when nothing is added any more.
	kind  string // AMQP type
	id    string // of the first task
	stamp string
	body  []byte
}

const (
	idSize    = 36
	stampSize = 16
	endOfPack = -1
)

// prepare finds the logs of the tasks, refuses what cannot be taken, and makes the
// jobs of the lanes.
func (p *publication) prepare(ctx context.Context, begin, end int) error {
	var last *queue
	for i := begin; i < end; i++ {
		m := &p.batch[i]
		if last == nil || last.name != m.Queue {
			q, err := p.b.find(ctx, m.Queue)
			if errors.Is(err, broker.ErrNoQueue) {
				p.fail(i, err)
				continue
			}
			if err != nil {
				p.unadmit()
				return fmt.Errorf("publish: %w", err)
			}
			last = q
		}
		if err := p.admit(i, last); err != nil {
			p.fail(i, err)
			continue
		}
		p.assign(i, last, last.logs[m.Partition])
	}
	p.seal()
	return nil
}

// admit checks the partition and the limits of the backlog.
func (p *publication) admit(i int, q *queue) error {
	m := &p.batch[i]
	if m.Partition < 0 || m.Partition >= len(q.logs) {
		return task.Errorf(task.CodeInvalidArgument, "queue %q has %d partitions: there is no partition %d", m.Queue, len(q.logs), m.Partition)
	}
	limits := q.limits.Load()
	q.gauge.busy.Store(true) // Also for one that is refused: the count may be wrong, and only another one mends it.
	if !q.gauge.admit(int64(len(m.Body)), limits.MaxTasks, limits.MaxBytes, m.Owed) {
		return fmt.Errorf("%w: the backlog of queue %q is at its limit", broker.ErrFull, m.Queue)
	}
	return nil
}

// assign puts a task into the last message for its log, or begins another one. The
// order of a log's tasks is that of the batch.
func (p *publication) assign(i int, q *queue, l *log) {
	size := len(p.batch[i].Body)
	j := p.jobs[l.lane]
	if j == nil {
		j = newJob()
		p.jobs[l.lane] = j
	}
	p.next[i] = endOfPack
	if at, ok := p.filling[l]; ok {
		m := &j.messages[at]
		if m.tasks < maxPackTasks && packSize(m.tasks+1, m.bytes+size) <= maxPackBytes {
			p.next[m.last], m.last = i, i
			m.tasks++
			m.bytes += size
			return
		}
	}
	p.filling[l] = len(j.messages)
	j.messages = append(j.messages, posted{log: l, queue: q, first: i, last: i, tasks: 1, bytes: size})
}

// seal gives the messages of this round their names and bodies.
func (p *publication) seal() {
	n := 0
	for _, j := range p.jobs {
		n += len(j.messages)
	}
	stamp := p.b.stamps.Add(uint64(n)) - uint64(n)
	names := make([]byte, 0, n*(idSize+stampSize))
	all := make([]*posted, 0, n)
	for _, j := range p.jobs {
		for i := range j.messages {
			m := &j.messages[i]
			all = append(all, m)
			var raw [8]byte
			putUint64(&raw, stamp)
			stamp++
			names = append(names, p.batch[m.first].ID.String()...)
			names = hex.AppendEncode(names, raw[:])
		}
	}
	text := string(names) // one string that all names are parts of
	for _, m := range all {
		m.id, m.stamp, text = text[:idSize], text[idSize:idSize+stampSize], text[idSize+stampSize:]
		p.fill(m)
		m.queue.gauge.post(m.tasks, m.bytes)
	}
}

func putUint64(raw *[8]byte, v uint64) {
	for i := range raw {
		raw[i] = byte(v >> (56 - 8*i))
	}
}

// fill makes the body of a message.
func (p *publication) fill(m *posted) {
	if m.tasks < leastInPack {
		m.body = p.batch[m.first].Body
		return
	}
	w := newPackWriter(m.tasks, m.bytes)
	for i := m.first; i != endOfPack; i = p.next[i] {
		w.add(&p.batch[i].ID, p.batch[i].Body)
	}
	m.kind, m.body = packType, w.bytes
}

// fail says why a task was not taken.
func (p *publication) fail(i int, err error) {
	if p.failed == nil {
		p.failed = make(map[int]error)
	}
	p.failed[i] = err
}

// failMessage says why the tasks of a message were not taken.
func (p *publication) failMessage(m *posted, err error) {
	for i := m.first; i != endOfPack; i = p.next[i] {
		p.fail(i, err)
	}
	messages := int64(1)
	if m.stamp == "" {
		messages = 0 // it was not sealed
	}
	m.queue.gauge.leave(messages, int64(m.tasks), int64(m.bytes))
}

// unadmit takes back what was admitted in this round.
func (p *publication) unadmit() {
	for _, j := range p.jobs {
		p.refuse(j, nil)
	}
}

// refuse fails all messages of a job that was not sent.
func (p *publication) refuse(j *job, err error) {
	for i := range j.messages {
		p.failMessage(&j.messages[i], err)
	}
}
