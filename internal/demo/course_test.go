package demo

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/task"
)

// play runs a whole demo against a fake node, without processes.
func play(t *testing.T, n *fakeNode, count int) (*Findings, *submitter) {
	t.Helper()
	list := someOrders(t, count)
	if err := loadStock(t.Context(), n, list); err != nil {
		t.Fatal(err)
	}
	s := newSubmitter(n, list, 0)
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	ev := evidenceOf(list)
	ev.Confirmed = s.confirmed
	answers, err := s.again(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ev.Resubmitted, ev.ResubmitAnswers = count, answers
	if err := errors.Join(collectOutcomes(t.Context(), n, list, ev, &atomic.Int64{}), collectStock(t.Context(), n, list, ev)); err != nil {
		t.Fatal(err)
	}
	return Judge(list, ev), s
}

func TestWholeCourseAgainstAnHonestNode(t *testing.T) {
	f, s := play(t, newFakeNode(), 3000)
	if !f.OK() || f.Confirmed != 3000 || f.Done != 3000 || f.SoldOut == 0 {
		t.Errorf("findings are %+v", f)
	}
	if s.retries.Load() != 0 || s.done.Load() != 3000 {
		t.Errorf("%d retries, %d done", s.retries.Load(), s.done.Load())
	}
}

func TestSubmitterRepeatsUntilEverythingIsConfirmed(t *testing.T) {
	for name, doFirst := range map[string]bool{"the node died before its work": false, "the node died after its work": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newFakeNode()
				n.failures, n.doFirst = 5, doFirst
				f, s := play(t, n, 1000)
				if !f.OK() || f.Confirmed != 1000 || s.retries.Load() != 5 {
					t.Errorf("%d retries, findings are %+v", s.retries.Load(), f)
				}
			})
		})
	}
}

func TestNodeThatForgetsIsFoundOut(t *testing.T) {
	n := newFakeNode()
	list := someOrders(t, 500)
	if err := loadStock(t.Context(), n, list); err != nil {
		t.Fatal(err)
	}
	s := newSubmitter(n, list, 0)
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	forgotten := fenfa.ID(list.Orders[42].ID)
	delete(n.status, forgotten)
	// A second submit is taken as new, and works once more on the stock.
	ev := evidenceOf(list)
	ev.Confirmed = s.confirmed
	answers, err := s.again(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ev.Resubmitted, ev.ResubmitAnswers = 500, answers
	if err := errors.Join(collectOutcomes(t.Context(), n, list, ev, &atomic.Int64{}), collectStock(t.Context(), n, list, ev)); err != nil {
		t.Fatal(err)
	}
	if f := Judge(list, ev); f.OK() || f.Duplicated == 0 {
		t.Errorf("findings are %+v", f)
	}
}

func TestOrdersOfASKUAreSubmittedInTheInputsOrder(t *testing.T) {
	n := newFakeNode()
	_, s := play(t, n, 2000)
	place := make(map[fenfa.ID]int)
	for i := range s.list.Orders {
		place[fenfa.ID(s.list.Orders[i].ID)] = i
	}
	for sku, ids := range n.order {
		last := -1
		for _, id := range ids {
			if place[id] <= last {
				t.Fatalf("SKU %s: order %d after %d", sku, place[id], last)
			}
			last = place[id]
		}
	}
}

func TestRefusedOrderEndsTheDemo(t *testing.T) {
	n := newFakeNode()
	list := someOrders(t, 500)
	n.refuse = list.Orders[3].SKU
	err := newSubmitter(n, list, 0).run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "submit line ") || fenfa.CodeOf(err) != fenfa.CodeInvalidArgument {
		t.Errorf("got %v", err)
	}
}

func TestSubmitterKeepsToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := newSubmitter(newFakeNode(), someOrders(t, 2000), 1000).run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 1300*time.Millisecond || took > 2*time.Second {
			t.Errorf("2000 orders at 1000 a second took %v", took)
		}
	})
}

func TestSubmitterEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newSubmitter(newFakeNode(), someOrders(t, 200), 0).run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestStockOfAnotherInputIsRefused(t *testing.T) {
	n := newFakeNode()
	if err := loadStock(t.Context(), n, someOrders(t, 100)); err != nil {
		t.Fatal(err)
	}
	before := n.version
	if err := loadStock(t.Context(), n, someOrders(t, 100)); err != nil || n.version != before {
		t.Errorf("the same input again: %v, version %d, before %d", err, n.version, before)
	}
	other := (*OtherInputError)(nil)
	if err := loadStock(t.Context(), n, someOrders(t, 101)); !errors.As(err, &other) {
		t.Errorf("another input: %v", err)
	}
}

