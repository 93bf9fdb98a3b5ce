package chart

import (
	"math"
	"strconv"
)

// scale maps values from 0 to top on an axis with round numbers.
type scale struct {
	top, step float64
}

// newScale has four to eight steps of 1, 2 or 5 times a power of ten, the last at
// or above the greatest value.
func newScale(most float64) scale {
	if most <= 0 || math.IsNaN(most) {
		most = 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most/4)))
	step := power
	for _, factor := range []float64{2, 5, 10} {
		if most/step > 8 {
			step = factor * power
		}
	}
	return scale{top: math.Ceil(most/step-1e-9) * step, step: step}
}

// ticks are the numbers on the axis.
func (s scale) ticks() []float64 {
	n := int(math.Round(s.top / s.step))
	ticks := make([]float64, n+1)
	for i := range ticks {
		ticks[i] = float64(i) * s.step
	}
	return ticks
}

// number writes a value briefly: three digits, with k and M for big ones.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "none"
	case v >= 1e7:
		return digits(v/1e6) + "M"
	case v >= 1e4:
		return digits(v/1e3) + "k"
	default:
		return digits(v)
	}
}

// digits rounds to three digits, and never within the whole part.
func digits(v float64) string {
	decimals := 0
	for limit := 100.0; v < limit && v > 0 && decimals < 6; limit /= 10 {
		decimals++
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if decimals == 0 {
		return text
	}
	rounded, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}
