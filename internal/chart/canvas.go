package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Measures of the picture, in pixels.
const (
	width     = 760.0
	marginX   = 24.0
	axisWidth = 64.0 // left of the plot: label and numbers of the y axis
	plotLeft  = marginX + axisWidth
	plotRight = width - marginX
	charWidth = 6.4 // of the 12 px font, about

	valueHeight = 9.0 // of a digit in the 11 px font
)

// colours are told apart by people who see few colours, on white and on black
// (after Okabe and Ito, 2002).
const colours = 6

// style follows the reader's colour scheme. A viewer that does not know the media
// query draws the light one, with its own background.
const style = `<style>
text { font: 12px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; fill: #30363d }
.title { font-size: 15px; font-weight: 600 }
.note, .tick { fill: #59636e }
.value { font-size: 11px; fill: #59636e; stroke: #ffffff; stroke-width: 3px; paint-order: stroke }
.back { fill: #ffffff }
.grid { stroke: #d8dee4; stroke-width: 1 }
.axis { stroke: #8c959f; stroke-width: 1 }
.target { stroke: #8c959f; stroke-width: 1.5; stroke-dasharray: 5 4 }
.line { fill: none; stroke-width: 2; stroke-linejoin: round }
.f0 { fill: #0072b2 } .s0 { stroke: #0072b2 }
.f1 { fill: #e69f00 } .s1 { stroke: #e69f00 }
.f2 { fill: #009e73 } .s2 { stroke: #009e73 }
.f3 { fill: #cc79a7 } .s3 { stroke: #cc79a7 }
.f4 { fill: #d55e00 } .s4 { stroke: #d55e00 }
.f5 { fill: #7f8c99 } .s5 { stroke: #7f8c99 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.note, .tick, .value { fill: #9da7b1 }
.value { stroke: #0d1117 }
.back { fill: #0d1117 }
.grid { stroke: #2a313a }
.axis, .target { stroke: #6e7781 }
.f0 { fill: #4ea3dd } .s0 { stroke: #4ea3dd }
.f2 { fill: #26b892 } .s2 { stroke: #26b892 }
}
</style>
`

// canvas writes SVG elements. Vertical positions count from the top of the chart
// that is being drawn.
type canvas struct {
	out *bytes.Buffer
	top float64
}

// open begins the picture.
func (c *canvas) open(height float64) {
	fmt.Fprintf(c.out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img">`+"\n", width, height, width, height)
	c.out.WriteString(style)
	fmt.Fprintf(c.out, `<rect class="back" width="%.0f" height="%.0f" rx="6"/>`+"\n", width, height)
}

func (c *canvas) close() { c.out.WriteString("</svg>\n") }

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(c.out, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, c.top+y1, x2, c.top+y2)
}

// bar draws a rectangle that says what it is when one points at it.
func (c *canvas) bar(colour int, x, y, w, h float64, tip string) {
	fmt.Fprintf(c.out, `<rect class="f%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect>`+"\n",
		colour%colours, x, c.top+y, w, h, escape(tip))
}

// swatch is a sample of a colour.
func (c *canvas) swatch(colour int, x, y float64) {
	fmt.Fprintf(c.out, `<rect class="f%d" x="%.1f" y="%.1f" width="12" height="12" rx="2"/>`+"\n", colour%colours, x, c.top+y)
}

// Anchors of texts.
const (
	start  = "start"
	middle = "middle"
	end    = "end"
)

func (c *canvas) text(class, anchor string, x, y float64, text string) {
	fmt.Fprintf(c.out, `<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, anchor, x, c.top+y, escape(text))
}

// plate hides what is behind a value that stands at x and y.
func (c *canvas) plate(x, y float64, value string) {
	w := wide(value) + 2
	fmt.Fprintf(c.out, `<rect class="back" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", x-w/2, c.top+y-valueHeight-1, w, valueHeight+3)
}

// turned is a text that is turned by some degrees around its anchor.
func (c *canvas) turned(class, anchor string, x, y, degrees float64, text string) {
	fmt.Fprintf(c.out, `<text class="%s" text-anchor="%s" transform="translate(%.1f %.1f) rotate(%.0f)">%s</text>`+"\n",
		class, anchor, x, c.top+y, degrees, escape(text))
}

// path draws a line through points, which are pairs of x and y.
func (c *canvas) path(colour int, points [][2]float64) {
	var d strings.Builder
	for i, p := range points {
		d.WriteString([]string{"M", "L"}[min(i, 1)])
		fmt.Fprintf(&d, "%.1f %.1f", p[0], c.top+p[1])
	}
	fmt.Fprintf(c.out, `<path class="line s%d" d="%s"/>`+"\n", colour%colours, d.String())
}

func escape(text string) string {
	var b bytes.Buffer
	// A buffer does not fail.
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}

// wide is about how wide a text is in the 12 px font.
func wide(text string) float64 { return charWidth * float64(utf8.RuneCountInString(text)) }
