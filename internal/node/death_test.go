package node

import (
	"testing"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/txn"
)

func TestAMomentOfDeathIsReadOrRefused(t *testing.T) {
	for moment, fine := range map[string]bool{"": true, "apply:1": true, "move-frozen:1": true, "voted:20": true, "apply": false, "apply:0": false, "apply:x": false} {
		death, err := deathAt(moment)
		if (err == nil) != fine {
			t.Errorf("%q: %v", moment, err)
		}
		if fine && moment != "" {
			death.told(txn.Message{Kind: txn.Undecided}) // another kind: the process lives
			death.moved(store.MoveCleared)
		}
	}
}
