package partition

// deque is a double-ended queue over a ring. The zero value is empty.
type deque[T any] struct {
	ring []T
	head int
	n    int
}

func (d *deque[T]) len() int { return d.n }

func (d *deque[T]) at(i int) T { return d.ring[(d.head+i)&(len(d.ring)-1)] }

func (d *deque[T]) grow() {
	if d.n < len(d.ring) {
		return
	}
	bigger := make([]T, max(4, 2*len(d.ring)))
	for i := range d.n {
		bigger[i] = d.at(i)
	}
	d.ring, d.head = bigger, 0
}

func (d *deque[T]) pushBack(x T) {
	d.grow()
	d.ring[(d.head+d.n)&(len(d.ring)-1)] = x
	d.n++
}

func (d *deque[T]) pushFront(x T) {
	d.grow()
	d.head = (d.head - 1) & (len(d.ring) - 1)
	d.ring[d.head] = x
	d.n++
}

func (d *deque[T]) popFront() T {
	var none T
	x := d.ring[d.head]
	d.ring[d.head] = none
	d.head = (d.head + 1) & (len(d.ring) - 1)
	d.n--
	return x
}

// find returns the place of the first that is so, -1: none is.
func (d *deque[T]) find(is func(T) bool) int {
	for i := range d.n {
		if is(d.at(i)) {
			return i
		}
	}
	return -1
}

// remove takes the i-th out; the others keep their order.
func (d *deque[T]) remove(i int) {
	for ; i > 0; i-- {
		d.ring[(d.head+i)&(len(d.ring)-1)] = d.at(i - 1)
	}
	d.popFront()
}

func (d *deque[T]) popBack() T {
	var none T
	i := (d.head + d.n - 1) & (len(d.ring) - 1)
	x := d.ring[i]
	d.ring[i] = none
	d.n--
	return x
}

// insert puts x before the i-th.
func (d *deque[T]) insert(i int, x T) {
	if i > d.n/2 {
		d.pushBack(x)
		for j := d.n - 1; j > i; j-- {
			d.swap(j, j-1)
		}
		return
	}
	d.pushFront(x)
	for j := range i {
		d.swap(j, j+1)
	}
}

func (d *deque[T]) swap(i, j int) {
	a, b := (d.head+i)&(len(d.ring)-1), (d.head+j)&(len(d.ring)-1)
	d.ring[a], d.ring[b] = d.ring[b], d.ring[a]
}
