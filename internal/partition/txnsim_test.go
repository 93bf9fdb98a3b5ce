package partition

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// Flags of the simulation of transactions; FENFA_SEEDS has the last word on the
// number of seeds, as with the other one.
var (
	txnSeeds = flag.Int("txn-seeds", 300, "how many seeds the simulation of transactions runs")
	txnFirst = flag.Uint64("txn-seed", 1, "first seed of the simulation of transactions")
)

// txnMutant is a rule of the protocol that the world breaks on purpose.
type txnMutant int

const (
	txnWhole        txnMutant = iota
	txnHalf                   // one participant is never told to apply, and home believes it did
	txnEarly                  // the store says that a commit is durable before it is
	txnNoReads                // participants do not hold what is only read
	txnNoVersions             // participants do not check versions
	txnLies                   // a question is answered with an abort, whatever was decided
	txnTellsEarly             // a question is answered with a commit before there is a decision
	txnForgetsVotes           // home believes that all have prepared when one has
	txnForgetsAdds            // participants hold nothing for what is to be added to a counter
)

// TestTransactionsUnderSimulation runs partitions whose messages are lost, repeated
// and late, whose owners and node crash, and clients that move money between
// accounts; then it holds the money, the order of transactions, and that nothing
// is left in doubt.
func TestTransactionsUnderSimulation(t *testing.T) {
	n := *txnSeeds
	if v := os.Getenv("FENFA_SEEDS"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatalf("FENFA_SEEDS: %v", err)
		}
	} else if testing.Short() {
		n = min(n, 50)
	}
	var sum txnTally
	for i := range n {
		seed := *txnFirst + uint64(i)
		w, err := simulateTxns(seed, txnWhole)
		if err != nil {
			t.Fatalf("%v\n%s\nreplay: go test ./internal/partition -run TestTransactionsUnderSimulation -txn-seed=%d -txn-seeds=1", err, w.story(), seed)
		}
		sum.add(w.tally)
	}
	t.Logf("%d seeds: %+v", n, sum)
	if n >= 100 && (sum.committed == 0 || sum.conflicts == 0 || sum.crashes == 0 || sum.lost == 0 || sum.audits == 0 || sum.repeats == 0 || sum.waits == 0 || sum.moves == 0 || sum.bounds == 0 || sum.looks == 0) {
		t.Errorf("the simulation does not reach everything: %+v", sum)
	}
}

func TestTheSimulationOfTransactionsReplaysExactly(t *testing.T) {
	for seed := range uint64(5) {
		first, err := simulateTxns(700+seed, txnWhole)
		if err != nil {
			t.Skip("TestTransactionsUnderSimulation tells more")
		}
		second, err := simulateTxns(700+seed, txnWhole)
		if err != nil || first.story() != second.story() {
			t.Errorf("seed %d: two runs differ (%v)", 700+seed, err)
		}
	}
}

// TestTheSimulationOfTransactionsSeesMutants breaks one rule of the protocol at a
// time: some seed must notice.
func TestTheSimulationOfTransactionsSeesMutants(t *testing.T) {
	for m, name := range map[txnMutant]string{
		txnHalf:         "half of a transaction is applied",
		txnEarly:        "a commit is confirmed before it is durable",
		txnNoReads:      "reads are not held",
		txnNoVersions:   "versions are not checked",
		txnLies:         "a committed transaction is called aborted",
		txnTellsEarly:   "an undecided transaction is called committed",
		txnForgetsVotes: "one vote counts for all",
		txnForgetsAdds:  "additions are not reserved",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(300) {
				if _, err := simulateTxns(9000+seed, m); err != nil {
					t.Logf("seed %d: %.300s", 9000+seed, err)
					return
				}
			}
			t.Error("no seed noticed")
		})
	}
}

// txnTally counts what runs went through.
type txnTally struct {
	committed, conflicts, crashes, claims, lost, repeats, audits, waits, puts, moves, bounds, looks int
}

func (a *txnTally) add(b txnTally) {
	a.committed += b.committed
	a.conflicts += b.conflicts
	a.crashes += b.crashes
	a.claims += b.claims
	a.lost += b.lost
	a.repeats += b.repeats
	a.audits += b.audits
	a.waits += b.waits
	a.puts += b.puts
	a.moves += b.moves
	a.bounds += b.bounds
	a.looks += b.looks
}

func (w *txnWorld) failf(format string, args ...any) {
	panic(violation{fmt.Sprintf(format, args...)})
}
