package codec

import (
	"encoding/binary"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// requeuedDead leads the value of a dead letter that was one before; the number of
// times follows. A value of version 1 has none.
const requeuedDead = 2

func appendDead(b []byte, r *store.Dead) []byte {
	if r.Requeues == 0 {
		b = append(b, version)
	} else {
		b = binary.AppendUvarint(append(b, requeuedDead), uint64(r.Requeues))
	}
	b = task.AppendBytes(b, r.Body)
	b = task.AppendBytes(b, r.Reason)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.DiedAt))
	b = binary.AppendUvarint(b, uint64(r.Attempts))
	b = binary.AppendUvarint(b, uint64(r.Deliveries))
	return appendTries(b, r.Tries)
}

func (d *decoder) dead(requeued bool) *store.Dead {
	v := &d.value
	requeues := 0
	if requeued {
		requeues = int(v.Uvarint())
	}
	return &store.Dead{
		Queue:      d.key.string(),
		Seq:        d.key.uint64(),
		Body:       v.Bytes(),
		Reason:     v.String(),
		DiedAt:     task.Timestamp(v.Uint64()),
		Attempts:   int(v.Uvarint()),
		Deliveries: int(v.Uvarint()),
		Tries:      d.tries(),
		Requeues:   requeues,
	}
}
