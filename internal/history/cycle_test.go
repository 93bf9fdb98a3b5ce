package history

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
)

func seen(key string, version uint64) Seen { return Seen{Key: key, Name: "n", Version: version} }

func TestCyclesOfTransactionsAreFound(t *testing.T) {
	for name, tt := range map[string]struct {
		txns  []Transaction
		rings int
	}{
		"one after another": {[]Transaction{
			{ID: "a", Reads: []Seen{seen("x", 0)}, Writes: []Seen{seen("x", 1)}},
			{ID: "b", Reads: []Seen{seen("x", 1)}, Writes: []Seen{seen("x", 2)}},
			{ID: "c", Reads: []Seen{seen("x", 2)}},
		}, 0},
		"an old read beside a write": {[]Transaction{
			{ID: "a", Writes: []Seen{seen("x", 1), seen("y", 1)}},
			{ID: "b", Reads: []Seen{seen("x", 0), seen("y", 0)}},
		}, 0},
		"half of a transaction is seen": {[]Transaction{
			{ID: "a", Writes: []Seen{seen("x", 1), seen("y", 1)}},
			{ID: "b", Reads: []Seen{seen("x", 1), seen("y", 0)}},
		}, 1},
		"write skew": {[]Transaction{
			{ID: "a", Reads: []Seen{seen("x", 0), seen("y", 0)}, Writes: []Seen{seen("x", 1)}},
			{ID: "b", Reads: []Seen{seen("x", 0), seen("y", 0)}, Writes: []Seen{seen("y", 1)}},
		}, 1},
		"lost update": {[]Transaction{
			{ID: "a", Reads: []Seen{seen("x", 1)}, Writes: []Seen{seen("x", 2)}},
			{ID: "b", Reads: []Seen{seen("x", 1)}, Writes: []Seen{seen("x", 3)}},
		}, 1},
		"a ring of three": {[]Transaction{
			{ID: "a", Reads: []Seen{seen("x", 0)}, Writes: []Seen{seen("y", 1)}},
			{ID: "b", Reads: []Seen{seen("z", 0)}, Writes: []Seen{seen("x", 1)}},
			{ID: "c", Reads: []Seen{seen("y", 0)}, Writes: []Seen{seen("z", 1)}},
		}, 1},
		"a version whose writer nobody saw": {[]Transaction{
			{ID: "a", Reads: []Seen{seen("x", 7)}, Writes: []Seen{seen("x", 9)}},
			{ID: "b", Reads: []Seen{seen("x", 8)}, Writes: []Seen{seen("y", 1)}},
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := Check(History{Transactions: tt.txns})
			if r.Broken[RuleCycle] != tt.rings || r.Counts.Transactions != len(tt.txns) {
				t.Errorf("want %d rings:\n%s", tt.rings, r.String())
			}
		})
	}
}

// TestTransactionsOneAfterAnotherHaveNoCycle runs random transactions over a model,
// and then changes what one of them read.
func TestTransactionsOneAfterAnotherHaveNoCycle(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		versions := map[string]uint64{}
		var txns []Transaction
		for i := range 100 {
			tx := Transaction{ID: fmt.Sprint(i)}
			for n := range 2 {
				key := fmt.Sprint("k", 2*rng.IntN(4)+n)
				tx.Reads = append(tx.Reads, seen(key, versions[key]))
				if rng.IntN(2) == 0 {
					versions[key] = uint64(i + 1)
					tx.Writes = append(tx.Writes, seen(key, versions[key]))
				}
			}
			txns = append(txns, tx)
		}
		rng.Shuffle(len(txns), func(i, j int) { txns[i], txns[j] = txns[j], txns[i] })
		if r := Check(History{Transactions: txns}); !r.OK() {
			t.Fatalf("seed %d: %s", seed, r.String())
		}
		for i := range txns { // a lost update
			if w := txns[i].Writes; len(w) > 0 && txns[i].Reads[0].Key == w[0].Key && txns[i].Reads[0].Version > 0 {
				txns[i].Reads[0].Version = 0
				break
			}
		}
		if r := Check(History{Transactions: txns}); r.OK() {
			t.Errorf("seed %d: a lost update went unnoticed", seed)
		}
	}
}

func TestTransactionsComeBackFromTheirEncodedForm(t *testing.T) {
	want := History{Transactions: []Transaction{{ID: "a", Reads: []Seen{seen("x", 1)}, Writes: []Seen{seen("y", 2)}}, {ID: "b"}}}
	var b bytes.Buffer
	if err := Encode(&b, want); err != nil {
		t.Fatal(err)
	}
	got, err := Decode(&b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	r := NewRecorder(RecorderConfig{})
	r.Log().Transaction(want.Transactions[0])
	if h := r.Take(); len(h.Transactions) != 1 || h.Len() != 1 {
		t.Errorf("recorded %+v", h)
	}
}
