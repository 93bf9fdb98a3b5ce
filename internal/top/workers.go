package top

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// newWorkerTable returns the table of workers.
func newWorkerTable() table[WorkerFigures] {
	return table[WorkerFigures]{
		columns: workerColumns(),
		name:    func(w *WorkerFigures) string { return w.ID },
		matches: func(w *WorkerFigures, filter string) bool {
			return contains(filter, w.ID, w.StateShown(), labelsOf(w), queuesOf(w))
		},
	}
}

func workerColumns() []column[WorkerFigures] {
	return []column[WorkerFigures]{
		{
			title: "WORKER", min: 12, max: 40, rank: 0, left: true, about: "id; beside the title how many there are",
			cell:  func(w *WorkerFigures, _ int) []Span { return plain(StyleStrong, clean(w.ID)) },
			order: func(a, b *WorkerFigures) int { return strings.Compare(a.ID, b.ID) },
		},
		{
			title: "STATE", min: 8, rank: 1, left: true, about: "active, quiet, draining, suspect (silent or cut off), ejected (fails)",
			cell: func(w *WorkerFigures, _ int) []Span {
				return plain(stateStyle(w.StateShown()), clean(w.StateShown()))
			},
			order: func(a, b *WorkerFigures) int {
				return cmp.Compare(urgency(a.StateShown()), urgency(b.StateShown()))
			},
		},
		{
			title: "LOAD", min: 12, max: 28, rank: 2, left: true, down: true, about: "tasks in flight of slots; more than its slots are prefetched",
			cell: loadCell, order: func(a, b *WorkerFigures) int { return cmp.Compare(loadOf(a), loadOf(b)) },
		},
		{
			title: "WEIGHT", min: 8, rank: 7, down: true, about: "its part of the work; first what it counts for now, where that is less",
			cell: weightCell, order: func(a, b *WorkerFigures) int { return cmp.Compare(a.WeightNow(), b.WeightNow()) },
		},
		rate("RATE", 3, StyleText, "tasks that it finishes in a second", func(w *WorkerFigures) (bool, float64) { return w.Known, w.Out }),
		rate("FAIL/S", 4, StyleWarn, "attempts that fail in a second", func(w *WorkerFigures) (bool, float64) { return w.Known, w.Failed }),
		lasting("TIME", 6, "from hand-out to outcome, the longest of its queues; falls slowly", func(w *WorkerFigures) time.Duration { return w.Latency }),
		{
			title: "BEAT", min: 6, rank: 5, down: true, about: "time since its last message",
			cell: beatCell, order: func(a, b *WorkerFigures) int { return cmp.Compare(a.HeartbeatAge, b.HeartbeatAge) },
		},
		{
			title: "QUEUES", min: 8, max: 40, rank: 8, left: true, about: "that it serves; from which it is ejected, for how long, and why",
			cell: queuesCell, order: func(a, b *WorkerFigures) int { return strings.Compare(queuesOf(a), queuesOf(b)) },
		},
		{
			title: "LABELS", min: 12, max: 40, rank: 9, left: true, about: "that tasks and queues may ask for",
			cell:  func(w *WorkerFigures, _ int) []Span { return plain(StyleDim, clean(labelsOf(w))) },
			order: func(a, b *WorkerFigures) int { return strings.Compare(labelsOf(a), labelsOf(b)) },
		},
	}
}

// urgency orders states by how much they want to be looked at.
func urgency(state string) int {
	return slices.Index([]string{StateEjected, "suspect", "draining", "quiet", "active"}, state)
}

func stateStyle(state string) Style {
	switch state {
	case "active":
		return StyleGood
	case StateEjected:
		return StyleBad
	case "suspect":
		return StyleWarn
	default:
		return StyleNotice
	}
}

func loadOf(w *WorkerFigures) float64 {
	if w.Slots == 0 {
		return 0
	}
	return float64(w.InFlight) / float64(w.Slots)
}

func loadCell(w *WorkerFigures, width int) []Span {
	text := fmt.Sprintf(" %s/%s", number(int64(w.InFlight)), number(int64(w.Slots)))
	full, empty := bar(w.InFlight, w.Slots, width-max(widthOf(text), 8))
	style := StyleText
	if w.InFlight == 0 {
		style = StyleDim
	}
	return []Span{{Text: full, Style: StyleBar}, {Text: empty, Style: StyleDim}, {Text: text, Style: style}}
}

func weightCell(w *WorkerFigures, _ int) []Span {
	if now := weight(w.WeightNow()); now != weight(w.Weight) {
		return plain(StyleNotice, now+"/"+weight(w.Weight))
	}
	return plain(StyleText, weight(w.Weight))
}

// late is the age of a heartbeat that is worth a look: they come three times a
// second or more.
const late = time.Second

func beatCell(w *WorkerFigures, _ int) []Span {
	switch {
	case w.HeartbeatAge >= late:
		return plain(StyleWarn, span(w.HeartbeatAge))
	case w.HeartbeatAge < time.Millisecond:
		return plain(StyleDim, "0ms")
	default:
		return plain(StyleDim, span(w.HeartbeatAge))
	}
}

func queuesOf(w *WorkerFigures) string {
	names := make([]string, len(w.Serving))
	for i, s := range w.Serving {
		names[i] = s.Queue
	}
	return strings.Join(names, " ")
}

// queuesCell has the queues that the worker is ejected from first.
func queuesCell(w *WorkerFigures, _ int) (cell []Span) {
	gap := ""
	for _, e := range w.Ejected {
		cell = append(cell, Span{Text: fmt.Sprintf("%s%s (%s, %s)", gap, clean(e.Queue), span(e.Left), clean(e.For)), Style: StyleBad})
		gap = " "
	}
	for _, s := range w.Serving {
		if !slices.ContainsFunc(w.Ejected, func(e Ejection) bool { return e.Queue == s.Queue }) {
			cell = append(cell, Span{Text: gap + clean(s.Queue), Style: StyleText})
			gap = " "
		}
	}
	return cell
}

func labelsOf(w *WorkerFigures) string {
	labels := make([]string, 0, len(w.Labels))
	for _, name := range slices.Sorted(maps.Keys(w.Labels)) {
		labels = append(labels, name+"="+w.Labels[name])
	}
	return strings.Join(labels, " ")
}
