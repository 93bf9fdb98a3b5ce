package fenfa_test

import (
	"slices"
	"testing"
	"testing/quick"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/task"
)

func TestDerivedIDsAreThoseOfTheNode(t *testing.T) {
	same := func(parts []string) bool {
		return fenfa.DeriveID(parts...) == fenfa.ID(task.DeriveID(parts...))
	}
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
}

func TestNamesAreThoseOfTheNode(t *testing.T) {
	if here, there := fenfa.BalancePolicies(), task.BalancePolicies(); !slices.Equal(here, there) {
		t.Errorf("balancing policies are %q here and %q there", here, there)
	}
	for here, there := range map[string]string{
		fenfa.AnyWorker:          task.AnyWorker,
		string(fenfa.OrderKey):   string(task.OrderKey),
		string(fenfa.OrderNone):  string(task.OrderNone),
		string(fenfa.OnDeadSkip): string(task.OnDeadSkip),
		string(fenfa.OnDeadHalt): string(task.OnDeadHalt),
	} {
		if here != there {
			t.Errorf("%q here is %q there", here, there)
		}
	}
	for _, overflow := range []string{fenfa.OverflowNext, fenfa.OverflowWait} {
		if err := (task.Balance{Policy: task.BalanceConsistentHash, LoadBound: 2, Overflow: overflow}).Validate(); err != nil {
			t.Errorf("overflow %q: %v", overflow, err)
		}
	}
}

func TestNamesOfSagasAreThoseOfTheNode(t *testing.T) {
	for _, names := range [][2]string{
		{string(fenfa.OnDeadCompensate), string(saga.OnDeadCompensate)},
		{string(fenfa.OnDeadHalt), string(saga.OnDeadHalt)},
		{string(fenfa.OnDeadSkip), string(saga.OnDeadSkip)},
		{string(fenfa.WhenDone), string(saga.WhenDone)},
		{string(fenfa.WhenTried), string(saga.WhenTried)},
		{string(fenfa.SagaRunning), string(saga.StatusRunning)},
		{string(fenfa.SagaCompensating), string(saga.StatusCompensating)},
		{string(fenfa.SagaHalted), string(saga.StatusHalted)},
		{string(fenfa.SagaDone), string(saga.StatusDone)},
		{string(fenfa.SagaCompensated), string(saga.StatusCompensated)},
	} {
		if names[0] != names[1] {
			t.Errorf("%q here is %q there", names[0], names[1])
		}
	}
	for _, status := range saga.Statuses() {
		if fenfa.SagaStatus(status).Final() != status.Final() {
			t.Errorf("status %s is final here or there", status)
		}
	}
}

func TestCodesAreThoseOfTheNode(t *testing.T) {
	for c := task.CodeUnknown; c <= task.CodePermissionDenied; c++ {
		if got := fenfa.Code(c).String(); got != c.String() {
			t.Errorf("code %d is %q here and %q there", c, got, c)
		}
	}
	if fenfa.CodePermissionDenied != fenfa.Code(task.CodePermissionDenied) {
		t.Error("the codes end differently")
	}
}
