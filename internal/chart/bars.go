package chart

import (
	"fmt"
	"math"
)

// Series is one value for each group of Bars.
type Series struct {
	Name   string
	Values []float64 // 0 or more; NaN: there is none
}

// Bars shows one bar of every series for each group: policies, workers.
type Bars struct {
	Axes
	Groups []string
	Series []Series
}

// labelled is how wide a bar must be, in pixels, to have its value above it.
const labelled = 32

// widest is how wide a bar is at most, in pixels: few groups stand as slim bars.
const widest = 110

func (b *Bars) check() error {
	if len(b.Groups) == 0 || len(b.Series) == 0 {
		return fmt.Errorf("%q has no bars", b.Title)
	}
	for i := range b.Series {
		s := &b.Series[i]
		if len(s.Values) != len(b.Groups) {
			return fmt.Errorf("%q has %d values of %q for %d groups", b.Title, len(s.Values), s.Name, len(b.Groups))
		}
		if err := checkValues(b.Title, s.Values); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bars) height() float64 {
	return b.head(len(b.Series) > 1) + plotHeight + b.xHeight() + b.foot()
}

// group is the width that one group has.
func (b *Bars) group() float64 { return (plotRight - plotLeft) / float64(len(b.Groups)) }

// slanted reports whether names are too long to stand side by side.
func (b *Bars) slanted() bool {
	for _, g := range b.Groups {
		if wide(g) > b.group()-4 {
			return true
		}
	}
	return false
}

// xHeight is how much space the names of the groups take.
func (b *Bars) xHeight() float64 {
	if !b.slanted() {
		return tickHeight
	}
	longest := 0.0
	for _, g := range b.Groups {
		longest = max(longest, wide(g))
	}
	return tickHeight + 0.71*longest
}

func (b *Bars) draw(c *canvas) {
	most, names := 0.0, make([]string, 0, len(b.Series))
	for i := range b.Series {
		names = append(names, b.Series[i].Name)
		for _, v := range b.Series[i].Values {
			if v > most {
				most = v
			}
		}
	}
	f := b.Axes.draw(c, names, most, b.xHeight())
	for i := range b.Series {
		b.drawBars(c, f, i)
	}
	b.target(c, f)
	if b.bar() >= labelled {
		for i := range b.Series {
			b.drawValues(c, f, i)
		}
	}
	b.drawNames(c, f)
}

// bar is the width that one bar has.
func (b *Bars) bar() float64 { return min(widest, 0.76*b.group()/float64(len(b.Series))) }

// left is where a bar begins.
func (b *Bars) left(group, series int) float64 {
	return plotLeft + (float64(group)+0.5)*b.group() + (float64(series)-float64(len(b.Series))/2)*b.bar()
}

func (b *Bars) drawBars(c *canvas, f *frame, series int) {
	s := &b.Series[series]
	for i, v := range s.Values {
		if !math.IsNaN(v) {
			c.bar(series, b.left(i, series), f.y(v), max(0.6, 0.92*b.bar()), f.bottom-f.y(v), fmt.Sprintf("%s, %s: %s", b.Groups[i], s.Name, number(v)))
		}
	}
}

func (b *Bars) drawValues(c *canvas, f *frame, series int) {
	for i, v := range b.Series[series].Values {
		x := b.left(i, series) + 0.46*b.bar()
		y := f.bottom - 5
		if !math.IsNaN(v) {
			y = f.y(v) - 5
		}
		if b.crosses(f, y) {
			c.plate(x, y, number(v))
		}
		c.text("value", middle, x, y, number(v))
	}
}

// crosses reports whether the target's line would strike through a value at y.
func (b *Bars) crosses(f *frame, y float64) bool {
	return b.Target > 0 && math.Abs(f.y(b.Target)-(y-valueHeight/2)) < valueHeight/2+1
}

// drawNames names the groups, or as many of them as there is room for.
func (b *Bars) drawNames(c *canvas, f *frame) {
	every := int(math.Ceil(14 / b.group()))
	for i, g := range b.Groups {
		x := plotLeft + (float64(i)+0.5)*b.group()
		switch {
		case i%every != 0:
		case b.slanted():
			c.turned("tick", end, x+4, f.bottom+16, -45, g)
		default:
			c.text("tick", middle, x, f.bottom+17, g)
		}
	}
}
