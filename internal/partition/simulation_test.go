package partition

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

// Flags of the simulation. FENFA_SEEDS, which `make simulate` sets, has the last
// word on the number of seeds.
var (
	simSeeds = flag.Int("seeds", 1000, "how many seeds the simulation runs")
	simFirst = flag.Uint64("seed", 1, "first seed of the simulation")
	simPlan  = flag.String("plan", "", "replay one plan of the simulation, as a failure prints it")
)

// fault is one kind of trouble that a run may contain.
type fault uint

const (
	faultCrash      fault = 1 << iota // node and disk lose what is not durable
	faultClaim                        // another owner claims while the old one goes on
	faultCommit                       // commits fail, or happen and say that they did not
	faultWorkers                      // workers crash and freeze
	faultAnswers                      // workers answer twice, wrongly and under ended tokens
	faultClock                        // clocks jump
	faultSettings                     // settings change
	faultDirect                       // records are written past the tasks
	faultBroker                       // publishes are repeated, readers begin again
	faultTasks                        // tasks fail, time out, are rejected, kill workers
	faultWaiting                      // run_at and expires_at
	faultPressure                     // windows, pages and caches are tiny
	faultPlaces                       // tasks and queues ask for labels that workers may lack
	faultReturns                      // workers give tasks back unbegun
	faultLetters                      // dead letters are requeued and deleted
	faultPauses                       // queues are paused and resumed
	faultPriorities                   // tasks have priorities, which count or do not
	faultLast
	allFaults = faultLast - 1
)

var faultNames = []string{"crash", "claim", "commit", "workers", "answers", "clock", "settings", "direct", "broker", "tasks", "waiting", "pressure", "places", "returns", "letters", "pauses", "priorities"}

// plan is all that a run depends on.
type plan struct {
	seed   uint64
	tasks  int
	steps  int
	faults fault
	mutant mutant
}

func planOf(seed uint64) plan {
	return plan{seed: seed, tasks: 60, steps: 1500, faults: allFaults}
}

func (p plan) String() string {
	var names []string
	for i, name := range faultNames {
		if p.faults&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return fmt.Sprintf("%d/%d/%d/%s", p.seed, p.tasks, p.steps, strings.Join(names, "+"))
}

func parsePlan(s string) (plan, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 4 {
		return plan{}, fmt.Errorf("plan %q: want seed/tasks/steps/faults", s)
	}
	var p plan
	var err error
	if p.seed, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return plan{}, fmt.Errorf("plan %q: %w", s, err)
	}
	if p.tasks, err = strconv.Atoi(parts[1]); err != nil {
		return plan{}, fmt.Errorf("plan %q: %w", s, err)
	}
	if p.steps, err = strconv.Atoi(parts[2]); err != nil {
		return plan{}, fmt.Errorf("plan %q: %w", s, err)
	}
	for i, name := range faultNames {
		if strings.Contains("+"+parts[3]+"+", "+"+name+"+") {
			p.faults |= 1 << i
		}
	}
	return p, nil
}

// shrink looks for a smaller plan that fails too: without kinds of faults, with
// fewer tasks, with fewer steps.
func shrink(p plan, err error) (plan, error) {
	better := func(q plan) bool {
		_, again := simulate(q)
		if again == nil {
			return false
		}
		p, err = q, again
		return true
	}
	for i := range faultNames {
		if p.faults&(1<<i) != 0 {
			q := p
			q.faults &^= 1 << i
			better(q)
		}
	}
	for q := p; q.tasks > 1; {
		q.tasks = max(1, q.tasks*2/3)
		if !better(q) {
			break
		}
	}
	for q := p; q.steps > 10; {
		q.steps = q.steps * 2 / 3
		if !better(q) {
			break
		}
	}
	return p, err
}

func seeds(t *testing.T) int {
	t.Helper()
	n := *simSeeds
	if v := os.Getenv("FENFA_SEEDS"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatalf("FENFA_SEEDS: %v", err)
		}
	} else if testing.Short() {
		n = min(n, 50)
	}
	return n
}

