package partition

import (
	"container/heap"
	"time"
)

// alarm is a time at which the core looks at something: at a blocked lane, at a
// task that waits for its next attempt, or at what call says.
type alarm struct {
	at   time.Time
	lane *lane
	item *item
	call func(now time.Time)
}

// alarms is a heap by time. An alarm that lost its meaning is ignored when it
// goes off.
type alarms struct{ heap alarmHeap }

func (a *alarms) add(x alarm) { heap.Push(&a.heap, x) }

func (a *alarms) next() time.Time {
	if len(a.heap) == 0 {
		return time.Time{}
	}
	return a.heap[0].at
}

func (a *alarms) due(now time.Time) (alarm, bool) {
	if len(a.heap) == 0 || a.heap[0].at.After(now) {
		return alarm{}, false
	}
	return heap.Pop(&a.heap).(alarm), true
}

type alarmHeap []alarm

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarmHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *alarmHeap) Push(x any)        { *h = append(*h, x.(alarm)) }
func (h *alarmHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = alarm{}
	*h = old[:len(old)-1]
	return x
}
