package simulate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/fenfa/fenfa/internal/chart"
)

// maxBars is how many workers get a bar of their own; more become a curve.
const maxBars = 40

// Charts draws what results show: of one, its workers; of several, how the
// policies compare.
func Charts(cfg Config, results []*Result) []chart.Chart {
	cfg.setDefaults()
	var charts []chart.Chart
	switch {
	case len(results) > 1:
		charts = comparison(&cfg, results)
	case len(results) == 1 && len(results[0].Workers) > maxBars:
		charts = []chart.Chart{loads(&cfg, results[0])}
	case len(results) == 1:
		charts = byWorker(&cfg, results[0])
	}
	for _, r := range results {
		if r.Movement != nil {
			charts = append(charts, moves(r))
		}
	}
	return charts
}

// moves sets the keys that changed their worker beside those that had to.
func moves(r *Result) chart.Chart {
	ofAll := func(keys int) float64 { return 100 * float64(keys) / float64(r.Movement.Keys) }
	return &chart.Bars{
		Axes:   chart.Axes{Title: "Keys that got another worker under " + r.Policy, Y: "% of all keys"},
		Groups: []string{"moved", "least possible on average"},
		Series: []chart.Series{{Name: "keys", Values: []float64{ofAll(r.Movement.Moved), ofAll(r.Movement.Least)}}},
	}
}

// note says in one line what is simulated.
func (c *Config) note() string {
	text := fmt.Sprintf("%s with %s each, %s outstanding that take %v on average",
		plural(c.Workers, "worker"), plural(c.Slots, "slot"), plural(c.Outstanding, "task"), c.Service)
	switch {
	case c.Slow == 1:
		text += fmt.Sprintf("; one is %v times slower", c.SlowFactor)
	case c.Slow > 1:
		text += fmt.Sprintf("; %d are %v times slower", c.Slow, c.SlowFactor)
	}
	if c.Lines > 0 {
		text += fmt.Sprintf("; each serves %d at a time", c.Lines)
	}
	if c.Zipf > 0 {
		text += fmt.Sprintf("; keys with zipf %v", c.Zipf)
	}
	if c.Leave != "" {
		text += "; " + c.Leave + " leaves"
	}
	if c.Join != "" {
		text += "; " + c.Join + " joins"
	}
	return text
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// comparison sets the policies side by side.
func comparison(cfg *Config, results []*Result) []chart.Chart {
	var policies []string
	var made, p50, p99, imbalance []float64
	for _, r := range results {
		policies = append(policies, r.Policy)
		made = append(made, 100*r.Ratio)
		p50, p99 = append(p50, r.TimeP50), append(p99, r.TimeP99)
		imbalance = append(imbalance, r.Imbalance)
	}
	return []chart.Chart{
		&chart.Bars{
			Axes:   chart.Axes{Title: "Throughput", Note: cfg.note(), Y: "% of what is possible", Target: 100, TargetName: "possible"},
			Groups: policies, Series: []chart.Series{{Name: "throughput", Values: made}},
		},
		&chart.Bars{
			Axes:   chart.Axes{Title: "Time of a task, from coming to done", Y: "milliseconds"},
			Groups: policies, Series: []chart.Series{{Name: "half are faster (p50)", Values: p50}, {Name: "99% are faster (p99)", Values: p99}},
		},
		&chart.Bars{
			Axes:   chart.Axes{Title: "Busiest worker", X: "policy", Y: "tasks over its share by weight", Target: 1, TargetName: "share"},
			Groups: policies, Series: []chart.Series{{Name: "imbalance", Values: imbalance}},
		},
	}
}

// byWorker draws a bar for each worker.
func byWorker(cfg *Config, r *Result) []chart.Chart {
	var ids []string
	var shares, expected, busy, p50, p99 []float64
	for i := range r.Workers {
		w := &r.Workers[i]
		ids = append(ids, w.ID)
		shares, expected = append(shares, 100*w.Share), append(expected, 100*w.Expected)
		busy = append(busy, 100*w.Busy)
		p50, p99 = append(p50, w.TimeP50), append(p99, w.TimeP99)
	}
	return []chart.Chart{
		&chart.Bars{
			Axes:   chart.Axes{Title: "Tasks of each worker under " + r.Policy, Note: cfg.note(), Y: "% of all tasks"},
			Groups: ids, Series: []chart.Series{{Name: "tasks", Values: shares}, {Name: "share by weight", Values: expected}},
		},
		&chart.Bars{
			Axes:   chart.Axes{Title: "Slots in use", Y: "% of the time"},
			Groups: ids, Series: []chart.Series{{Name: "busy", Values: busy}},
		},
		&chart.Bars{
			Axes:   chart.Axes{Title: "Time of a task, from coming to done", X: "worker", Y: "milliseconds"},
			Groups: ids, Series: []chart.Series{{Name: "half are faster (p50)", Values: p50}, {Name: "99% are faster (p99)", Values: p99}},
		},
	}
}

// loads draws the load of many workers as a curve, the busiest first.
func loads(cfg *Config, r *Result) chart.Chart {
	workers := slices.SortedFunc(slices.Values(r.Workers), func(a, b Worker) int { return cmp.Compare(b.Load, a.Load) })
	curve := chart.Curve{Name: r.Policy}
	for i := range workers {
		curve.Points = append(curve.Points, chart.Point{X: float64(i + 1), Y: workers[i].Load})
	}
	return &chart.Lines{
		Axes: chart.Axes{
			Title: "Load of each worker under " + r.Policy, Note: cfg.note(),
			X: "workers, the busiest first", Y: "tasks over the share by weight", Target: 1, TargetName: "share",
		},
		Curves: []chart.Curve{curve},
	}
}
