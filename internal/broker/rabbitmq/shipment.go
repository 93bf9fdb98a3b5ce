package rabbitmq

import (
	"strconv"

	"github.com/cespare/xxhash/v2"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// shipment is a message that was received and not handed out, or not all of it.
type shipment struct {
	parcel *parcel
	pack   packReader // of several tasks
	id     task.ID    // of the one task
	body   []byte
}

// unpack reads who a message is and what is in it. A pack that cannot be read is
// handed out as it is, like anything else that is no task: it stays where it is
// until a person looks at it.
func unpack(d *amqp.Delivery) (who identity, s shipment, sizes []uint32) {
	id, who := identify(d)
	if d.Type == packType {
		if pack, sizes, err := readPack(d.Body); err == nil {
			return who, shipment{pack: pack}, sizes
		}
	}
	return who, shipment{id: id, body: d.Body}, []uint32{uint32(len(d.Body))}
}

// identify reads who a message is. What something else published has no ID, and is
// known by its content.
func identify(d *amqp.Delivery) (task.ID, identity) {
	id, err := task.ParseID(d.MessageId)
	if err != nil {
		return task.ID{}, identity{stamp: xxhash.Sum64(d.Body)}
	}
	stamp, err := strconv.ParseUint(d.CorrelationId, 16, 64)
	if err != nil {
		stamp = xxhash.Sum64(d.Body)
	}
	return id, identity{id: id, stamp: stamp}
}

// take returns the next task, as the reader hands it out.
func (s *shipment) take() broker.Delivery {
	p := s.parcel
	d := broker.Delivery{Position: p.first + broker.Position(p.given), ID: s.id, Body: s.body}
	if s.pack.bytes != nil {
		d.ID, d.Body = s.pack.take()
	}
	p.given++
	s.skipGiven()
	return d
}

// skipGiven passes over what was handed out over an earlier channel, and what an
// earlier reader settled.
func (s *shipment) skipGiven() {
	p := s.parcel
	for p.given < p.tasks && p.done.has(p.given) {
		p.given++
	}
	for s.pack.bytes != nil && s.pack.next < p.given {
		s.pack.skip()
	}
}

// over reports whether nothing is left of it.
func (s *shipment) over() bool { return s.parcel.given == s.parcel.tasks }

// left is how many bytes are to be handed out.
func (s *shipment) left() int {
	p, n := s.parcel, 0
	for i := p.given; i < p.tasks; i++ {
		if !p.done.has(i) {
			n += int(p.sizes[i])
		}
	}
	return n
}
