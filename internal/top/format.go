package top

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// none stands for what there is not, or is not known.
const none = "-"

// number writes a count in at most 5 characters.
func number(n int64) string {
	if n < 0 {
		return "-" + number(-n)
	}
	if n < 10_000 {
		return strconv.FormatInt(n, 10)
	}
	v := float64(n)
	for _, unit := range []string{"k", "M", "G", "T"} {
		v /= 1000
		if v < 999.5 || unit == "T" {
			return digits(v) + unit
		}
	}
	return none
}

// digits writes a number below 1000 with three digits, and without a fraction from
// 100 on.
func digits(v float64) string {
	if v < 99.95 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// perSecond writes a rate in at most 5 characters.
func perSecond(known bool, v float64) string {
	switch {
	case !known || math.IsNaN(v) || math.IsInf(v, 0):
		return none
	case v == 0:
		return "0"
	case v < 99.95:
		return digits(v)
	default:
		return number(int64(math.Round(v)))
	}
}

// weight writes a weight without zeros that say nothing.
func weight(v float64) string {
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// span writes a duration in at most 6 characters; zero is none.
func span(d time.Duration) string {
	switch {
	case d <= 0:
		return none
	case d < 999500:
		return fraction(d, time.Microsecond, "µs")
	case d < 999500*time.Microsecond:
		return fraction(d, time.Millisecond, "ms")
	case d < 99500*time.Millisecond:
		return fraction(d, time.Second, "s")
	case d < 100*time.Minute:
		return pair(d, time.Minute, "m", time.Second, "s")
	case d < 48*time.Hour:
		return pair(d, time.Hour, "h", time.Minute, "m")
	case d < 100*24*time.Hour:
		return pair(d, 24*time.Hour, "d", time.Hour, "h")
	default:
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	}
}

// fraction writes a duration in one unit, with a decimal below ten.
func fraction(d, unit time.Duration, name string) string {
	v := float64(d) / float64(unit)
	if v < 9.95 {
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + name
	}
	return strconv.FormatFloat(v, 'f', 0, 64) + name
}

// pair writes a duration in two units.
func pair(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	n := strconv.Itoa(int(d % large / small))
	if len(n) < 2 {
		n = "0" + n
	}
	return strconv.Itoa(int(d/large)) + largeName + n + smallName
}

// bar draws how much of the width is full, to an eighth of a cell.
func bar(part, whole, width int) (full, empty string) {
	if whole <= 0 || width <= 0 {
		return "", strings.Repeat(" ", max(0, width))
	}
	eighths := min(8*width, max(0, (8*width*part+whole/2)/whole))
	if part > 0 && eighths == 0 {
		eighths = 1 // something is not nothing
	}
	full = strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		full += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return full, strings.Repeat("░", width-widthOf(full))
}
