package main

import (
	"strings"

	"github.com/fenfa/fenfa"
)

// waitingRows says which workers ready tasks ask for, and where there is none.
func waitingRows(classes []fenfa.WaitingClass) (rows [][2]string) {
	for i := range classes {
		if text := waitingText(&classes[i]); text != "" {
			rows = append(rows, [2]string{"waiting", text})
		}
	}
	return rows
}

// waitingText is empty for tasks that ask for nothing and have workers.
func waitingText(c *fenfa.WaitingClass) string {
	text := tasksText(c) + asksText(c)
	switch {
	case len(c.Placement.Require) == 0 && c.Workers == 0:
		return text + ": no connected worker takes tasks of this queue"
	case len(c.Placement.Require)+len(c.Placement.Prefer) == 0:
		return ""
	case c.Workers == 0:
		return text + ": no connected worker may get such tasks"
	default:
		return text + ": " + plural(c.Workers, "worker") + " may get such tasks"
	}
}

func tasksText(c *fenfa.WaitingClass) string {
	switch {
	case c.Tasks == 0:
		return "parked tasks"
	case c.Parked:
		return plural(c.Tasks, "task") + " and parked ones"
	default:
		return plural(c.Tasks, "task")
	}
}

// asksText is what the tasks ask of workers, as the rest of a sentence.
func asksText(c *fenfa.WaitingClass) string {
	ending := ""
	if c.Tasks == 1 && !c.Parked {
		ending = "s"
	}
	var asks []string
	if len(c.Placement.Require) > 0 {
		asks = append(asks, " require"+ending+" "+strings.Join(c.Placement.Require, ","))
	}
	if len(c.Placement.Prefer) > 0 {
		asks = append(asks, " prefer"+ending+" "+strings.Join(c.Placement.Prefer, ","))
	}
	return strings.Join(asks, " and")
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}
