package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// settingRange is what the flag of a setting takes.
type settingRange struct{ flag, want string }

// settingRanges are those of the flags whose zero looks to the node like a setting
// that was not given.
func settingRanges() []settingRange {
	return []settingRange{
		{"order", "key or none"},
		{"on-dead", "skip or halt"},
		{"balance", strings.Join(fenfa.BalancePolicies(), " or ")},
		{"balance-load-bound", "1.01 to 100"},
		{"balance-overflow", "next or wait"},
		{"share", "0.001 to 1000"},
		{"retry-base", "more than 0 and at most 24h"},
		{"retry-factor", "1 to 100"},
		{"retry-max", "at least --retry-base and at most 8784h"},
		{"retry-max-attempts", "1 to 10000"},
		{"attempt-timeout", "1ms to 24h"},
		{"batch", "1 to 10000"},
		{"max-deliveries", "1 to 10000"},
		{"dedupe-window", "1m to 8784h"},
		{"result-ttl", "1s to 8784h"},
		{"max-backlog-tasks", "1 or more"},
		{"max-backlog-bytes", "1048576 or more"},
	}
}

// checkSettings refuses what the node could not see or would not explain by the
// flag.
func checkSettings(cmd *cobra.Command, q *fenfa.Queue) error {
	for _, r := range settingRanges() {
		if err := checkSetting(cmd, r.flag); err != nil {
			return err
		}
	}
	for _, name := range []string{"require", "prefer"} {
		if err := checkTerms(cmd, name); err != nil {
			return err.withHint("--%s '*' takes the terms back", name)
		}
	}
	if err := checkNames(q); err != nil {
		return err
	}
	for _, name := range []string{"balance-load-bound", "balance-overflow"} {
		if q.Balance.Policy != "" && q.Balance.Policy != fenfa.BalanceConsistentHash && cmd.Flags().Changed(name) {
			return usagef("--%s does not go with --balance %s: it is for %s", name, q.Balance.Policy, fenfa.BalanceConsistentHash)
		}
	}
	return nil
}

// checkSetting refuses a zero in the flag of a setting.
func checkSetting(cmd *cobra.Command, name string) error {
	f := cmd.Flags().Lookup(name)
	if !f.Changed || f.Value.String() != f.DefValue {
		return nil
	}
	ranges := settingRanges()
	i := slices.IndexFunc(ranges, func(r settingRange) bool { return r.flag == name })
	return usagef("--%s is %q: want %s", name, f.Value.String(), ranges[i].want).withHint("leave the flag out to keep the setting")
}

// checkTerms refuses terms on worker labels that were given and say nothing.
func checkTerms(cmd *cobra.Command, name string) *failure {
	if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == f.DefValue {
		return usagef("--%s is empty: want terms on worker labels", name)
	}
	return nil
}

// checkNames refuses names that are not known, where others may have been meant.
func checkNames(q *fenfa.Queue) error {
	for _, c := range []struct {
		flag, value string
		known       []string
	}{
		{"order", string(q.Order), []string{string(fenfa.OrderKey), string(fenfa.OrderNone)}},
		{"on-dead", string(q.OnDead), []string{string(fenfa.OnDeadSkip), string(fenfa.OnDeadHalt)}},
		{"balance", q.Balance.Policy, fenfa.BalancePolicies()},
		{"balance-overflow", q.Balance.Overflow, []string{fenfa.OverflowNext, fenfa.OverflowWait}},
	} {
		if c.value == "" {
			continue
		}
		if err := oneOf(c.flag, c.value, c.known...); err != nil {
			return err
		}
	}
	return nil
}
