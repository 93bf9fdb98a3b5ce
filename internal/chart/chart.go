package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

// Chart is Bars or Lines.
type Chart interface {
	// check reports what cannot be drawn.
	check() error
	// height is that of the whole chart, in pixels.
	height() float64
	draw(c *canvas)
}

// Axes are what every chart has around it.
type Axes struct {
	Title string
	Note  string // one line below the title, may be empty
	X, Y  string // labels of the axes, with the unit of what is drawn
	// Target is a dashed line across, what values should reach; 0: none.
	Target     float64
	TargetName string
}

// WriteSVG draws charts one below the other into one picture. It fails when there
// is nothing to draw, when a value is infinite, or when w fails.
func WriteSVG(w io.Writer, charts ...Chart) error {
	if len(charts) == 0 {
		return errors.New("draw chart: there is none")
	}
	height := 0.0
	for _, chart := range charts {
		if err := chart.check(); err != nil {
			return fmt.Errorf("draw chart: %w", err)
		}
		height += chart.height()
	}
	var b bytes.Buffer
	c := &canvas{out: &b}
	c.open(height)
	for _, chart := range charts {
		chart.draw(c)
		c.top += chart.height()
	}
	c.close()
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write chart: %w", err)
	}
	return nil
}

// checkValues refuses what has no place on a finite axis. NaN is allowed: it means
// that there is no value.
func checkValues(title string, values []float64) error {
	for _, v := range values {
		if math.IsInf(v, 0) || v < 0 {
			return fmt.Errorf("%q has the value %v: want 0 or more", title, v)
		}
	}
	return nil
}
