package fenfa

import (
	"sync"
)

// maxRenewals is how many locks the node renews in one call.
const maxRenewals = 1000

// heldLocks are the locks of a client that are kept.
type heldLocks struct {
	mu    sync.Mutex
	locks map[*Lock]struct{}
}

func (h *heldLocks) add(l *Lock) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.locks == nil {
		h.locks = make(map[*Lock]struct{})
	}
	h.locks[l] = struct{}{}
}

func (h *heldLocks) remove(l *Lock) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.locks, l)
}

// soon returns the other locks whose renewal is due within a twelfth of their TTL. So
// locks that are held for long come to be renewed together.
func (h *heldLocks) soon(l *Lock) (others []*Lock) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for o := range h.locks {
		if len(others) == maxRenewals-1 {
			break
		}
		if o != l && o.keeper.Err() == nil && o.untilDue() <= o.ttl/12 {
			others = append(others, o)
		}
	}
	return others
}
