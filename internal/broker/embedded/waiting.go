package embedded

import (
	"fmt"

	"github.com/fenfa/fenfa/internal/kv"
)

// Waiting returns how many messages a database holds that are not settled, where
// no Broker is open on it: a node that uses another broker would never see them.
func Waiting(db *kv.DB) (tasks int64, err error) {
	b := &Broker{db: db}
	q := &queues{byName: make(map[string]*queue), byNumber: make(map[uint32]*queue)}
	b.queues.Store(q)
	if err = b.loadQueues(q); err == nil {
		err = b.loadStates(q)
	}
	if err != nil {
		return 0, fmt.Errorf("count tasks of the embedded broker: %w", err)
	}
	for _, q := range q.byNumber {
		for _, l := range q.logs {
			tasks += l.published.tasks - l.settled.tasks
		}
	}
	return tasks, nil
}