func TestUnreadableAnswersAreLost(t *testing.T) {
	n := newFakeNode()
	list := someOrders(t, 5)
	states := []*fenfa.TaskStatus{
		{State: fenfa.StateDone, Result: []byte(`{"sku":"a"}`)},
		{State: fenfa.StateDone, Result: []byte(`nonsense`)},
		{State: fenfa.StateDead},
		{State: fenfa.StateRunning},
	}
	ev := evidenceOf(list)
	for i := range list.Orders {
		ev.Confirmed[i] = true
		if i < len(states) {
			n.status[fenfa.ID(list.Orders[i].ID)] = states[i]
		}
	}
	if err := collectOutcomes(t.Context(), n, list, ev, &atomic.Int64{}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []Ending{EndingDone, EndingDone, EndingDead, EndingMissing, EndingMissing} {
		if got := ev.Outcomes[i]; got.Ending != want || (got.Answer != nil) != (i == 0) {
			t.Errorf("outcome %d is %+v, want ending %d", i, got, want)
		}
	}
}

// queueStates plays back what a queue says, the last state for ever.
type queueStates struct {
	states []fenfa.QueueStats
	asked  int
}

func (q *queueStates) DescribeQueue(context.Context, string) (fenfa.QueueInfo, error) {
	s := q.states[min(q.asked, len(q.states)-1)]
	q.asked++
	if s.BacklogTasks < 0 {
		return fenfa.QueueInfo{}, unavailable()
	}
	return fenfa.QueueInfo{Stats: s}, nil
}

func TestWaitingForTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queueStates{states: []fenfa.QueueStats{{BacklogTasks: 9}, {BacklogTasks: -1}, {BacklogTasks: 3}, {Parked: 1}, {}, {}, {Running: 1}, {}, {}, {}}}
		if err := awaitIdle(t.Context(), q, time.Minute); err != nil || q.asked != 10 {
			t.Errorf("asked %d times, want 10; %v", q.asked, err)
		}
		began := time.Now()
		stuck := &queueStates{states: []fenfa.QueueStats{{BacklogTasks: 9}, {BacklogTasks: 8}}}
		if err := awaitIdle(t.Context(), stuck, time.Minute); err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited < time.Minute || waited > 61*time.Second {
			t.Errorf("gave up after %v, want a minute", waited)
		}
	})
}

func TestRecoveriesAreMeasuredFromTheEvidence(t *testing.T) {
	list := someOrders(t, 6)
	at := time.UnixMicro(1_000_000_000)
	answer := func(worker string, after time.Duration) *Answer {
		return &Answer{SKU: "x", Worker: worker, StartedUS: at.Add(after).UnixMicro()}
	}
	ev := evidenceOf(list)
	ev.Outcomes = []Outcome{
		{Ending: EndingDone, Answer: answer("dead", -time.Second)},                                                             // finished before the kill
		{Ending: EndingDone, Answer: answer("other", 700*time.Millisecond)},                                                    // held
		{Ending: EndingDone, Answer: answer("other", 900*time.Millisecond)},                                                    // held, the last
		{Ending: EndingDone, Answer: answer("other", 5*time.Second), FinishedAt: at.Add(2*time.Second + 300*time.Millisecond)}, // not held
		{Ending: EndingDone, FinishedAt: at.Add(2*time.Second + 200*time.Millisecond)},
		{},
	}
	id := func(i int) task.ID { return list.Orders[i].ID }
	n := &incidents{
		workerKilled: true, workerID: "dead", workerAt: at, workerHad: []task.ID{id(0), id(1), id(2), id(2), id(5), {9}},
		nodeKilled: true, nodeStartedAt: at.Add(2 * time.Second), nodeReadyAt: at.Add(2*time.Second + 100*time.Millisecond),
	}
	r := &Report{}
	r.recoveries(n, list, ev)
	if r.WorkerHeld != 2 || r.WorkerRecoveryMS != 900 {
		t.Errorf("%d held, recovery %v ms, want 2 and 900", r.WorkerHeld, r.WorkerRecoveryMS)
	}
	if r.NodeRecoveryMS != 200 || r.NodeReadyMS != 100 {
		t.Errorf("node recovery %v ms, ready %v ms, want 200 and 100", r.NodeRecoveryMS, r.NodeReadyMS)
	}
}

// fallible is a server that says what was done to it.
type fallible struct {
	deeds []string
	err   error
}

