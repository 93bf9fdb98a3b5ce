package chart

// Vertical measures of a chart, in pixels.
const (
	titleHeight  = 44.0 // title and space above it
	noteHeight   = 18.0
	legendHeight = 24.0
	plotHeight   = 216.0 // with space above it
	plotSpace    = 14.0
	tickHeight   = 20.0 // numbers or names on the x axis
	labelHeight  = 18.0 // of the x axis
	belowHeight  = 22.0
)

// frame is where the plot of a chart is and how its y axis runs.
type frame struct {
	top, bottom float64
	scale       scale
}

// y is where a value is.
func (f *frame) y(v float64) float64 {
	return f.bottom - (f.bottom-f.top)*v/f.scale.top
}

// head is how much space the axes take above the plot.
func (a *Axes) head(legend bool) float64 {
	h := titleHeight
	if a.Note != "" {
		h += noteHeight
	}
	if legend {
		h += legendHeight
	}
	return h
}

// foot is how much space they take below it, without names on the x axis.
func (a *Axes) foot() float64 {
	if a.X == "" {
		return belowHeight
	}
	return labelHeight + belowHeight
}

// draw draws what is around the plot, and the lines across it, for values up to
// most.
func (a *Axes) draw(c *canvas, names []string, most, xHeight float64) *frame {
	c.text("title", start, marginX, 30, a.Title)
	if a.Target > 0 {
		c.text("tick", end, plotRight, 30, a.TargetName)
		x := plotRight - wide(a.TargetName) - 6
		c.line("target", x-24, 26, x, 26)
	}
	y := titleHeight
	if a.Note != "" {
		c.text("note", start, marginX, y+6, a.Note)
		y += noteHeight
	}
	if len(names) > 1 {
		a.legend(c, names, y)
		y += legendHeight
	}
	f := &frame{top: y + plotSpace, bottom: y + plotHeight, scale: newScale(max(most, a.Target))}
	for _, v := range f.scale.ticks() {
		class := "grid"
		if v == 0 {
			class = "axis"
		}
		c.line(class, plotLeft, f.y(v), plotRight, f.y(v))
		c.text("tick", end, plotLeft-8, f.y(v)+4, number(v))
	}
	c.turned("tick", middle, marginX-6, (f.top+f.bottom)/2, -90, a.Y)
	if a.X != "" {
		c.text("tick", middle, (plotLeft+plotRight)/2, f.bottom+xHeight+labelHeight, a.X)
	}
	return f
}

// target draws the line that values should reach, over what was drawn before.
func (a *Axes) target(c *canvas, f *frame) {
	if a.Target > 0 {
		c.line("target", plotLeft, f.y(a.Target), plotRight, f.y(a.Target))
	}
}

func (a *Axes) legend(c *canvas, names []string, y float64) {
	x := plotLeft
	for i, name := range names {
		c.swatch(i, x, y-2)
		c.text("", start, x+18, y+8, name)
		x += 18 + wide(name) + 22
	}
}
