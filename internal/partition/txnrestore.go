package partition

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
)

// restoreTransactions takes back the decisions and branches that earlier owners
// left, with the records that prepared branches hold.
func (own *ownership) restoreTransactions(ctx context.Context) error {
	err := own.each(ctx, store.Scan{Table: store.TableTxn}, func(rows []store.Row) (next store.Row, err error) {
		for _, row := range rows {
			r, ok := row.(*store.Txn)
			if !ok {
				return nil, fmt.Errorf("table %s holds a %T", store.TableTxn, row)
			}
			own.core.restoreDecision(r)
			next = &store.Txn{Tx: after(r.Tx)}
		}
		return next, nil
	})
	if err != nil {
		return err
	}
	return own.each(ctx, store.Scan{Table: store.TableBranch}, func(rows []store.Row) (next store.Row, err error) {
		for _, row := range rows {
			r, ok := row.(*store.Branch)
			if !ok {
				return nil, fmt.Errorf("table %s holds a %T", store.TableBranch, row)
			}
			if r.State == store.TxAborted { // It has no intents.
				own.core.restoreBranch(r, nil)
			} else if err := own.restoreBranch(ctx, r); err != nil {
				return nil, err
			}
			next = &store.Branch{Tx: after(r.Tx)}
		}
		return next, nil
	})
}

// restoreBranch loads a branch's intents, and the records that they hold.
func (own *ownership) restoreBranch(ctx context.Context, row *store.Branch) error {
	var intents []*store.Intent
	var keys []store.Row
	scan := store.Scan{Table: store.TableIntent, From: &store.Intent{Tx: row.Tx}, To: &store.Intent{Tx: after(row.Tx)}}
	err := own.each(ctx, scan, func(rows []store.Row) (next store.Row, err error) {
		for _, row := range rows {
			r, ok := row.(*store.Intent)
			if !ok {
				return nil, fmt.Errorf("table %s holds a %T", store.TableIntent, row)
			}
			intents = append(intents, r)
			keys = append(keys, &store.Record{Key: r.Key, Name: r.Name})
			next = &store.Intent{Tx: r.Tx, Key: r.Key, Name: r.Name + "\x00"}
		}
		return next, nil
	})
	if err != nil {
		return err
	}
	if len(keys) > 0 {
		records, err := own.e.cfg.Store.Get(ctx, own.part, keys)
		if err != nil {
			return fmt.Errorf("load records of transaction %s: %w", row.Tx, err)
		}
		for i, in := range intents {
			record, _ := records[i].(*store.Record)
			own.core.led.Expect(in.Key)
			own.core.led.FillOne(in.Key, in.Name, record)
		}
	}
	own.core.restoreBranch(row, intents)
	return nil
}
