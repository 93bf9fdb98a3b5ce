package history

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Rule is one promise that Check tests.
type Rule string

// The rules.
const (
	RuleLost         Rule = "lost"         // a confirmed task is nowhere
	RuleNowhere      Rule = "nowhere"      // something happened to a task that nobody submitted
	RuleTwice        Rule = "twice"        // a task took effect more than once
	RuleMissing      Rule = "missing"      // a task is done and took no effect
	RuleTwoEnds      Rule = "two_ends"     // a task is in two places, or took effect and is not done
	RuleOrder        Rule = "order"        // effects of a key are not in the order of its submits
	RuleOverlap      Rule = "overlap"      // two executions of a key that took effect overlap
	RuleTokenReused  Rule = "token_reused" // one token names two leases
	RuleTokenBack    Rule = "token_back"   // a later lease has no greater token
	RuleStale        Rule = "stale"        // a lease took effect after a greater one was out
	RuleLinearizable Rule = "linearizable" // accesses of a record have no order that explains them
	RuleVersionBack  Rule = "version_back" // a version was seen after a greater one
	RuleSum          Rule = "sum"          // a group of records does not sum to its total
	RuleCycle        Rule = "cycle"        // transactions have no order that explains them
)

// Rules returns all rules, in the order of reports.
func Rules() []Rule {
	return []Rule{
		RuleLost, RuleNowhere, RuleTwice, RuleMissing, RuleTwoEnds, RuleOrder, RuleOverlap,
		RuleTokenReused, RuleTokenBack, RuleStale, RuleLinearizable, RuleVersionBack, RuleSum, RuleCycle,
	}
}

// MaxPerRule is how many violations of each rule a Report names; all are
// counted.
const MaxPerRule = 20

// maxOps is how many operations one violation shows.
const maxOps = 8

// Violation is one broken promise.
type Violation struct {
	Rule Rule
	Text string // what is wrong
	Ops  []any  // the entries that show it, at most 8 of them
}

// String returns the text and the entries as JSON, one a line.
func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", v.Rule, v.Text)
	for _, op := range v.Ops {
		text, err := json.Marshal(op)
		if err != nil {
			text = []byte(err.Error())
		}
		fmt.Fprintf(&b, "\n\t%T %s", op, text)
	}
	return b.String()
}

// Counts is what a history holds.
type Counts struct {
	Submits    map[Result]int // calls
	Confirmed  int            // tasks with a submit that is OK
	Deliveries int
	Effects    int
	Finals     map[string]int // by the state's name
	Accesses   int
	Snapshots  int
	// Transactions are those that were committed.
	Transactions int
}

// Report is the judgement of a history.
type Report struct {
	Counts     Counts
	Broken     map[Rule]int // violations of each rule, named or not
	Violations []Violation  // by rule, then as they were found
	// Undecided is the number of records with more accesses than are worth
	// searching for an order; their versions were still checked.
	Undecided int
}

// OK reports whether no rule was broken.
func (r *Report) OK() bool { return len(r.Broken) == 0 }

// String returns the counts and all violations that are named.
func (r *Report) String() string {
	var b strings.Builder
	c := &r.Counts
	fmt.Fprintf(&b, "%d tasks confirmed (submits: %d ok, %d failed, %d unknown), %d deliveries, %d effects, %d accesses, %d snapshots, %d transactions",
		c.Confirmed, c.Submits[OK], c.Submits[Fail], c.Submits[Unknown], c.Deliveries, c.Effects, c.Accesses, c.Snapshots, c.Transactions)
	states := make([]string, 0, len(c.Finals))
	for state := range c.Finals {
		states = append(states, state)
	}
	slices.Sort(states)
	for _, state := range states {
		fmt.Fprintf(&b, ", %d %s", c.Finals[state], state)
	}
	if r.Undecided > 0 {
		fmt.Fprintf(&b, "; %d records undecided", r.Undecided)
	}
	if r.OK() {
		b.WriteString("\nno violation")
		return b.String()
	}
	for _, rule := range Rules() {
		if n := r.Broken[rule]; n > 0 {
			fmt.Fprintf(&b, "\n%s: %d violations", rule, n)
		}
	}
	for _, v := range r.Violations {
		b.WriteString("\n")
		b.WriteString(v.String())
	}
	return b.String()
}

// violate notes a violation, and keeps it while there are few of its rule.
func (r *Report) violate(rule Rule, ops []any, format string, args ...any) {
	r.Broken[rule]++
	if r.Broken[rule] > MaxPerRule {
		return
	}
	if len(ops) > maxOps {
		ops = ops[:maxOps]
	}
	r.Violations = append(r.Violations, Violation{Rule: rule, Text: fmt.Sprintf(format, args...), Ops: ops})
}
