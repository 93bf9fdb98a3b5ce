package node

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/fenfa/fenfa/internal/txn"
)

// deathEnv makes a node kill itself in the middle of a transaction, for tests of
// what follows: KIND:N ends the process, as a crash does, instead of sending the
// N-th message of a kind. Empty: it lives.
const deathEnv = "FENFA_TEST_DIE_AT"

// deathAt returns what watches the messages of transactions, or nil.
func deathAt(moment string) (func(txn.Message), error) {
	if moment == "" {
		return nil, nil
	}
	kind, number, _ := strings.Cut(moment, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 {
		return nil, fmt.Errorf("%s is %q: want KIND:N, like apply:1", deathEnv, moment)
	}
	var seen atomic.Int64
	return func(m txn.Message) {
		if m.Kind.String() != kind || seen.Add(1) != n {
			return
		}
		if p, err := os.FindProcess(os.Getpid()); err == nil {
			_ = p.Kill()
		}
		select {} // the signal is on its way
	}, nil
}
