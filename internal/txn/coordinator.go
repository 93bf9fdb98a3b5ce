package txn

import (
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Share is what a transaction does in one participant.
type Share struct {
	Part    int
	Intents []*store.Intent // by key and name
}

// Plan is a transaction before it begins.
type Plan struct {
	Tx       task.ID
	Home     int
	Began    task.Timestamp
	Deadline time.Time // after it participants ask, and home gives up
	TaskID   task.ID   // whose effect it is; zero: a caller's
	Attempt  int
	Worker   string
	Shares   []Share // of the participants, except home
}

// phase is how far a transaction is.
type phase uint8

const (
	preparing phase = iota
	ready           // all have prepared; home may decide
	decided         // to commit; not durable yet
	committed       // durably
	aborted
)

// participant is what home knows of one of the others.
type participant struct {
	part     int
	prepared bool
	refused  bool
	applied  bool
}

// Coordinator is home's view of one transaction. Its methods return the messages
// to be sent.
type Coordinator struct {
	plan  Plan
	phase phase
	parts []participant
}

// New returns the coordinator of a transaction that has at least one participant
// beside home.
func New(plan Plan) *Coordinator {
	c := &Coordinator{plan: plan}
	for _, s := range plan.Shares {
		c.parts = append(c.parts, participant{part: s.Part})
	}
	return c
}

// Resume returns the coordinator of a transaction that an earlier owner committed.
func Resume(home int, row *store.Txn) *Coordinator {
	c := &Coordinator{plan: Plan{Tx: row.Tx, Home: home, Began: row.Began, TaskID: row.TaskID}, phase: committed}
	for _, part := range row.Parts {
		c.parts = append(c.parts, participant{part: part, prepared: true})
	}
	return c
}

// Plan returns what is to be done.
func (c *Coordinator) Plan() *Plan { return &c.plan }

// Open reports whether the transaction is not decided.
func (c *Coordinator) Open() bool { return c.phase == preparing || c.phase == ready }

// Ready reports whether all participants have prepared and home may decide.
func (c *Coordinator) Ready() bool { return c.phase == ready }

// Row returns the row of a decision.
func (c *Coordinator) Row(state store.TxState) *store.Txn {
	row := &store.Txn{Tx: c.plan.Tx, State: state, Began: c.plan.Began, TaskID: c.plan.TaskID}
	for i := range c.parts {
		row.Parts = append(row.Parts, c.parts[i].part)
	}
	return row
}

// Begin asks all participants to prepare.
func (c *Coordinator) Begin() []Message {
	messages := make([]Message, len(c.plan.Shares))
	for i, s := range c.plan.Shares {
		messages[i] = c.to(s.Part, Prepare)
		messages[i].Branch = &store.Branch{
			Tx: c.plan.Tx, Home: c.plan.Home, Began: c.plan.Began, Deadline: c.plan.Deadline,
			TaskID: c.plan.TaskID, Attempt: c.plan.Attempt, Worker: c.plan.Worker,
		}
		messages[i].Intents = s.Intents
	}
	return messages
}

// Vote takes a participant's answer. It reports whether that changes anything:
// then Ready says what follows, a decision or an abort.
func (c *Coordinator) Vote(part int, refusal error) bool {
	p := c.of(part)
	if p == nil || c.phase != preparing || p.prepared {
		return false
	}
	if refusal != nil {
		p.refused = true
		return true
	}
	p.prepared = true
	for i := range c.parts {
		if !c.parts[i].prepared {
			return false
		}
	}
	c.phase = ready
	return true
}

// Decide says that home has decided to commit: from now on nothing aborts the
// transaction, and nobody is told before that is durable.
func (c *Coordinator) Decide() { c.phase = decided }

// Commit follows the decision, when it is durable: everybody is to apply it.
func (c *Coordinator) Commit() []Message {
	c.phase = committed
	return c.Remind()
}

// Remind tells those who have not confirmed yet that the transaction is committed.
func (c *Coordinator) Remind() []Message {
	var messages []Message
	for i := range c.parts {
		if c.phase == committed && !c.parts[i].applied {
			messages = append(messages, c.to(c.parts[i].part, Apply))
		}
	}
	return messages
}

// Abort gives an undecided transaction up: all who may hold something are told.
func (c *Coordinator) Abort() []Message {
	if !c.Open() {
		return nil
	}
	c.phase = aborted
	var messages []Message
	for i := range c.parts {
		if !c.parts[i].refused {
			messages = append(messages, c.to(c.parts[i].part, Abort))
		}
	}
	return messages
}

// Confirm takes a participant's word that it has applied the transaction, and
// reports whether all have.
func (c *Coordinator) Confirm(part int) (done bool) {
	if p := c.of(part); p != nil && c.phase == committed {
		p.applied = true
	}
	for i := range c.parts {
		if !c.parts[i].applied {
			return false
		}
	}
	return true
}

func (c *Coordinator) of(part int) *participant {
	for i := range c.parts {
		if c.parts[i].part == part {
			return &c.parts[i]
		}
	}
	return nil
}

func (c *Coordinator) to(part int, kind Kind) Message {
	return Message{Kind: kind, Tx: c.plan.Tx, From: c.plan.Home, To: part, Began: c.plan.Began}
}
