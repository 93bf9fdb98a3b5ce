package bench

import (
	"math"
	"math/rand/v2"
	"slices"
)

// newZipf returns draws from 0 to n-1, where k is drawn in proportion to
// 1/(k+1)^s.
func newZipf(rng *rand.Rand, s float64, n int) func() int {
	upTo := make([]float64, n) // sums of the weights of all up to k
	sum := 0.0
	for k := range upTo {
		sum += math.Pow(float64(k+1), -s)
		upTo[k] = sum
	}
	return func() int {
		k, _ := slices.BinarySearch(upTo, rng.Float64()*sum)
		return min(k, n-1)
	}
}
