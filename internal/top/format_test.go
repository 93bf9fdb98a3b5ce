package top

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestNumbersAreShort(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 9_999: "9999", 10_000: "10.0k", 99_949: "99.9k", 99_950: "100k", 999_499: "999k", 999_500: "1.0M",
		1_234_567: "1.2M", 100_000_000: "100M", 12_000_000_000: "12.0G", math.MaxInt64: "9223372T", -12_345: "-12.3k",
	} {
		if got := number(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for n := int64(1); n < 1e15; n += 1 + n/17 {
		if got := number(n); len(got) > 5 {
			t.Fatalf("%d is %q", n, got)
		}
		if got := perSecond(true, float64(n)/10); len(got) > 5 {
			t.Fatalf("%d tenths are %q", n, got)
		}
	}
}

func TestRatesSayWhenTheyAreNotKnown(t *testing.T) {
	for _, c := range []struct {
		known bool
		v     float64
		want  string
	}{
		{false, 3, "-"},
		{true, math.NaN(), "-"},
		{true, math.Inf(1), "-"},
		{true, 0, "0"},
		{true, 0.25, "0.2"},
		{true, 99.94, "99.9"},
		{true, 99.96, "100"},
		{true, 12_345, "12.3k"},
	} {
		if got := perSecond(c.known, c.v); got != c.want {
			t.Errorf("%v, %v is %q, want %q", c.known, c.v, got, c.want)
		}
	}
}

func TestDurationsAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "-", -time.Second: "-", 32: "0µs", 1500: "1.5µs", 2 * time.Microsecond: "2µs", 999_400: "999µs", 999_600: "1ms",
		1200 * time.Microsecond: "1.2ms", 48 * time.Millisecond: "48ms", 999_600 * time.Microsecond: "1s", 9940 * time.Millisecond: "9.9s",
		42 * time.Second: "42s", 99_600 * time.Millisecond: "1m39s", 93 * time.Minute: "93m00s", 100 * time.Minute: "1h40m",
		27 * time.Hour: "27h00m", 49 * time.Hour: "2d01h", 400 * 24 * time.Hour: "400d",
	} {
		if got := span(d); got != want {
			t.Errorf("%v is %q, want %q", int64(d), got, want)
		}
	}
	for d := time.Duration(1); d < 1000*24*time.Hour; d += 1 + d/17 {
		if got := span(d); widthOf(got) > 6 {
			t.Fatalf("%v is %q", d, got)
		}
	}
}

func TestBarsAreFullInProportion(t *testing.T) {
	for _, c := range []struct {
		part, whole, width int
		full               string
	}{
		{0, 64, 4, ""},
		{1, 64, 4, "▏"},
		{1, 6400, 4, "▏"},
		{16, 64, 4, "█"},
		{40, 64, 4, "██▌"},
		{64, 64, 4, "████"},
		{99, 64, 4, "████"},
		{3, 0, 4, ""},
		{-3, 5, 4, ""},
		{3, 5, 0, ""},
		{3, 5, -2, ""},
	} {
		full, empty := bar(c.part, c.whole, c.width)
		if full != c.full || widthOf(full+empty) != max(0, c.width) {
			t.Errorf("%d of %d in %d cells: %q %q", c.part, c.whole, c.width, full, empty)
		}
	}
}

func TestTextsOfOthersAreHarmless(t *testing.T) {
	for text, want := range map[string]string{
		"worker-1":            "worker-1",
		"\x1b[2Jgone":         "?[2Jgone",
		"a\nb\tc\x00\x7f":     "a?b?c??",
		"bad \xff\xfe":        "bad ??",
		"\u202eright":         "?right",
		"\u0301e\u0301":       "?e\u0301",
		"\u200d🚀":             "?🚀",
		"工作者 é 👩\u200d🚀":      "工作者 é 👩\u200d🚀",
		"\u009b31m c1 \u00a0": "?31m c1 ?",
	} {
		if got := clean(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestTextsAreCutByTheCellsTheyTake(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		left  bool
		want  string
	}{
		{"abc", 5, true, "abc  "},
		{"abc", 5, false, "  abc"},
		{"abcdef", 5, true, "abcd…"},
		{"abcdef", 1, true, "…"},
		{"abc", 0, true, ""},
		{"工作者", 6, true, "工作者"},
		{"工作者", 5, true, "工作…"},
		{"工作者", 4, false, " 工…"},
		{"工作", 2, true, "… "},
		{"e\u0301e\u0301e\u0301", 2, true, "e\u0301…"},
		{"👩\u200d🚀x", 3, true, "👩\u200d🚀x"},
		{"x", -3, true, ""},
	} {
		if got := fit(c.text, c.width, c.left); got != c.want {
			t.Errorf("%q in %d cells is %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

func FuzzTextsOfOthers(f *testing.F) {
	for _, text := range []string{"", "abc", "工作者", "👩\u200d🚀", "e\u0301", "\u0301e", "\xff", "\x1b[31m", "🇩🇪🇩", "ก็", "േ"} {
		f.Add(text, 3)
	}
	f.Fuzz(func(t *testing.T, text string, width int) {
		width %= 300
		got := truncate(clean(text), width)
		if widthOf(got) > max(0, width) {
			t.Errorf("%q in %d cells is %q, which takes %d", text, width, got, widthOf(got))
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("%q has control characters", got)
		}
	})
}
