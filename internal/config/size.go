package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. It is written with a unit, like 64MiB; a number
// without one counts bytes.
type Size int64

// unit is the name of a number of bytes.
type unit struct {
	name  string
	bytes int64
}

// units lists the names, binary ones first and in descending order.
func units() []unit {
	return []unit{
		{"TiB", 1 << 40},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"KB", 1e3},
		{"B", 1},
	}
}

// ParseSize reads a size, 0 or more.
func ParseSize(s string) (Size, error) {
	number, bytes := strings.TrimSpace(s), int64(1)
	for _, u := range units() {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, bytes = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f*float64(bytes) >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a size: want a number with a unit, like 64MiB or 1GiB", s)
	}
	return Size(f * float64(bytes)), nil
}

// String writes the size with the largest binary unit that divides it.
func (s Size) String() string {
	for _, u := range units()[:4] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
