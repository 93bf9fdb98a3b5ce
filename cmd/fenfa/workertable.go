package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fenfa/fenfa"
)

// loadBar is how many characters a bar of slots has.
const loadBar = 10

// workerRows is the table of workers. Bars are for terminals.
func workerRows(workers []fenfa.WorkerInfo, bars bool) [][]string {
	rows := [][]string{{"ID", "STATE", "LOAD", "WEIGHT", "TIME", "HEARTBEAT", "DONE", "FAILED", "LABELS", "QUEUES", "ADDRESS"}}
	for i := range workers {
		w := &workers[i]
		load := fmt.Sprintf("%d/%d", w.InFlight, w.Slots)
		if bars {
			load = bar(w.InFlight, w.Slots) + " " + load
		}
		rows = append(rows, []string{
			w.ID, stateText(w, time.Now()), load, weightText(w), latencyText(w), fmt.Sprintf("%d ms ago", w.HeartbeatAge.Milliseconds()),
			count(w.DoneTotal), count(w.FailedTotal), labelText(w.Labels), strings.Join(w.Queues, ","), w.Address,
		})
	}
	return rows
}

// bar draws a part of a whole, as full as it can be when there is more.
func bar(part, whole int) string {
	filled := 0
	if whole > 0 {
		filled = min(max(part, 0)*loadBar/whole, loadBar)
	}
	if filled == 0 && part > 0 {
		filled = 1
	}
	return strings.Repeat("█", filled) + strings.Repeat("░", loadBar-filled)
}

// stateText is a worker's state, and from which of its queues it is ejected, why and
// for how long.
func stateText(w *fenfa.WorkerInfo, now time.Time) string {
	texts := []string{w.State}
	for _, q := range w.Serving {
		if left := q.EjectedUntil.Sub(now); !q.EjectedUntil.IsZero() && left > 0 {
			texts = append(texts, fmt.Sprintf("ejected from %s for %s: %s", q.Queue, left.Round(time.Second), q.EjectedFor))
		}
	}
	return strings.Join(texts, ", ")
}

// weightText is the weight that counts, the one that it will be, and a mark where a
// person has set it.
func weightText(w *fenfa.WorkerInfo) string {
	text := strconv.FormatFloat(w.EffectiveWeight, 'g', 3, 64)
	if w.EffectiveWeight != w.Weight {
		text += "/" + strconv.FormatFloat(w.Weight, 'g', 3, 64)
	}
	if w.WeightIsSet {
		text += "*"
	}
	return text
}

func latencyText(w *fenfa.WorkerInfo) string {
	longest := time.Duration(0)
	for _, q := range w.Serving {
		longest = max(longest, q.Latency)
	}
	if longest == 0 {
		return "-"
	}
	return rough(longest).String()
}

// rough leaves three digits of a duration.
func rough(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

func labelText(labels map[string]string) string {
	if len(labels) == 0 {
		return "-"
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		texts = append(texts, name+"="+labels[name])
	}
	return strings.Join(texts, ",")
}