// TestSimulation runs whole lives of partitions: workers that crash, freeze and
// answer wrongly, owners that change, stores that lose what is not durable, and
// holds guarantees G2 to G6 against an independent model.
func TestSimulation(t *testing.T) {
	if *simPlan != "" {
		p, err := parsePlan(*simPlan)
		if err != nil {
			t.Fatal(err)
		}
		if w, err := simulate(p); err != nil {
			t.Fatalf("%v\n%s", err, w.story())
		}
		return
	}
	var sum tally
	n := seeds(t)
	for i := range n {
		p := planOf(*simFirst + uint64(i))
		w, err := simulate(p)
		if err != nil {
			small, smallErr := shrink(p, err)
			t.Fatalf("plan %s: %v\nshrunk to %s: %v\nreplay: go test ./internal/partition -run 'TestSimulation$' -plan=%s",
				p, err, small, smallErr, small)
		}
		sum.add(w.tally)
	}
	t.Logf("%d seeds: %s", n, sum.String())
	sum.check(t, n)
}

func TestSimulationReplaysExactly(t *testing.T) {
	for seed := range uint64(10) {
		first, err := simulate(planOf(1000 + seed))
		if err != nil {
			t.Skip("TestSimulation tells more")
		}
		second, err := simulate(planOf(1000 + seed))
		if err != nil {
			t.Fatalf("seed %d fails only sometimes: %v", 1000+seed, err)
		}
		if first.traceSum() != second.traceSum() {
			t.Errorf("seed %d: two runs differ", 1000+seed)
		}
	}
}

// tally counts what runs went through, so that a test sees that they did.
type tally struct {
	leases, claims, crashes, lost, wrong int
	placed, aside, returned, requeued    int
	ahead, early, pauses                 int
	ended                                [task.StateExpired + 1]int
	verdicts                             [task.VerdictLate + 1]int
}

func (a *tally) add(b tally) {
	a.leases += b.leases
	a.claims += b.claims
	a.crashes += b.crashes
	a.lost += b.lost
	a.wrong += b.wrong
	a.placed += b.placed
	a.aside += b.aside
	a.returned += b.returned
	a.ahead += b.ahead
	a.early += b.early
	a.requeued += b.requeued
	a.pauses += b.pauses
	for i := range a.ended {
		a.ended[i] += b.ended[i]
	}
	for i := range a.verdicts {
		a.verdicts[i] += b.verdicts[i]
	}
}

func (a *tally) String() string {
	return fmt.Sprintf("%d leases, %d claims, %d crashes, %d lost workers, %d wrong answers; %d tasks asked for labels, %d times set aside, %d times given back; %d dead letters requeued; %d times a queue with ready tasks was paused; %d started ahead of durability, over %d records; %d done, %d dead, %d expired; %d committed, %d stale, %d conflicts, %d refused, %d late",
		a.leases, a.claims, a.crashes, a.lost, a.wrong, a.placed, a.aside, a.returned, a.requeued, a.pauses, a.ahead, a.early, a.ended[task.StateDone], a.ended[task.StateDead], a.ended[task.StateExpired],
		a.verdicts[task.VerdictCommitted], a.verdicts[task.VerdictStale], a.verdicts[task.VerdictConflict], a.verdicts[task.VerdictRefused], a.verdicts[task.VerdictLate])
}

// check holds that enough seeds saw everything.
func (a *tally) check(t *testing.T, seeds int) {
	t.Helper()
	if seeds < 100 {
		return
	}
	counts := append([]int{a.crashes, a.lost, a.wrong, a.placed, a.aside, a.returned, a.requeued, a.pauses, a.ahead, a.early, a.ended[task.StateDone], a.ended[task.StateDead], a.ended[task.StateExpired]}, a.verdicts[:]...)
	if slices.Contains(counts, 0) || a.claims < 3*seeds {
		t.Errorf("the simulation does not reach everything: %s", a)
	}
}
