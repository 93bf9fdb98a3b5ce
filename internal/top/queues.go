package top

import (
	"cmp"
	"strings"
	"time"
)

// newQueueTable returns the table of queues.
func newQueueTable() table[QueueFigures] {
	return table[QueueFigures]{
		columns: queueColumns(),
		name:    func(q *QueueFigures) string { return q.Name },
		matches: func(q *QueueFigures, filter string) bool {
			return contains(filter, q.Name, policyShown(q))
		},
	}
}

func queueColumns() []column[QueueFigures] {
	return []column[QueueFigures]{
		{
			title: "QUEUE", min: 12, max: 40, left: true, about: "name; beside the title how many there are",
			cell:  func(q *QueueFigures, _ int) []Span { return plain(StyleStrong, clean(q.Name)) },
			order: func(a, b *QueueFigures) int { return strings.Compare(a.Name, b.Name) },
		},
		counter("BACKLOG", 7, 1, StyleText, "tasks in the log that have not ended", func(q *QueueFigures) int64 { return q.Backlog }),
		rate("IN/S", 2, StyleText, "tasks that come in a second: submitted, emitted, requeued", func(q *QueueFigures) (bool, float64) { return q.Known, q.In }),
		rate("OUT/S", 3, StyleText, "tasks that end in a second: done, dead or cancelled", func(q *QueueFigures) (bool, float64) { return q.Known, q.Out }),
		rate("FAIL/S", 13, StyleWarn, "attempts that fail in a second", func(q *QueueFigures) (bool, float64) { return q.Known, q.Failed }),
		counter("RUN", 5, 4, StyleText, "tasks at workers", func(q *QueueFigures) int64 { return q.Running }),
		counter("SCHED", 5, 9, StyleText, "tasks that wait for their time", func(q *QueueFigures) int64 { return q.Scheduled }),
		counter("DEAD", 5, 8, StyleBad, "dead letters", func(q *QueueFigures) int64 { return q.Dead }),
		counter("BLOCK", 5, 14, StyleWarn, "keys that wait for a retry", func(q *QueueFigures) int64 { return q.Blocked }),
		counter("HALT", 5, 15, StyleBad, "keys that wait for a person", func(q *QueueFigures) int64 { return q.Halted }),
		lasting("OLDEST", 6, "age of the oldest task of the backlog", func(q *QueueFigures) time.Duration { return q.Age }),
		lasting("P50", 5, "half of the tasks of the last 10 to 20 s waited no longer for a worker", func(q *QueueFigures) time.Duration { return q.StartP50 }),
		lasting("P99", 6, "99% of these tasks waited no longer for a worker", func(q *QueueFigures) time.Duration { return q.StartP99 }),
		counter("WRK", 4, 10, StyleText, "workers that serve the queue", func(q *QueueFigures) int64 { return q.Workers }),
		{
			title: "POLICY", min: 15, rank: 12, left: true, about: "how tasks are spread over workers; paused: they are not",
			cell: func(q *QueueFigures, _ int) []Span {
				if q.Paused {
					return plain(StyleWarn, policyShown(q))
				}
				return plain(StyleDim, clean(q.Policy))
			},
			order: func(a, b *QueueFigures) int { return strings.Compare(a.Policy, b.Policy) },
		},
	}
}

// policyShown is how tasks are spread over workers, or that they are not.
func policyShown(q *QueueFigures) string {
	if q.Paused {
		return "paused"
	}
	return q.Policy
}

// counter is a column of counts; zero is dim, and any other has the style.
func counter(title string, width, rank int, style Style, about string, of func(*QueueFigures) int64) column[QueueFigures] {
	return column[QueueFigures]{
		title: title, min: width, rank: rank, down: true, about: about,
		cell: func(q *QueueFigures, _ int) []Span {
			n := of(q)
			if n == 0 {
				return plain(StyleDim, "0")
			}
			return plain(style, number(n))
		},
		order: func(a, b *QueueFigures) int { return cmp.Compare(of(a), of(b)) },
	}
}

// rate is a column of events a second.
func rate[R any](title string, rank int, style Style, about string, of func(*R) (bool, float64)) column[R] {
	return column[R]{
		title: title, min: 6, rank: rank, down: true, about: about,
		cell: func(r *R, _ int) []Span {
			known, v := of(r)
			if !known || v == 0 {
				return plain(StyleDim, perSecond(known, v))
			}
			return plain(style, perSecond(known, v))
		},
		order: func(a, b *R) int {
			_, x := of(a)
			_, y := of(b)
			return cmp.Compare(x, y)
		},
	}
}

// lasting is a column of durations.
func lasting[R any](title string, rank int, about string, of func(*R) time.Duration) column[R] {
	return column[R]{
		title: title, min: 6, rank: rank, down: true, about: about,
		cell: func(r *R, _ int) []Span {
			if d := of(r); d > 0 {
				return plain(StyleText, span(d))
			}
			return plain(StyleDim, none)
		},
		order: func(a, b *R) int { return cmp.Compare(of(a), of(b)) },
	}
}

// contains reports whether one of the texts has the filter in it, whatever the
// case.
func contains(filter string, texts ...string) bool {
	filter = strings.ToLower(filter)
	for _, text := range texts {
		if strings.Contains(strings.ToLower(text), filter) {
			return true
		}
	}
	return false
}
