package codec

import (
	"encoding/binary"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

func appendDead(b []byte, r *store.Dead) []byte {
	b = task.AppendBytes(b, r.Body)
	b = task.AppendBytes(b, r.Reason)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.DiedAt))
	b = binary.AppendUvarint(b, uint64(r.Attempts))
	b = binary.AppendUvarint(b, uint64(r.Deliveries))
	return appendTries(b, r.Tries)
}

func (d *decoder) dead() *store.Dead {
	v := &d.value
	return &store.Dead{
		Queue:      d.key.string(),
		Seq:        d.key.uint64(),
		Body:       v.Bytes(),
		Reason:     v.String(),
		DiedAt:     task.Timestamp(v.Uint64()),
		Attempts:   int(v.Uvarint()),
		Deliveries: int(v.Uvarint()),
		Tries:      d.tries(),
	}
}
