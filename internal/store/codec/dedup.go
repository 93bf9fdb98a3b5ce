package codec

import (
	"encoding/binary"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// There is one mark for every finished task, so a field that is not set takes
// no room. The flags stand in the order in which the fields follow.
const (
	dedupHasFingerprint = 1 << iota
	dedupHasQueue
	dedupHasKey
	dedupHasRef
	dedupHasCreatedAt
	dedupHasDue
	dedupHasFinishedAt
	dedupHasExpires
	dedupHasAttempts
	dedupHasDeliveries
	dedupHasWorker
	dedupHasResult
	dedupHasError
	dedupHasTook
	dedupHasType
	dedupFlags = 1<<iota - 1
)

func dedupFlagsOf(r *store.Dedup) (flags uint16) {
	for i, set := range [...]bool{
		r.Fingerprint != 0, r.Queue != "", r.Key != "", r.Ref != 0,
		r.CreatedAt != 0, !r.Due.IsZero(), r.FinishedAt != 0, !r.Expires.IsZero(),
		r.Attempts != 0, r.Deliveries != 0, r.Worker != "", len(r.Result) > 0, r.Error != "",
		r.Took > 0, r.Type != "",
	} {
		if set {
			flags |= 1 << i
		}
	}
	return flags
}

func appendDedup(b []byte, r *store.Dedup) []byte {
	flags := dedupFlagsOf(r)
	b = append(b, byte(r.State), byte(flags), byte(flags>>8))
	if flags&dedupHasFingerprint != 0 {
		b = binary.LittleEndian.AppendUint64(b, r.Fingerprint)
	}
	if flags&dedupHasQueue != 0 {
		b = task.AppendBytes(b, r.Queue)
	}
	if flags&dedupHasKey != 0 {
		b = task.AppendBytes(b, r.Key)
	}
	if flags&dedupHasRef != 0 {
		b = binary.AppendUvarint(b, r.Ref)
	}
	b = appendDedupTimes(b, r, flags)
	if flags&dedupHasAttempts != 0 {
		b = binary.AppendUvarint(b, uint64(r.Attempts))
	}
	if flags&dedupHasDeliveries != 0 {
		b = binary.AppendUvarint(b, uint64(r.Deliveries))
	}
	if flags&dedupHasWorker != 0 {
		b = task.AppendBytes(b, r.Worker)
	}
	if flags&dedupHasResult != 0 {
		b = task.AppendBytes(b, r.Result)
	}
	if flags&dedupHasError != 0 {
		b = task.AppendBytes(b, r.Error)
	}
	if flags&dedupHasTook != 0 {
		b = binary.AppendUvarint(b, uint64(r.Took.Microseconds()))
	}
	if flags&dedupHasType != 0 {
		b = task.AppendBytes(b, r.Type)
	}
	return b
}

// appendDedupTimes writes the later moments as distances from the first one,
// which takes half of the bytes. Distances wrap around, so none is too long.
func appendDedupTimes(b []byte, r *store.Dedup, flags uint16) []byte {
	if flags&dedupHasCreatedAt != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(r.CreatedAt))
	}
	created := micros(r.CreatedAt)
	if flags&dedupHasDue != 0 {
		b = binary.AppendVarint(b, r.Due.UnixMicro()-created)
	}
	if flags&dedupHasFinishedAt != 0 {
		b = binary.AppendVarint(b, int64(r.FinishedAt-r.CreatedAt))
	}
	if flags&dedupHasExpires != 0 {
		b = binary.AppendVarint(b, r.Expires.UnixMicro()-created)
	}
	return b
}

func micros(ts task.Timestamp) int64 {
	if ts == 0 {
		return 0
	}
	return ts.Time().UnixMicro()
}

func (d *decoder) dedup() *store.Dedup {
	r := &store.Dedup{ID: d.key.id()}
	v := &d.value
	r.State = task.State(v.Byte())
	flags := uint16(v.Byte())
	flags |= uint16(v.Byte()) << 8
	if flags&^dedupFlags != 0 {
		d.invalid = true
	}
	if flags&dedupHasFingerprint != 0 {
		r.Fingerprint = v.Uint64()
	}
	if flags&dedupHasQueue != 0 {
		r.Queue = v.String()
	}
	if flags&dedupHasKey != 0 {
		r.Key = v.String()
	}
	if flags&dedupHasRef != 0 {
		r.Ref = v.Uvarint()
	}
	d.dedupTimes(r, flags)
	if flags&dedupHasAttempts != 0 {
		r.Attempts = int(v.Uvarint())
	}
	if flags&dedupHasDeliveries != 0 {
		r.Deliveries = int(v.Uvarint())
	}
	if flags&dedupHasWorker != 0 {
		r.Worker = v.String()
	}
	if flags&dedupHasResult != 0 {
		r.Result = v.Bytes()
	}
	if flags&dedupHasError != 0 {
		r.Error = v.String()
	}
	if flags&dedupHasTook != 0 {
		r.Took = time.Duration(v.Uvarint()) * time.Microsecond
	}
	if flags&dedupHasType != 0 {
		r.Type = v.String()
	}
	return r
}

func (d *decoder) dedupTimes(r *store.Dedup, flags uint16) {
	v := &d.value
	if flags&dedupHasCreatedAt != 0 {
		r.CreatedAt = task.Timestamp(v.Uint64())
	}
	created := micros(r.CreatedAt)
	if flags&dedupHasDue != 0 {
		r.Due = time.UnixMicro(created + v.Varint()).UTC()
	}
	if flags&dedupHasFinishedAt != 0 {
		r.FinishedAt = r.CreatedAt + task.Timestamp(v.Varint())
	}
	if flags&dedupHasExpires != 0 {
		r.Expires = time.UnixMicro(created + v.Varint()).UTC()
	}
}
