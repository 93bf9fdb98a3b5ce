package fenfatest_test

import (
	"context"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

func TestAScheduleTicksOnARealNode(t *testing.T) {
	node := fenfatest.Start(t)
	client := node.Client()
	if _, _, err := client.ConfigureQueue(t.Context(), fenfa.Queue{Name: "reports"}); err != nil {
		t.Fatal(err)
	}
	ran := make(chan *fenfa.Task, 100)
	serve(node, "reports", func(_ context.Context, x *fenfa.Task) error {
		ran <- x
		return nil
	})
	d := fenfa.CronDefinition{Name: "often", Spec: "@every 1s", Queue: "reports", Payload: []byte("tick"), Type: "report", Overlap: fenfa.CronQueue}
	now, created, err := client.Crons().Create(t.Context(), d)
	if err != nil || !created || now.Zone != "UTC" || now.Missed != fenfa.CronRunOnce || now.NextAt.IsZero() {
		t.Fatalf("created %t %+v: %v", created, now, err)
	}
	ids := map[fenfa.ID]bool{}
	node.Advance(2 * time.Second)
	for range 2 {
		x := <-ran
		if string(x.Payload()) != "tick" || x.Type() != "report" || ids[x.ID()] {
			t.Errorf("task %s %q %q", x.ID(), x.Type(), x.Payload())
		}
		ids[x.ID()] = true
	}
	if _, err := client.Crons().Pause(t.Context(), "often"); err != nil {
		t.Fatal(err)
	}
	id, err := client.Crons().Run(t.Context(), "often")
	if err != nil {
		t.Fatal(err)
	}
	for x := range ran {
		if x.ID() == id {
			break
		}
	}
	ticks, err := client.Crons().Next(t.Context(), "often", 3)
	if err != nil || len(ticks) != 3 || ticks[2].Sub(ticks[0]) != 2*time.Second {
		t.Errorf("next %v: %v", ticks, err)
	}
	all, next, err := client.Crons().List(t.Context(), "of", fenfa.Page{})
	if err != nil || len(all) != 1 || next != "" || !all[0].Paused || all[0].FiredTicks < 3 || len(all[0].Runs) < 3 {
		t.Errorf("list %+v %q: %v", all, next, err)
	}
	d.Spec = "@daily"
	if now, err := client.Crons().Update(t.Context(), d); err != nil || now.Spec != "@daily" || !now.Paused {
		t.Errorf("updated %+v: %v", now, err)
	}
	if now, err := client.Crons().Resume(t.Context(), "often"); err != nil || now.NextAt.Hour() != 0 {
		t.Errorf("resumed %+v: %v", now, err)
	}
	if _, err := client.Crons().Delete(t.Context(), "often"); err != nil {
		t.Error(err)
	}
	if _, err := client.Crons().Get(t.Context(), "often"); fenfa.CodeOf(err) != fenfa.CodeNotFound {
		t.Errorf("a deleted schedule: %v", err)
	}
}
