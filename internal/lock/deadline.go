package lock

import (
	"container/heap"
	"time"
)

// alarm is a time at which a lock or a ticket is looked at: at most one of each.
type alarm struct {
	at     time.Time
	index  int // in the heap, from 1; 0: not in it
	entry  *entry
	ticket *Ticket // nil: the alarm is the lock's
}

// alarms is a heap by time from which alarms can be taken back.
type alarms []*alarm

func (a *alarms) set(x *alarm, at time.Time) {
	x.at = at
	if x.index > 0 {
		heap.Fix(a, x.index-1)
		return
	}
	heap.Push(a, x)
}

func (a *alarms) clear(x *alarm) {
	if x.index > 0 {
		heap.Remove(a, x.index-1)
	}
}

// due takes the first alarm that is not after now, or returns nil.
func (a *alarms) due(now time.Time) *alarm {
	if len(*a) == 0 || (*a)[0].at.After(now) {
		return nil
	}
	return heap.Pop(a).(*alarm)
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i+1, j+1
}

// Push implements heap.Interface.
func (a *alarms) Push(v any) {
	x := v.(*alarm)
	*a = append(*a, x)
	x.index = len(*a)
}

// Pop implements heap.Interface.
func (a *alarms) Pop() any {
	old := *a
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	x.index = 0
	return x
}
