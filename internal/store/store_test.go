package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
)

func TestACommitErrorIsEachOfItsReasons(t *testing.T) {
	err := error(&store.CommitError{Failed: map[int]error{1: fmt.Errorf("commit: %w", store.ErrFenced)}})
	if !errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrFull) {
		t.Errorf("%v should be that the owner was fenced, and no other", err)
	}
	if text := err.Error(); !strings.Contains(text, "1 batches") || !strings.Contains(text, "batch 1") {
		t.Errorf("%q does not say which batch failed", text)
	}
	if text := (&store.CommitError{}).Error(); !strings.Contains(text, "no batch") {
		t.Errorf("an error without failures says %q", text)
	}
}

// TestNumbersOfTablesAndOpsAreThoseOnDisk holds what the stored format depends
// on: a number that was used never means anything else.
func TestNumbersOfTablesAndOpsAreThoseOnDisk(t *testing.T) {
	for number, want := range []string{"?", "record", "dedup", "oplog", "outbox", "schedule", "parked", "attempt", "dead", "branch", "intent", "txn", "?"} {
		if got := store.Table(number).String(); got != want {
			t.Errorf("table %d is %q, want %q", number, got, want)
		}
	}
	for number, want := range []string{"?", "put", "delete", "escrow", "?"} {
		if got := store.Op(number).String(); got != want {
			t.Errorf("op %d is %q, want %q", number, got, want)
		}
	}
}

func TestNumbersOfStatesAndIntentsAreThoseOnDisk(t *testing.T) {
	for number, want := range []string{"?", "prepared", "committed", "aborted", "?"} {
		if got := store.TxState(number).String(); got != want {
			t.Errorf("state %d is %q, want %q", number, got, want)
		}
	}
	for number, want := range []string{"?", "put", "delete", "read", "add", "?"} {
		if got := store.IntentOp(number).String(); got != want {
			t.Errorf("intent %d is %q, want %q", number, got, want)
		}
	}
}

func TestEachRowKnowsItsTable(t *testing.T) {
	for table, row := range map[store.Table]store.Row{
		store.TableRecord: &store.Record{}, store.TableDedup: &store.Dedup{}, store.TableOpLog: &store.OpLog{}, store.TableOutbox: &store.Outbox{},
		store.TableSchedule: &store.Schedule{}, store.TableParked: &store.Parked{}, store.TableAttempt: &store.Attempt{}, store.TableDead: &store.Dead{},
		store.TableBranch: &store.Branch{}, store.TableIntent: &store.Intent{}, store.TableTxn: &store.Txn{},
	} {
		if row.Table() != table {
			t.Errorf("%T is of table %s, want %s", row, row.Table(), table)
		}
	}
}

func TestStepsOfAMoveHaveNames(t *testing.T) {
	for step, want := range []string{"begun", "prepared", "copied", "compared", "frozen", "settled", "activated", "flipped", "cleared", "?"} {
		if got := store.MoveStep(step).String(); got != want {
			t.Errorf("step %d is %q, want %q", step, got, want)
		}
	}
}
