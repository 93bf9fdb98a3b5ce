package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fenfa/fenfa"
)

// What a run begins with.
const (
	skus      = 5
	customers = 7
	goods     = 1000   // of each SKU
	money     = 100000 // of each customer, in cents
)

// report is what became of a run.
type report struct {
	done        int
	compensated map[string]int // by the step that failed
}

// run starts so many orders under ids that begin with the prefix, waits until all
// have ended, and checks what is left in stock and accounts.
func run(ctx context.Context, client *fenfa.Client, prefix string, count int) (*report, error) {
	if err := prepare(ctx, client, prefix); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- worker(client).Run(ctx) }()
	rep, err := orderAll(ctx, client, prefix, count)
	if err == nil {
		err = audit(ctx, client, prefix)
	}
	stop()
	return rep, errors.Join(err, <-ended)
}

// prepare makes the queues, the definition, stock and accounts.
func prepare(ctx context.Context, client *fenfa.Client, prefix string) error {
	for _, name := range []string{orders, stock, payment, shipping} {
		if _, _, err := client.ConfigureQueue(ctx, fenfa.Queue{Name: name}); err != nil {
			return err
		}
	}
	if _, _, err := client.Sagas().Define(ctx, definition()); err != nil {
		return err
	}
	for i := range skus {
		if _, err := client.State().PutAny(ctx, "sku/"+skuOf(prefix, i), balanceRecord, Stock{Available: goods}); err != nil {
			return err
		}
	}
	for i := range customers {
		if _, err := client.State().PutAny(ctx, "customer/"+customerOf(prefix, i), balanceRecord, Account{Balance: money}); err != nil {
			return err
		}
	}
	return nil
}

func skuOf(prefix string, i int) string      { return fmt.Sprint(prefix, "-sku-", i%skus) }
func customerOf(prefix string, i int) string { return fmt.Sprint(prefix, "-customer-", i%customers) }

// orderOf is the i-th order: of every nine, one fails at each step.
func orderOf(prefix string, i int) Order {
	fail := []string{"", "", "", "", "", "accept", "reserve", "pay", "ship"}[i%9]
	return Order{
		SKU: skuOf(prefix, i), Customer: customerOf(prefix, i), Quantity: 1 + i%3, Price: 100 + i%50, Address: fmt.Sprint(i, " Main Street"), Fail: fail,
	}
}

// orderAll starts the orders and waits until all have ended.
func orderAll(ctx context.Context, client *fenfa.Client, prefix string, count int) (*report, error) {
	for i := range count {
		if _, _, err := client.Sagas().Start(ctx, "order", idOf(prefix, i), orderOf(prefix, i)); err != nil {
			return nil, err
		}
	}
	rep := &report{compensated: map[string]int{}}
	for i := range count {
		saga, err := await(ctx, client, idOf(prefix, i))
		if err != nil {
			return nil, err
		}
		fail := orderOf(prefix, i).Fail
		switch {
		case saga.Status == fenfa.SagaDone && fail == "":
			rep.done++
		case saga.Status == fenfa.SagaCompensated && fail != "":
			rep.compensated[fail]++
		default:
			return nil, fmt.Errorf("order %s is %s, and was to fail at %q: %s", saga.ID, saga.Status, fail, saga.Reason)
		}
	}
	return rep, nil
}

func idOf(prefix string, i int) string { return fmt.Sprint(prefix, "-", i) }

// await asks for a saga until it has ended.
func await(ctx context.Context, client *fenfa.Client, id string) (fenfa.Saga, error) {
	const every = 20 * time.Millisecond
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		saga, _, err := client.Sagas().Get(ctx, id)
		if err != nil || saga.Status.Final() {
			return saga, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return saga, fmt.Errorf("wait for order %s, which is %s: %w", id, saga.Status, ctx.Err())
		}
	}
}

// audit checks that goods and money went where they belong: what was sold is
// reserved and paid, and nothing else is.
func audit(ctx context.Context, client *fenfa.Client, prefix string) error {
	sold, earned := map[string]int{}, map[string]int{}
	sagas, err := all(ctx, client, prefix+"-")
	if err != nil {
		return err
	}
	for i := range sagas {
		saga, _, err := client.Sagas().Get(ctx, sagas[i].ID)
		if err != nil {
			return err
		}
		var o Order
		if err := json.Unmarshal(saga.Input, &o); err != nil {
			return err
		}
		if saga.Status == fenfa.SagaDone {
			sold[o.SKU] += o.Quantity
			earned[o.Customer] += o.Price
		}
	}
	for i := range skus {
		var s Stock
		if err := read(ctx, client, "sku/"+skuOf(prefix, i), &s); err != nil {
			return err
		}
		if want := sold[skuOf(prefix, i)]; s.Reserved != want || s.Available != goods-want {
			return fmt.Errorf("%s has %+v after %d were sold", skuOf(prefix, i), s, want)
		}
	}
	for i := range customers {
		var a Account
		if err := read(ctx, client, "customer/"+customerOf(prefix, i), &a); err != nil {
			return err
		}
		if want := earned[customerOf(prefix, i)]; a.Paid != want || a.Balance != money-want {
			return fmt.Errorf("%s has %+v after buying for %d", customerOf(prefix, i), a, want)
		}
	}
	return nil
}

func read(ctx context.Context, client *fenfa.Client, key string, v any) error {
	r, err := client.State().Get(ctx, key, balanceRecord)
	if err != nil {
		return err
	}
	return r.Decode(v)
}

// all lists the sagas whose ids begin with the prefix.
func all(ctx context.Context, client *fenfa.Client, prefix string) (found []fenfa.Saga, err error) {
	for opts := (fenfa.ListSagasOptions{Prefix: prefix}); ; {
		page, next, err := client.Sagas().List(ctx, opts)
		if err != nil {
			return nil, err
		}
		found = append(found, page...)
		if opts.Token = next; next == "" {
			return found, nil
		}
	}
}
