package kv

import (
	"github.com/cockroachdb/pebble/v2"
)

// Batch is a set of changes that happen together. It belongs to one goroutine
// until it is handed to Commit or discarded, and must not be touched afterwards.
type Batch struct {
	db *DB
	pb *pebble.Batch
}

// NewBatch returns an empty batch.
func (db *DB) NewBatch() *Batch {
	b, _ := db.batches.Get().(*Batch) // The pool holds nothing else.
	return b
}

// Set writes a value; key and value are copied.
func (b *Batch) Set(key, value []byte) { must(b.pb.Set(key, value, nil)) }

// SetInPlace adds a value whose bytes the caller writes itself, which saves a
// copy: both slices must be filled before the batch is used again.
func (b *Batch) SetInPlace(keySize, valueSize int) (key, value []byte) {
	op := b.pb.SetDeferred(keySize, valueSize)
	return op.Key, op.Value
}

// Delete removes a key; a missing one is no error.
func (b *Batch) Delete(key []byte) { must(b.pb.Delete(key, nil)) }

// DeleteSized removes a key whose value has valueSize bytes, which lets the
// engine find garbage sooner. A wrong size costs efficiency, not correctness.
func (b *Batch) DeleteSized(key []byte, valueSize int) {
	must(b.pb.DeleteSized(key, uint32(valueSize), nil))
}

// DeleteRange removes all keys in [lo, hi). It is for few, large ranges: each
// one slows reads around it until it was compacted away.
func (b *Batch) DeleteRange(lo, hi []byte) { must(b.pb.DeleteRange(lo, hi, nil)) }

// Size is the encoded size in bytes.
func (b *Batch) Size() int { return b.pb.Len() }

// Empty reports whether nothing was added.
func (b *Batch) Empty() bool { return b.pb.Empty() }

// Discard gives up the batch.
func (b *Batch) Discard() { b.release() }

func (b *Batch) release() {
	b.pb.Reset()
	b.db.batches.Put(b)
}

// must states that encoding into memory does not fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
