package store

import "fmt"

// Admit says why the batch may not follow this head of its partition: an error
// that wraps ErrFenced when the head is not the one that the batch expects, any
// other when the batch does not move it forward, or nil. Drivers share it.
func (f Fence) Admit(b *Batch) error {
	prev, next := &b.Prev, &b.Next
	switch {
	case prev.Epoch != f.Epoch || prev.Seq != f.Seq || prev.HLC != f.HLC:
		return fmt.Errorf("%w: partition %d is at epoch %d, seq %d, hlc %d; the batch follows epoch %d, seq %d, hlc %d",
			ErrFenced, b.Part, f.Epoch, f.Seq, f.HLC, prev.Epoch, prev.Seq, prev.HLC)
	case next.Epoch != prev.Epoch || next.Seq < prev.Seq || next.HLC <= prev.HLC || next.GC < prev.GC:
		return fmt.Errorf("the batch does not move the fence of partition %d forward: epoch %d to %d, seq %d to %d, hlc %d to %d, gc %d to %d",
			b.Part, prev.Epoch, next.Epoch, prev.Seq, next.Seq, prev.HLC, next.HLC, prev.GC, next.GC)
	}
	return nil
}

// Claimed returns the head that a claim of the epoch makes of this one; epoch 0
// asks for the next. Drivers share it.
func (f Fence) Claimed(epoch uint64) (Fence, error) {
	if epoch == 0 {
		epoch = f.Epoch + 1
	}
	if epoch <= f.Epoch {
		return Fence{}, fmt.Errorf("%w: epoch %d was asked for, %d is there", ErrFenced, epoch, f.Epoch)
	}
	f.Epoch = epoch
	return f, nil
}
