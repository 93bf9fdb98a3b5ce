// Command wallet moves money between users. Each user's balance is a record of its
// own key, so two users may be in different partitions, or on different shards; a
// transfer changes both of them in one transaction, or neither.
//
// Start a node with `fenfa serve`, then:
//
//	go run ./examples/wallet
//
// README.md shows it on two shards.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"

	"github.com/fenfa/fenfa"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:7400", "the node's gRPC address")
	users := flag.Int("users", 10, "how many users there are, at least 2")
	transfers := flag.Int("transfers", 100, "how many transfers to make")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *addr, *users, *transfers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

// run opens accounts, makes transfers, and says what everybody has in the end.
func run(ctx context.Context, addr string, users, transfers int) error {
	if users < 2 {
		return errors.New("a transfer needs two users: give -users 2 or more")
	}
	client, err := fenfa.Dial(addr)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = client.Close() }()
	w, err := NewWallet(ctx, client)
	if err != nil {
		return err
	}
	names := make([]string, users)
	for i := range names {
		names[i] = "user-" + strconv.Itoa(i)
		if err := w.Open(ctx, names[i], 100); err != nil {
			return err
		}
	}
	before, err := w.Total(ctx, names)
	if err != nil {
		return err
	}
	working, stopWorking := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- w.Serve(working) }()
	for i := range transfers {
		pair := rand.Perm(users)[:2]
		if err := w.Submit(ctx, Transfer{From: names[pair[0]], To: names[pair[1]], Amount: 1 + i%20}); err != nil {
			stopWorking()
			return errors.Join(err, <-done)
		}
	}
	after, err := w.Settle(ctx, names)
	stopWorking()
	if err = errors.Join(err, <-done); err != nil {
		return err
	}
	fmt.Printf("%d transfers between %d users: %d units before, %d after\n", transfers, users, before, after)
	return nil
}
