package bench

import (
	"fmt"

	"github.com/fenfa/fenfa/internal/chart"
)

// Charts draws what a picture says better than numbers: slow, for one or several
// policies, and churn. For other benchmarks there is none.
func Charts(results []*Result) []chart.Chart {
	switch results[0].Name {
	case "slow":
		return slowCharts(results)
	case "churn":
		charts := make([]chart.Chart, 0, len(results))
		for _, r := range results {
			charts = append(charts, churnChart(r))
		}
		return charts
	default:
		return nil
	}
}

// Drawable reports whether Charts draws results of a benchmark.
func Drawable(name string) bool { return name == "slow" || name == "churn" }

func slowCharts(results []*Result) []chart.Chart {
	latency := &chart.Bars{
		Axes:   chart.Axes{Title: "One worker of several is ten times slower", X: "policy", Y: "submit to end, ms"},
		Series: []chart.Series{{Name: "p50"}, {Name: "p99"}},
	}
	share := &chart.Bars{
		Axes:   chart.Axes{Title: "What the slow worker gets", X: "policy", Y: "% of all tasks"},
		Series: []chart.Series{{Name: "slow worker"}},
	}
	for _, r := range results {
		s := &r.Settings
		latency.Note = fmt.Sprintf("%d workers of %d slots that serve %d tasks at a time, %s each; %d tasks/s, 90%% of what the fast ones can do",
			s.Workers, s.Concurrency, s.Lines, s.Service, s.Rate)
		latency.Groups, share.Groups = append(latency.Groups, s.Policy), append(share.Groups, s.Policy)
		latency.Series[0].Values = append(latency.Series[0].Values, *r.FinishP50)
		latency.Series[1].Values = append(latency.Series[1].Values, *r.FinishP99)
		share.Series[0].Values = append(share.Series[0].Values, 100**r.SlowShare)
	}
	return []chart.Chart{latency, share}
}

func churnChart(r *Result) chart.Chart {
	s := &r.Settings
	lines := &chart.Lines{Axes: chart.Axes{
		Title: "Workers come, die and freeze under " + s.Policy, X: "seconds", Y: "tasks/s of each worker",
		Note: fmt.Sprintf("%d tasks/s; bench-%d starts at %.1f s, bench-2 is killed at %.1f s, bench-3 frozen from %.1f s to %.1f s",
			s.Rate, s.Workers+1, churnJoin*s.Seconds, churnKill*s.Seconds, churnFreeze*s.Seconds, churnThaw*s.Seconds),
	}}
	for _, c := range r.Curves {
		if len(c.Points) == 0 {
			continue
		}
		curve := chart.Curve{Name: c.Worker}
		for _, p := range c.Points {
			curve.Points = append(curve.Points, chart.Point{X: p.Seconds, Y: p.PerS})
		}
		lines.Curves = append(lines.Curves, curve)
	}
	return lines
}
