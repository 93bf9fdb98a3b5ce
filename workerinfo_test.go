package fenfa

import (
	"context"
	"reflect"
	"testing"
	"time"
)

func TestWorkersAreSteered(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	w := c.Worker(WorkerID("w"), Concurrency(3), Weight(2), Labels(map[string]string{"zone": "eu"}))
	w.Handle("q", func(context.Context, *Task) error { return nil })
	ended := make(chan error, 1)
	go func() { ended <- w.Run(t.Context()) }()
	n.await("the worker is there", func() bool { return len(n.sessions) == 1 })
	want := WorkerInfo{
		ID: "w", State: WorkerActive, Queues: []string{"q"}, Slots: 3, Weight: 5, WeightIsSet: true, EffectiveWeight: 0.2,
		Labels: map[string]string{"zone": "eu"}, Client: clientName, HeartbeatAge: time.Millisecond,
		Serving: []WorkerQueue{{Queue: "q", InFlight: 1, Latency: time.Second, EjectedUntil: time.Unix(3, 0).UTC(), EjectedFor: EjectedForFailures}},
	}
	if got, err := c.SetWorkerWeight(t.Context(), "w", 5); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	want.State = WorkerQuiet
	if got, err := c.SetWorkerQuiet(t.Context(), "w", true); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if got, err := c.Workers(t.Context()); err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("listed %+v, %v", got, err)
	}
	if got, err := c.SetWorkerWeight(t.Context(), "w", 0); err != nil || got.WeightIsSet || got.Weight != 2 {
		t.Errorf("taken back: %+v, %v", got, err)
	}
	if got, err := c.SetWorkerQuiet(t.Context(), "w", false); err != nil || got.State != WorkerActive {
		t.Errorf("resumed: %+v, %v", got, err)
	}
	if got, err := c.DrainWorker(t.Context(), "w"); err != nil || got.ID != "w" {
		t.Errorf("drained: %+v, %v", got, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the worker that was sent away ended with %v", err)
	}
	for name, err := range map[string]error{
		"set weight of worker": second2(c.SetWorkerWeight(t.Context(), "w", 1)),
		"set quiet of worker":  second2(c.SetWorkerQuiet(t.Context(), "w", true)),
		"drain worker":         second2(c.DrainWorker(t.Context(), "w")),
	} {
		if CodeOf(err) != CodeNotFound || err.Error() != name+": no such worker" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second2(_ WorkerInfo, err error) error { return err }
