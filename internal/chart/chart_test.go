package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// drawing is an SVG file as a reader sees it.
type drawing struct {
	ViewBox string `xml:"viewBox,attr"`
	Rects   []struct {
		Class  string  `xml:"class,attr"`
		X      float64 `xml:"x,attr"`
		Y      float64 `xml:"y,attr"`
		Width  float64 `xml:"width,attr"`
		Height float64 `xml:"height,attr"`
		Title  string  `xml:"title"`
	} `xml:"rect"`
	Texts []struct {
		Class string  `xml:"class,attr"`
		Y     float64 `xml:"y,attr"`
		Text  string  `xml:",chardata"`
	} `xml:"text"`
	Lines []struct {
		Class string  `xml:"class,attr"`
		Y1    float64 `xml:"y1,attr"`
	} `xml:"line"`
	Paths []struct {
		D string `xml:"d,attr"`
	} `xml:"path"`
}

func (d *drawing) says(text string) bool {
	for _, t := range d.Texts {
		if t.Text == text {
			return true
		}
	}
	return false
}

// bars are the heights of the bars of a colour.
func (d *drawing) bars(class string) []float64 {
	var heights []float64
	for _, r := range d.Rects {
		if r.Class == class && r.Title != "" {
			heights = append(heights, r.Height)
		}
	}
	return heights
}

// draws draws, and reads what was drawn.
func draws(t *testing.T, charts ...Chart) *drawing {
	t.Helper()
	var b bytes.Buffer
	if err := WriteSVG(&b, charts...); err != nil {
		t.Fatal(err)
	}
	d := &drawing{}
	if err := xml.Unmarshal(b.Bytes(), d); err != nil {
		t.Fatalf("not XML: %v\n%s", err, b.String())
	}
	return d
}

func sample() *Bars {
	return &Bars{
		Axes:   Axes{Title: "Throughput", Note: "four workers", X: "policy", Y: "tasks/s", Target: 50, TargetName: "possible"},
		Groups: []string{"p2c", "random"},
		Series: []Series{{Name: "now", Values: []float64{40, 20}}, {Name: "then", Values: []float64{10, 0}}},
	}
}

func TestBarsAreAsHighAsTheirValues(t *testing.T) {
	d := draws(t, sample())
	now, then := d.bars("f0"), d.bars("f1")
	if len(now) != 2 || len(then) != 2 {
		t.Fatalf("got bars %v and %v", now, then)
	}
	if math.Abs(now[0]-2*now[1]) > 0.2 || math.Abs(now[0]-4*then[0]) > 0.4 || then[1] != 0 {
		t.Errorf("heights %v and %v do not follow the values", now, then)
	}
}

func TestChartsNameEverything(t *testing.T) {
	d := draws(t, sample())
	for _, text := range []string{"Throughput", "four workers", "policy", "tasks/s", "possible", "p2c", "random", "now", "then", "40", "20"} {
		if !d.says(text) {
			t.Errorf("%q is missing", text)
		}
	}
}

func TestOneSeriesNeedsNoLegend(t *testing.T) {
	b := sample()
	b.Series = b.Series[:1]
	if draws(t, b).says("now") {
		t.Error("the only series is named")
	}
}

func TestTheTargetIsDrawnWhereItsValueIs(t *testing.T) {
	b := sample()
	b.Series[0].Values[0] = b.Target
	d := draws(t, b)
	top, found := 0.0, false
	for _, r := range d.Rects {
		if strings.HasPrefix(r.Title, "p2c, now") {
			top = r.Y
		}
	}
	for _, l := range d.Lines {
		found = found || l.Class == "target" && math.Abs(l.Y1-top) < 0.2
	}
	if !found {
		t.Errorf("no target at %v: %+v", top, d.Lines)
	}
}

func TestAMissingValueHasNoBar(t *testing.T) {
	b := sample()
	b.Series[0].Values[1] = math.NaN()
	d := draws(t, b)
	if got := d.bars("f0"); len(got) != 1 {
		t.Errorf("got bars %v", got)
	}
	if !d.says("none") {
		t.Error("nothing says that there is no value")
	}
}

func TestNarrowBarsHaveNoValuesAndLongNamesAreTurned(t *testing.T) {
	b := &Bars{Axes: Axes{Title: "many"}, Series: []Series{{Name: "s"}}}
	for i := range 100 {
		b.Groups = append(b.Groups, "a-long-name-"+strconv.Itoa(i))
		b.Series[0].Values = append(b.Series[0].Values, float64(1000+i))
	}
	d := draws(t, b)
	if got := len(d.bars("f0")); got != 100 {
		t.Errorf("got %d bars", got)
	}
	named := 0
	for _, text := range d.Texts {
		if text.Class == "value" {
			t.Errorf("a bar of 5 pixels has its value %q", text.Text)
		}
		if strings.HasPrefix(text.Text, "a-long") {
			named++
		}
	}
	if named == 0 || named == 100 {
		t.Errorf("%d of 100 names are drawn, want some", named)
	}
}

func TestNamesCannotBreakThePicture(t *testing.T) {
	b := sample()
	b.Groups[0] = `<script>"&'`
	if d := draws(t, b); !d.says(b.Groups[0]) {
		t.Error("the name is not there as it is")
	}
}

