package txn

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

var errNo = errors.New("no")

func plan(parts ...int) Plan {
	p := Plan{Tx: task.DeriveID("tx"), Home: 9, Began: 7, Deadline: time.UnixMicro(5).UTC(), TaskID: task.DeriveID("task"), Attempt: 2, Worker: "w"}
	for _, part := range parts {
		p.Shares = append(p.Shares, Share{Part: part, Intents: []*store.Intent{{Tx: p.Tx, Key: fmt.Sprint("k", part), Name: "n"}}})
	}
	return p
}

// said is what messages say and to whom.
func said(messages []Message) string {
	text := ""
	for _, m := range messages {
		text += fmt.Sprintf("%s%d ", m.Kind, m.To)
	}
	return text
}

func TestATransactionThatAllPrepareIsAppliedByAll(t *testing.T) {
	c := New(plan(1, 2))
	begin := c.Begin()
	if said(begin) != "prepare1 prepare2 " {
		t.Fatalf("it begins with %s", said(begin))
	}
	if b := begin[0].Branch; b.Home != 9 || b.Began != 7 || b.Attempt != 2 || b.Worker != "w" || b.Deadline.IsZero() || begin[0].Intents[0].Key != "k1" {
		t.Errorf("the branch is %+v", b)
	}
	if c.Vote(1, nil) || c.Ready() || c.Vote(1, nil) || c.Vote(5, nil) {
		t.Error("one vote, a repeat and a stranger's decide")
	}
	if !c.Vote(2, nil) || !c.Ready() || !c.Open() {
		t.Error("all votes do not make it ready")
	}
	c.Decide()
	if c.Open() || said(c.Remind()) != "" || said(c.Abort()) != "" {
		t.Error("a decision that is not durable is told, or taken back")
	}
	if said(c.Commit()) != "apply1 apply2 " {
		t.Error("not everybody is told to apply")
	}
	if c.Confirm(1) || said(c.Remind()) != "apply2 " || c.Confirm(1) || c.Confirm(5) || !c.Confirm(2) {
		t.Error("it is over before all have confirmed, or not when they have")
	}
	row := c.Row(store.TxCommitted)
	if fmt.Sprint(row.Parts) != "[1 2]" || row.Began != 7 || row.TaskID != task.DeriveID("task") {
		t.Errorf("the row is %+v", row)
	}
	again := Resume(9, row)
	if again.Open() || said(again.Remind()) != "apply1 apply2 " || again.Confirm(2) || !again.Confirm(1) {
		t.Error("a new owner does not go on with it")
	}
}

func TestOneRefusalAbortsForAllOthers(t *testing.T) {
	for name, tt := range map[string]struct {
		votes map[int]error
		told  string
	}{
		"the first refuses": {map[int]error{1: errNo}, "abort2 abort3 "},
		"the last refuses":  {map[int]error{1: nil, 2: nil, 3: errNo}, "abort1 abort2 "},
		"nobody answers":    {nil, "abort1 abort2 abort3 "},
	} {
		t.Run(name, func(t *testing.T) {
			c := New(plan(1, 2, 3))
			for part := 1; part <= 3; part++ {
				if err, voted := tt.votes[part]; voted && c.Vote(part, err) != (err != nil) {
					t.Errorf("the vote of %d", part)
				}
			}
			if c.Ready() {
				t.Error("it is ready")
			}
			if told := said(c.Abort()); told != tt.told {
				t.Errorf("told %q, want %q", told, tt.told)
			}
			if c.Open() || c.Vote(2, nil) || said(c.Abort()) != "" || said(c.Remind()) != "" {
				t.Error("an aborted transaction goes on")
			}
		})
	}
}

func TestKindsHaveNames(t *testing.T) {
	for kind := Prepare; kind <= Undecided; kind++ {
		if kind.String() == "?" {
			t.Errorf("kind %d has no name", kind)
		}
	}
	if (Undecided + 1).String() != "?" {
		t.Error("a kind that is none has a name")
	}
}
