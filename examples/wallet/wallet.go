package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fenfa/fenfa"
)

// pause is between two looks at something that is not ready.
const pause = 20 * time.Millisecond

// queue takes transfers; those of one payer are carried out in the order in which
// they were submitted.
const queue = "wallet-transfers"

// Account is the record of a user.
type Account struct {
	Balance int `json:"balance"`
	// Sent counts the transfers of this user that were carried out or refused.
	Sent int `json:"sent"`
}

// Transfer is the payload of a task.
type Transfer struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Amount int    `json:"amount"`
}

// Receipt is the result of a task.
type Receipt struct {
	Done  bool `json:"done"`  // false: the payer had too little
	Order int  `json:"order"` // of the payer's transfers, from 1
	Left  int  `json:"left"`
}

// Wallet keeps accounts on a node.
type Wallet struct {
	client *fenfa.Client
	ids    []fenfa.ID
}

// NewWallet makes the queue that it needs.
func NewWallet(ctx context.Context, client *fenfa.Client) (*Wallet, error) {
	if _, _, err := client.ConfigureQueue(ctx, fenfa.Queue{Name: queue}); err != nil {
		return nil, fmt.Errorf("make the queue: %w", err)
	}
	return &Wallet{client: client}, nil
}

// Open gives a user an account, unless there is one.
func (w *Wallet) Open(ctx context.Context, user string, balance int) error {
	_, err := w.client.State().Put(ctx, user, "account", Account{Balance: balance}, 0)
	if err != nil && !errors.Is(err, fenfa.ErrConflict) {
		return fmt.Errorf("open the account of %s: %w", user, err)
	}
	return nil
}

// Submit hands a transfer in. It is carried out once, also when it is submitted
// again after an error.
func (w *Wallet) Submit(ctx context.Context, x Transfer) error {
	t := fenfa.NewTask(queue, x, fenfa.Key(x.From))
	if _, err := w.client.Submit(ctx, t); err != nil {
		return fmt.Errorf("submit a transfer of %s: %w", x.From, err)
	}
	w.ids = append(w.ids, t.ID())
	return nil
}

// Serve carries transfers out until ctx ends.
func (w *Wallet) Serve(ctx context.Context) error {
	worker := w.client.Worker(fenfa.Concurrency(8))
	worker.Handle(queue, carryOut)
	return worker.Run(ctx)
}

// carryOut is one transfer: both accounts change, or none. Should another transfer
// change one of them meanwhile, it runs again.
func carryOut(ctx context.Context, t *fenfa.Task) error {
	var x Transfer
	if err := t.Decode(&x); err != nil {
		return fenfa.Reject(err)
	}
	var payer, payee Account
	if err := t.State().Get(ctx, "account", &payer); err != nil {
		return err
	}
	other := t.State().Of(x.To)
	if err := other.Get(ctx, "account", &payee); err != nil {
		return err
	}
	payer.Sent++
	enough := payer.Balance >= x.Amount
	if enough {
		payer.Balance -= x.Amount
		payee.Balance += x.Amount
		other.Put("account", payee)
	}
	t.State().Put("account", payer)
	return t.Return(Receipt{Done: enough, Order: payer.Sent, Left: payer.Balance})
}

// Total returns what the users have together, at one moment: a commit that only
// reads says that nothing changed between the reads.
func (w *Wallet) Total(ctx context.Context, users []string) (int, error) {
	for {
		sum, commit := 0, w.client.State().NewCommit()
		for _, user := range users {
			r, err := w.client.State().Get(ctx, user, "account")
			if err != nil {
				return 0, fmt.Errorf("read the account of %s: %w", user, err)
			}
			var a Account
			if err := r.Decode(&a); err != nil {
				return 0, fmt.Errorf("read the account of %s: %w", user, err)
			}
			sum += a.Balance
			commit.Read(user, "account", r.Version)
		}
		_, err := commit.Do(ctx)
		if err == nil {
			return sum, nil
		}
		if !errors.Is(err, fenfa.ErrConflict) {
			return 0, fmt.Errorf("read all accounts: %w", err)
		}
		if err := rest(ctx); err != nil {
			return 0, err
		}
	}
}

// rest waits a moment, or until ctx ends.
func rest(ctx context.Context) error {
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Settle waits until all submitted transfers have ended, and returns the total.
func (w *Wallet) Settle(ctx context.Context, users []string) (int, error) {
	for _, id := range w.ids {
		if _, err := w.Receipt(ctx, id); err != nil {
			return 0, err
		}
	}
	return w.Total(ctx, users)
}

// Receipt waits for the end of a transfer.
func (w *Wallet) Receipt(ctx context.Context, id fenfa.ID) (Receipt, error) {
	for {
		st, err := w.client.Task(ctx, id)
		switch {
		case err != nil && !errors.Is(err, fenfa.ErrNotFound):
			return Receipt{}, fmt.Errorf("look at transfer %s: %w", id, err)
		case err == nil && st.State == fenfa.StateDone:
			var r Receipt
			return r, st.DecodeResult(&r)
		case err == nil && st.State.Final():
			return Receipt{}, fmt.Errorf("transfer %s is %s: %s", id, st.State, st.Error)
		}
		if err := rest(ctx); err != nil {
			return Receipt{}, err
		}
	}
}
