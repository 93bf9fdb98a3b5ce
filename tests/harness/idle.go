package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	fenfa "github.com/fenfa/fenfa"
)

// idleLooks is how often in a row queues must look idle: a broker on a server of
// its own does not count what is on its way to the node at that moment.
const idleLooks = 10

// AwaitIdle waits until the queues have nothing left to do. It fails when nothing
// has changed in them for Patience: how long all of it takes depends on the
// machine.
func AwaitIdle(ctx context.Context, client *fenfa.Client, queues ...string) error {
	var last work
	changed := time.Now()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for looks := 0; looks < idleLooks; {
		now, err := workOf(ctx, client, queues)
		if err == nil && now != last {
			last, changed = now, time.Now()
		}
		if looks++; err != nil || now.left > 0 {
			looks = 0
		}
		if time.Since(changed) > Patience {
			return errors.Join(fmt.Errorf("wait until nothing is left to do: %d tasks are left and nothing has changed for %v", last.left, Patience), err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until nothing is left to do: %w", ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}

// work is what queues have to do and what was done.
type work struct {
	left, ended int64
}

func workOf(ctx context.Context, client *fenfa.Client, queues []string) (work, error) {
	var w work
	for _, name := range queues {
		info, err := client.DescribeQueue(ctx, name)
		if err != nil {
			return work{}, err
		}
		s := info.Stats
		w.left += s.BacklogTasks + s.Scheduled + s.Parked + s.Ready + s.Running
		w.ended += s.DoneTotal + s.DeadTotal
	}
	return w, nil
}
