package fenfa

import (
	"fmt"
	"sync"
	"testing"
)

func TestSubmitConfirmsWhatTheNodeHas(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	var wg sync.WaitGroup
	ids := make([]ID, 64)
	for i := range ids {
		wg.Go(func() {
			id, err := c.Submit(t.Context(), NewTask("orders", map[string]int{"n": i}, Key(fmt.Sprint("k", i))))
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	wg.Wait()
	n.with(func() {
		for _, id := range ids {
			if n.tasks[id.String()] == nil {
				t.Errorf("task %s was confirmed, and the node has no such task", id)
			}
		}
	})
}
