package spell

import (
	"strings"
	"testing"
)

func TestNearestSuggestsWhatASlipExplains(t *testing.T) {
	known := []string{"orders", "payments", "stock", "o"}
	for _, c := range []struct {
		word, want string
		ok         bool
	}{
		{"order", "orders", true},
		{"oredrs", "orders", true},
		{"Payments", "payments", true},
		{"stocks", "stock", true},
		{"shipping", "", false},
		{"", "", false},
		{"x", "o", true},
		{strings.Repeat("a", 1000), "", false},
	} {
		got, ok := Nearest(c.word, known)
		if got != c.want || ok != c.ok {
			t.Errorf("Nearest(%q) = %q, %v; want %q, %v", c.word, got, ok, c.want, c.ok)
		}
	}
}

func TestNearestTakesTheFirstOfEquallyNearNames(t *testing.T) {
	if got, _ := Nearest("bat", []string{"cat", "hat"}); got != "cat" {
		t.Errorf("got %q", got)
	}
	if got, _ := Nearest("hats", []string{"cats", "hat", "hats"}); got != "hats" {
		t.Errorf("got %q", got)
	}
}

func TestNearestIgnoresNamesBeyondItsBound(t *testing.T) {
	if got, ok := Nearest("abc", []string{strings.Repeat("abc", 100)}); ok {
		t.Errorf("got %q", got)
	}
}

func TestDistanceCountsEditsAndSwaps(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "abc", 0},
		{"abc", "acb", 1},
		{"abc", "ab", 1},
		{"abc", "xabc", 1},
		{"kitten", "sitting", 3},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.b, c.a, got, c.want)
		}
	}
}
