package chart

import "fmt"

// Point is one of a curve.
type Point struct{ X, Y float64 }

// Curve is a line through points, from left to right.
type Curve struct {
	Name   string
	Points []Point
}

// Lines shows curves over one axis: time, or workers by rank.
type Lines struct {
	Axes
	Curves []Curve
}

func (l *Lines) check() error {
	if len(l.Curves) == 0 {
		return fmt.Errorf("%q has no curves", l.Title)
	}
	for i := range l.Curves {
		curve := &l.Curves[i]
		if len(curve.Points) == 0 {
			return fmt.Errorf("%q has no points of %q", l.Title, curve.Name)
		}
		last := 0.0
		for _, p := range curve.Points {
			if err := checkValues(l.Title, []float64{p.X, p.Y}); err != nil {
				return err
			}
			if p.X < last || p.X != p.X || p.Y != p.Y {
				return fmt.Errorf("%q: the points of %q do not go from left to right", l.Title, curve.Name)
			}
			last = p.X
		}
	}
	return nil
}

func (l *Lines) height() float64 {
	return l.head(len(l.Curves) > 1) + plotHeight + tickHeight + l.foot()
}

func (l *Lines) draw(c *canvas) {
	var mostX, mostY float64
	names := make([]string, 0, len(l.Curves))
	for i := range l.Curves {
		names = append(names, l.Curves[i].Name)
		for _, p := range l.Curves[i].Points {
			mostX, mostY = max(mostX, p.X), max(mostY, p.Y)
		}
	}
	f := l.Axes.draw(c, names, mostY, tickHeight)
	across := newScale(mostX)
	x := func(v float64) float64 { return plotLeft + (plotRight-plotLeft)*v/max(mostX, across.step/1e6) }
	for _, v := range across.ticks() {
		if v <= mostX {
			c.text("tick", middle, x(v), f.bottom+17, number(v))
		}
	}
	for i := range l.Curves {
		points := make([][2]float64, len(l.Curves[i].Points))
		for k, p := range l.Curves[i].Points {
			points[k] = [2]float64{x(p.X), f.y(p.Y)}
		}
		c.path(i, points)
	}
	l.target(c, f)
}
