package history

import (
	"testing"
)

func TestHealthySystemIsGreen(t *testing.T) {
	counts := map[string]int{}
	for seed := range uint64(200) {
		h := runFake(seed, healthy)
		report := Check(h)
		if !report.OK() {
			t.Fatalf("seed %d: %s", seed, report.String())
		}
		if report.Undecided > 0 {
			t.Errorf("seed %d: %d records undecided", seed, report.Undecided)
		}
		for _, c := range []struct {
			name string
			n    int
		}{
			{"confirmed", report.Counts.Confirmed},
			{"unknown submits", report.Counts.Submits[Unknown]},
			{"failed submits", report.Counts.Submits[Fail]},
			{"deliveries beyond effects", report.Counts.Deliveries - report.Counts.Effects},
			{"dead", report.Counts.Finals["dead"]},
			{"snapshots", report.Counts.Snapshots},
			{"accesses", report.Counts.Accesses},
		} {
			counts[c.name] += c.n
		}
	}
	// A green checker says something only when the runs were hard.
	for name, n := range counts {
		if n < 20 {
			t.Errorf("200 runs had only %d %s", n, name)
		}
	}
}

func TestEachMutantIsRed(t *testing.T) {
	const seeds = 40
	for _, c := range []struct {
		mutant mutant
		rules  []Rule // each must be broken in some run
		least  int    // runs that are red at least
	}{
		{skipFsync, []Rule{RuleLost}, seeds / 4},
		{reuseToken, []Rule{RuleTokenReused}, seeds},
		{ackBeforeCommit, []Rule{RuleLost}, seeds / 4},
		{dropAck, []Rule{RuleTwoEnds}, seeds},
		{twoWorkers, []Rule{RuleOverlap, RuleStale, RuleOrder, RuleLinearizable}, seeds},
		{forgetMark, []Rule{RuleTwice}, seeds / 2},
		{halfTransaction, []Rule{RuleSum}, seeds * 9 / 10},
	} {
		t.Run(string(c.mutant), func(t *testing.T) {
			red := 0
			broken := map[Rule]int{}
			for seed := range uint64(seeds) {
				report := Check(runFake(seed, c.mutant))
				if !report.OK() {
					red++
				}
				for rule := range report.Broken {
					broken[rule]++
				}
			}
			t.Logf("%d of %d runs are red: %v", red, seeds, broken)
			if red < c.least {
				t.Errorf("%d of %d runs are red, want at least %d", red, seeds, c.least)
			}
			for _, rule := range c.rules {
				if broken[rule] == 0 {
					t.Errorf("no run broke rule %q", rule)
				}
			}
		})
	}
}
