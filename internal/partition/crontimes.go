package partition

import (
	"container/heap"
	"time"
)

// cronTimes says when each schedule is to be looked at: one time for each, however
// often it changes, the earliest first.
type cronTimes struct {
	heap cronTimeHeap
	of   map[string]*cronTime
}

// cronTime is when a schedule is to be looked at.
type cronTime struct {
	at    time.Time
	name  string
	place int // in the heap
}

// set notes when a schedule is to be looked at. Zero: never.
func (x *cronTimes) set(name string, at time.Time) {
	t := x.of[name]
	switch {
	case t == nil && at.IsZero():
	case t == nil:
		if x.of == nil {
			x.of = make(map[string]*cronTime)
		}
		t = &cronTime{at: at, name: name}
		x.of[name] = t
		heap.Push(&x.heap, t)
	case at.IsZero():
		heap.Remove(&x.heap, t.place)
		delete(x.of, name)
	default:
		t.at = at
		heap.Fix(&x.heap, t.place)
	}
}

// next is the earliest time, or zero.
func (x *cronTimes) next() time.Time {
	if len(x.heap) == 0 {
		return time.Time{}
	}
	return x.heap[0].at
}

// due takes out the schedule with the earliest time, if that has come.
func (x *cronTimes) due(now time.Time) (name string, at time.Time, ok bool) {
	if len(x.heap) == 0 || x.heap[0].at.After(now) {
		return "", time.Time{}, false
	}
	t := x.heap[0]
	x.set(t.name, time.Time{})
	return t.name, t.at, true
}

type cronTimeHeap []*cronTime

func (h cronTimeHeap) Len() int           { return len(h) }
func (h cronTimeHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h cronTimeHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *cronTimeHeap) Push(x any) {
	t := x.(*cronTime)
	t.place = len(*h)
	*h = append(*h, t)
}

func (h *cronTimeHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return t
}
