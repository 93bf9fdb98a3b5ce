package workers

import (
	"strings"
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
)

// standstill is longer than the silence after which a worker is dead.
const standstill = 5 * time.Second

// TestANodeThatStoodStillDeclaresNobodyDead freezes the node for longer than a
// worker may be silent. When it wakes it has heard nobody for too long, and knows
// that this is its own fault.
func TestANodeThatStoodStillDeclaresNobodyDead(t *testing.T) {
	f := newFleet(t, fenfa.Queue{Name: jobs})
	names := []string{"worker-1", "worker-2", "worker-3"}
	crews := f.hireEach(names...)
	connected := f.now()
	load := &load{fleet: f, work: 20 * time.Millisecond}
	stop := load.start()
	f.awaitProgress(200, crews...)

	f.node.Freeze()
	<-time.After(standstill)
	f.node.Thaw()
	f.awaitProgress(200, crews...)
	stop()
	f.check(allowed{}, load.submissions...)
	f.expectEnds(nil)
	now := f.now()
	for _, name := range names {
		if !now[name].ConnectedAt.Equal(connected[name].ConnectedAt) {
			t.Errorf("%s has connected again", name)
		}
	}
	if said := f.node.Output(); !strings.Contains(said, "declares nobody dead") {
		t.Error("the node does not say that it was late")
	}
	f.dismiss(crews...)
}
