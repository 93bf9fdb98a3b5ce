package embedded

import "github.com/fenfa/fenfa/internal/broker"

// window is what a reader was handed and has not settled: for each position from
// base on, the size of its row, or 0 when it is settled or was never there.
type window struct {
	base  broker.Position // the first entry's; everything below is settled
	sizes []uint32        // entries in sizes[off:]
	off   int
}

// end is the position behind the last entry.
func (w *window) end() broker.Position {
	return w.base + broker.Position(len(w.sizes)-w.off)
}

// push adds a position, which is not below end, with its row's size. Positions
// that are left out were settled before.
func (w *window) push(pos broker.Position, size int) {
	if w.off == len(w.sizes) {
		w.base, w.sizes, w.off = pos, w.sizes[:0], 0
	}
	for w.end() < pos {
		w.sizes = append(w.sizes, 0)
	}
	w.sizes = append(w.sizes, uint32(size))
}

// settle takes a position out and returns its row's size; ok is false when it
// is not in the window, or not any more.
func (w *window) settle(pos broker.Position) (size int, ok bool) {
	if pos < w.base || pos >= w.end() {
		return 0, false
	}
	i := w.off + int(pos-w.base)
	size = int(w.sizes[i])
	w.sizes[i] = 0
	return size, size > 0
}

// passed reports whether the reader came to the position and it is settled.
func (w *window) passed(pos broker.Position) bool {
	return pos < w.end() && (pos < w.base || w.sizes[w.off+int(pos-w.base)] == 0)
}

// trim moves base up to the first position that is not settled.
func (w *window) trim() {
	for w.off < len(w.sizes) && w.sizes[w.off] == 0 {
		w.off++
		w.base++
	}
	const slack = 1024
	if w.off > slack && w.off > len(w.sizes)/2 {
		n := copy(w.sizes, w.sizes[w.off:])
		w.sizes, w.off = w.sizes[:n], 0
	}
}