func TestLinesGoThroughTheirPoints(t *testing.T) {
	l := &Lines{
		Axes:   Axes{Title: "Backlog", X: "seconds", Y: "tasks"},
		Curves: []Curve{{Name: "a", Points: []Point{{0, 0}, {5, 100}, {10, 50}}}, {Name: "b", Points: []Point{{0, 7}}}},
	}
	d := draws(t, l)
	if len(d.Paths) != 2 || !d.says("seconds") || !d.says("a") {
		t.Fatalf("got %+v", d)
	}
	var x, y []float64
	for part := range strings.FieldsFuncSeq(d.Paths[0].D, func(r rune) bool { return strings.ContainsRune("ML ", r) }) {
		v, err := strconv.ParseFloat(part, 64)
		if err != nil {
			t.Fatal(err)
		}
		if len(x) == len(y) {
			x = append(x, v)
		} else {
			y = append(y, v)
		}
	}
	if len(x) != 3 || math.Abs(x[1]-(x[0]+x[2])/2) > 0.2 || math.Abs(y[2]-(y[0]+y[1])/2) > 0.2 || y[1] >= y[0] {
		t.Errorf("points are at %v, %v", x, y)
	}
}

func TestChartsStandBelowEachOther(t *testing.T) {
	one, two := draws(t, sample()), draws(t, sample(), sample())
	height := func(d *drawing) float64 {
		fields := strings.Fields(d.ViewBox)
		h, err := strconv.ParseFloat(fields[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if math.Abs(height(two)-2*height(one)) > 1 {
		t.Errorf("heights are %v and %v", height(one), height(two))
	}
	var titles []float64
	for _, text := range two.Texts {
		if text.Class == "title" {
			titles = append(titles, text.Y)
		}
		if text.Y > height(two) {
			t.Errorf("%q is outside of the picture", text.Text)
		}
	}
	if len(titles) != 2 || math.Abs(titles[1]-titles[0]-height(one)) > 1 {
		t.Errorf("titles are at %v", titles)
	}
}

func TestTheSameChartGivesTheSameBytes(t *testing.T) {
	var a, b bytes.Buffer
	if err := errors.Join(WriteSVG(&a, sample()), WriteSVG(&b, sample())); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("they differ")
	}
}

func TestWhatCannotBeDrawnIsAnError(t *testing.T) {
	curve := func(points ...Point) *Lines { return &Lines{Curves: []Curve{{Points: points}}} }
	for name, charts := range map[string][]Chart{
		"nothing":        nil,
		"no bars":        {&Bars{}},
		"missing values": {&Bars{Groups: []string{"a", "b"}, Series: []Series{{Values: []float64{1}}}}},
		"infinite bar":   {&Bars{Groups: []string{"a"}, Series: []Series{{Values: []float64{math.Inf(1)}}}}},
		"negative bar":   {&Bars{Groups: []string{"a"}, Series: []Series{{Values: []float64{-1}}}}},
		"no curves":      {&Lines{}},
		"no points":      {curve()},
		"backwards":      {curve(Point{2, 1}, Point{1, 1})},
		"not a number":   {curve(Point{1, math.NaN()})},
		"infinite point": {curve(Point{1, math.Inf(1)})},
		"the second":     {sample(), &Bars{}},
	} {
		var b bytes.Buffer
		if err := WriteSVG(&b, charts...); err == nil || b.Len() > 0 {
			t.Errorf("%s: error %v, %d bytes written", name, err, b.Len())
		}
	}
}

func TestAWriterThatFailsIsAnError(t *testing.T) {
	r, w := io.Pipe()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := WriteSVG(w, sample()); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

func TestScalesHaveRoundNumbersUpToTheGreatestValue(t *testing.T) {
	for _, c := range []struct {
		most float64
		want []float64
	}{
		{0, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{1, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{7.3, []float64{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		{100, []float64{0, 20, 40, 60, 80, 100}},
		{101, []float64{0, 20, 40, 60, 80, 100, 120}},
		{23456, []float64{0, 5000, 10000, 15000, 20000, 25000}},
	} {
		got := newScale(c.most).ticks()
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("up to %v: got %v, want %v", c.most, got, c.want)
		}
	}
	for most := 1e-6; most < 1e12; most *= 1.37 {
		s := newScale(most)
		if n := len(s.ticks()); n < 4 || n > 10 || s.top < most*(1-1e-9) {
			t.Errorf("up to %v: %d ticks up to %v", most, n, s.top)
		}
	}
}

func TestNumbersAreBrief(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 0.5: "0.5", 1.414: "1.41", 21.85: "21.9", 99.96: "100", 100.4: "100", 9999: "9999",
		10_000: "10k", 12_345: "12.3k", 250_000: "250k", 12_345_678: "12.3M", 0.001234: "0.00123",
	} {
		if got := number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

func TestTheTargetStrikesThroughNoValue(t *testing.T) {
	plates := func(value, target float64) int {
		d := draws(t, &Bars{
			Axes:   Axes{Title: "Throughput", Target: target, TargetName: "possible"},
			Groups: []string{"p2c"}, Series: []Series{{Name: "now", Values: []float64{value}}},
		})
		// The background of the whole picture is the first one.
		n := -1
		for _, r := range d.Rects {
			if r.Class == "back" {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		value, target float64
		want          int
	}{{96, 100, 1}, {94, 100, 1}, {98, 100, 1}, {60, 100, 0}, {96, 0, 0}, {130, 100, 0}, {math.NaN(), 100, 0}} {
		if got := plates(c.value, c.target); got != c.want {
			t.Errorf("%v below the target %v has %d plates behind it, want %d", c.value, c.target, got, c.want)
		}
	}
}

func TestBarsOfFewGroupsAreSlimAndInTheMiddle(t *testing.T) {
	d := draws(t, &Bars{Axes: Axes{Title: "Keys"}, Groups: []string{"moved"}, Series: []Series{{Name: "keys", Values: []float64{3}}}})
	for _, r := range d.Rects {
		if r.Title == "" {
			continue
		}
		if r.Width > widest || math.Abs(r.X+r.Width/2-(plotLeft+plotRight)/2) > 0.1*widest {
			t.Errorf("the bar is %.0f wide, at %.0f", r.Width, r.X)
		}
	}
}
