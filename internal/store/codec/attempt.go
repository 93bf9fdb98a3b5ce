package codec

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

const (
	attemptHasNextAt = 1 << iota
	attemptHasRequeues
	attemptFlags = 1<<iota - 1
)

func appendAttempt(b []byte, r *store.Attempt) []byte {
	var flags byte
	if !r.NextAt.IsZero() {
		flags |= attemptHasNextAt
	}
	if r.Requeues != 0 {
		flags |= attemptHasRequeues
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(r.Attempts))
	b = binary.AppendUvarint(b, uint64(r.Deliveries))
	if flags&attemptHasNextAt != 0 {
		b = binary.AppendVarint(b, r.NextAt.UnixMicro())
	}
	if flags&attemptHasRequeues != 0 {
		b = binary.AppendUvarint(b, uint64(r.Requeues))
	}
	return appendTries(b, r.Tries)
}

func (d *decoder) attempt() *store.Attempt {
	r := &store.Attempt{ID: d.key.id()}
	flags := d.flags(attemptFlags)
	r.Attempts = int(d.value.Uvarint())
	r.Deliveries = int(d.value.Uvarint())
	if flags&attemptHasNextAt != 0 {
		r.NextAt = time.UnixMicro(d.value.Varint()).UTC()
	}
	if flags&attemptHasRequeues != 0 {
		r.Requeues = int(d.value.Uvarint())
	}
	r.Tries = d.tries()
	return r
}

// leastTry is the stored size of an empty Try: a timestamp and two lengths.
const leastTry = 8 + 1 + 1

// triesTook is added to the number of tries where each has the time that it took.
const triesTook = 1 << 32

func appendTries(b []byte, tries []store.Try) []byte {
	n := uint64(len(tries))
	took := slices.ContainsFunc(tries, func(t store.Try) bool { return t.Took >= time.Microsecond })
	if took {
		n += triesTook
	}
	b = binary.AppendUvarint(b, n)
	for i := range tries {
		t := &tries[i]
		b = binary.LittleEndian.AppendUint64(b, uint64(t.At))
		b = task.AppendBytes(b, t.Worker)
		b = task.AppendBytes(b, t.Error)
		if took {
			b = binary.AppendUvarint(b, uint64(max(t.Took, 0)/time.Microsecond))
		}
	}
	return b
}

func (d *decoder) tries() []store.Try {
	v := &d.value
	n := v.Uvarint()
	took := n >= triesTook
	if took {
		n -= triesTook
	}
	if n > uint64(len(v.Rest())/leastTry) {
		// A number that the rest cannot hold must not size an allocation.
		d.invalid = true
		return nil
	}
	if n == 0 {
		d.invalid = d.invalid || took
		return nil
	}
	tries := make([]store.Try, n)
	for i := range tries {
		tries[i] = store.Try{At: task.Timestamp(v.Uint64()), Worker: v.String(), Error: v.String()}
		if took {
			tries[i].Took = time.Duration(min(v.Uvarint(), uint64(math.MaxInt64/time.Microsecond))) * time.Microsecond
		}
	}
	return tries
}
