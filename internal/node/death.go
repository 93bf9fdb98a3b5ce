package node

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/txn"
)

// deathEnv makes a node kill itself in the middle of a transaction or of a move, for
// tests of what follows: KIND:N ends the process, as a crash does, instead of sending
// the N-th message of a kind; move-STEP:N after the N-th such step of a move. Empty: it
// lives.
const deathEnv = "FENFA_TEST_DIE_AT"

// death ends the process at its moment. Nil lets it live.
type death struct {
	kind string
	n    int64
	seen atomic.Int64
}

// deathAt returns the death at a moment, or nil.
func deathAt(moment string) (*death, error) {
	if moment == "" {
		return nil, nil
	}
	kind, number, _ := strings.Cut(moment, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 {
		return nil, fmt.Errorf("%s is %q: want KIND:N, like apply:1", deathEnv, moment)
	}
	return &death{kind: kind, n: n}, nil
}

// told watches the messages of transactions.
func (d *death) told(m txn.Message) { d.at(m.Kind.String()) }

// moved watches the steps of moves.
func (d *death) moved(step store.MoveStep) { d.at("move-" + step.String()) }

func (d *death) at(kind string) {
	if kind != d.kind || d.seen.Add(1) != d.n {
		return
	}
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill()
	}
	select {} // the signal is on its way
}