func (f *fallible) Kill() error {
	f.deeds = append(f.deeds, "kill")
	return nil
}

func (f *fallible) Start(context.Context) error {
	f.deeds = append(f.deeds, "start")
	return f.err
}

func TestTheBrokerIsKilledAtItsMomentAndStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := func(share float64) bool { return share == killBrokerAt }
		n, server := &incidents{}, &fallible{}
		if err := n.killBroker(t.Context(), now, &crew{}, server); err != nil || strings.Join(server.deeds, " ") != "kill start" {
			t.Errorf("%v: %v", server.deeds, err)
		}
		if !n.brokerKilled || n.brokerStartedAt.Sub(n.brokerAt) != brokerAway || n.brokerReadyAt.IsZero() {
			t.Errorf("incidents: %+v", n)
		}
		broken := &fallible{err: errors.New("no disk")}
		if err := (&incidents{}).killBroker(t.Context(), now, &crew{}, broken); !errors.Is(err, broken.err) {
			t.Errorf("a broker that does not start: %v", err)
		}
		spared, none := &fallible{}, &incidents{}
		never := func(float64) bool { return false }
		if err := errors.Join(none.killBroker(t.Context(), never, &crew{}, spared), none.killBroker(t.Context(), now, &crew{}, nil)); err != nil || len(spared.deeds) > 0 || none.brokerKilled {
			t.Errorf("before its moment, or without one: %v, %v", spared.deeds, err)
		}
	})
}

func TestTheDatabasesAreKilledAtTheirMomentAndStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := func(share float64) bool { return share == killStoreAt }
		n, server := &incidents{}, &fallible{}
		if err := n.killStore(t.Context(), now, &crew{}, server); err != nil || strings.Join(server.deeds, " ") != "kill start" {
			t.Errorf("%v: %v", server.deeds, err)
		}
		if !n.storeKilled || n.storeStartedAt.Sub(n.storeAt) != storeAway || n.storeReadyAt.IsZero() {
			t.Errorf("incidents: %+v", n)
		}
		broken := &fallible{err: errors.New("no disk")}
		if err := (&incidents{}).killStore(t.Context(), now, &crew{}, broken); !errors.Is(err, broken.err) {
			t.Errorf("databases that do not start: %v", err)
		}
		spared, none := &fallible{}, &incidents{}
		never := func(float64) bool { return false }
		if err := errors.Join(none.killStore(t.Context(), never, &crew{}, spared), none.killStore(t.Context(), now, &crew{}, nil)); err != nil || len(spared.deeds) > 0 || none.storeKilled {
			t.Errorf("before their moment, or without them: %v, %v", spared.deeds, err)
		}
	})
}

func TestTheNodeOfADemoIsToldWhereItsServersAre(t *testing.T) {
	p := &place{}
	if got := strings.Join(p.env(), " "); got != "FENFA_BROKER_URL= FENFA_STORE_URL=" {
		t.Errorf("without servers: %s", got)
	}
	if v := p.victims(); v.broker != nil || v.store != nil || p.close() != nil {
		t.Errorf("there is something to kill: %+v", v)
	}
}

func TestTheBrokersRecoveryEndsWithAConfirm(t *testing.T) {
	at := time.UnixMicro(1_000_000_000)
	s := newSubmitter(newFakeNode(), someOrders(t, 4), 0)
	for i, confirmed := range []time.Duration{-time.Second, 3 * time.Second, 2 * time.Second} {
		s.confirmed[i], s.sentAt[i], s.took[i] = true, at.Add(-2*time.Second), 2*time.Second+confirmed
	}
	n := &incidents{brokerKilled: true, brokerStartedAt: at, brokerReadyAt: at.Add(time.Second)}
	r := &Report{}
	r.brokerRecovery(n, s)
	if !r.BrokerKilled || r.BrokerReadyMS != 1000 || r.BrokerRecoveryMS != 2000 {
		t.Errorf("ready after %v ms, recovered after %v", r.BrokerReadyMS, r.BrokerRecoveryMS)
	}
	s.confirmed = make([]bool, 4)
	r.brokerRecovery(n, s)
	if r.BrokerRecoveryMS != 1000 {
		t.Errorf("with nothing left to submit it recovered after %v ms", r.BrokerRecoveryMS)
	}
	none := &Report{}
	none.brokerRecovery(&incidents{}, s)
	if none.BrokerKilled || none.BrokerRecoveryMS != 0 {
		t.Errorf("without a kill: %+v", none)
	}
}
