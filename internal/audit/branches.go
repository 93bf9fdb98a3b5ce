package audit

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// branches looks at what undecided transactions keep in the partition. Rows of one
// transaction come and go together, and never come back: so what is missing between
// two looks at the row that needs it was missing for good.
func (a *auditor) branches(ctx context.Context) error {
	if err := a.intents(ctx); err != nil {
		return err
	}
	var from store.Row
	for {
		rows, corrupt, err := a.load(ctx, store.Scan{Table: store.TableBranch, From: from})
		if err != nil {
			return err
		}
		if corrupt != nil {
			return a.unreadable("branches of transactions", corrupt)
		}
		if len(rows) == 0 {
			return nil
		}
		for _, row := range rows {
			b, ok := row.(*store.Branch)
			if !ok {
				continue
			}
			from = &store.Branch{Tx: next(b.Tx)}
			if b.State != store.TxPrepared {
				continue
			}
			if err := a.empty(ctx, b); err != nil {
				return err
			}
		}
	}
}

// empty names a prepared branch that holds nothing.
func (a *auditor) empty(ctx context.Context, b *store.Branch) error {
	held, corrupt, err := a.load(ctx, store.Scan{Table: store.TableIntent, From: &store.Intent{Tx: b.Tx}, To: &store.Intent{Tx: next(b.Tx)}})
	if err != nil || len(held) > 0 || corrupt != nil { // Those that cannot be read are told of with the intents.
		return err
	}
	rows, err := a.get(ctx, []store.Row{&store.Branch{Tx: b.Tx}})
	if err != nil {
		return err
	}
	if again, ok := rows[0].(*store.Branch); !ok || again == nil || again.State != store.TxPrepared {
		return nil // It was decided meanwhile.
	}
	return a.found(Difference{
		Kind: KindBranch, Expected: fmt.Sprintf("intents of transaction %s, which is prepared here", b.Tx), Found: "none",
	})
}

// intents names those that no prepared branch has.
func (a *auditor) intents(ctx context.Context) error {
	var from store.Row
	for {
		rows, corrupt, err := a.load(ctx, store.Scan{Table: store.TableIntent, From: from})
		if err != nil {
			return err
		}
		if corrupt != nil {
			return a.unreadable("intents of transactions", corrupt)
		}
		if len(rows) == 0 {
			return nil
		}
		states := map[task.ID]store.TxState{}
		for _, row := range rows {
			in, ok := row.(*store.Intent)
			if !ok {
				continue
			}
			from = &store.Intent{Tx: in.Tx, Key: in.Key, Name: in.Name + "\x00"}
			if _, known := states[in.Tx]; !known {
				if states[in.Tx], err = a.branchState(ctx, in.Tx); err != nil {
					return err
				}
			}
			if states[in.Tx] == store.TxPrepared {
				continue
			}
			if err := a.orphan(ctx, in, states[in.Tx]); err != nil {
				return err
			}
		}
	}
}

// orphan names an intent without a prepared branch, if it is still there.
func (a *auditor) orphan(ctx context.Context, in *store.Intent, state store.TxState) error {
	rows, err := a.get(ctx, []store.Row{&store.Intent{Tx: in.Tx, Key: in.Key, Name: in.Name}})
	if err != nil {
		return err
	}
	if again, ok := rows[0].(*store.Intent); !ok || again == nil {
		return nil // The transaction was decided meanwhile.
	}
	found := "no branch"
	if state != 0 {
		found = "one that is " + state.String()
	}
	return a.found(Difference{
		Kind: KindIntent, Key: in.Key, Name: in.Name, Expected: fmt.Sprintf("a prepared branch of transaction %s, whose intent holds the record", in.Tx), Found: found,
	})
}

// branchState is 0 where there is no branch.
func (a *auditor) branchState(ctx context.Context, tx task.ID) (store.TxState, error) {
	rows, err := a.get(ctx, []store.Row{&store.Branch{Tx: tx}})
	if err != nil {
		return 0, err
	}
	if b, ok := rows[0].(*store.Branch); ok && b != nil {
		return b.State, nil
	}
	return 0, nil
}

func (a *auditor) unreadable(what string, corrupt error) error {
	return a.found(Difference{Kind: KindCorrupt, Expected: what + " that can be read", Found: corrupt.Error() + ", and those behind it were not judged"})
}

// next is the ID after one.
func next(id task.ID) task.ID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}
