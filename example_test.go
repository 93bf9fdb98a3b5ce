package fenfa_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fenfa/fenfa"
)

// A client is made once and shared by everybody in the process.
func Example() {
	c, err := fenfa.Dial("127.0.0.1:7400", fenfa.WithSubmitTimeout(10*time.Second))
	if err != nil {
		panic(err) // the address is not host:port; whether the node is there, calls tell
	}
	id, err := c.Submit(context.Background(), fenfa.NewTask("greetings", "hello"))
	if err != nil {
		fmt.Println(fenfa.CodeOf(err), err)
	} else {
		fmt.Println("durable:", id)
	}
	if err := c.Close(); err != nil {
		fmt.Println(err)
	}
}

func dial() *fenfa.Client {
	c, err := fenfa.Dial("127.0.0.1:7400")
	if err != nil {
		panic(err)
	}
	return c
}

func hangUp(c *fenfa.Client) {
	if err := c.Close(); err != nil {
		fmt.Println(err)
	}
}

// Payment is what the examples pay.
type Payment struct {
	User  string
	Cents int
}

func ExampleClient_Submit() {
	c := dial()
	defer hangUp(c)

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	task := fenfa.NewTask("payments", Payment{User: "ada", Cents: 1250},
		fenfa.Key("ada"),               // ada's payments happen one after another
		fenfa.Timeout(10*time.Second),  // for each attempt
		fenfa.Header("source", "shop"), // travels with the task
	)
	id, err := c.Submit(ctx, task)
	if errors.Is(err, fenfa.ErrUnknownOutcome) {
		id, err = c.Submit(context.Background(), task) // the same task: it cannot be there twice
	}
	if err != nil {
		panic(err)
	}
	fmt.Println("durable:", id)
}

func ExampleClient_SubmitBatch() {
	c := dial()
	defer hangUp(c)

	var tasks []*fenfa.Task
	for line := range 1000 {
		// An ID that follows from the input makes a second run of it a no-op.
		id := fenfa.DeriveID("orders.csv", fmt.Sprint(line))
		tasks = append(tasks, fenfa.NewTask("orders", line, fenfa.WithID(id)))
	}
	results, err := c.SubmitBatch(context.Background(), tasks)
	if err != nil {
		panic(err)
	}
	for i, r := range results {
		switch {
		case r.Err != nil:
			fmt.Printf("line %d was refused: %v\n", i+1, r.Err)
		case r.Duplicate:
			fmt.Printf("line %d was there already, and is %s\n", i+1, r.State)
		}
	}
}

func ExampleClient_ConfigureQueue() {
	c := dial()
	defer hangUp(c)

	queue, created, err := c.ConfigureQueue(context.Background(), fenfa.Queue{
		Name:    "payments",
		OnDead:  fenfa.OnDeadHalt, // nothing overtakes a payment that failed for good
		Retry:   fenfa.RetryPolicy{Base: 100 * time.Millisecond, Max: time.Minute, MaxAttempts: 8},
		Balance: fenfa.Balance{Policy: fenfa.BalanceConsistentHash},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(queue.Name, "is new:", created, "and delivers at most", queue.Batch, "tasks of a key at once")
}

func ExampleState_Put() {
	c := dial()
	defer hangUp(c)

	ctx := context.Background()
	for {
		record, err := c.State().Get(ctx, "sku-1", "stock")
		if err != nil && !errors.Is(err, fenfa.ErrNotFound) {
			panic(err)
		}
		_, err = c.State().Put(ctx, "sku-1", "stock", 100, record.Version) // version 0: it must not exist
		if errors.Is(err, fenfa.ErrConflict) {
			continue // somebody was faster: look again
		}
		if err != nil {
			panic(err)
		}
		return
	}
}

func ExampleDeriveID() {
	id := fenfa.DeriveID("orders.csv", "17") // the same in every process and for ever
	fmt.Println(id)
	// Output: c89fac44-332e-832c-ace4-0c8b82f39cf4
}
