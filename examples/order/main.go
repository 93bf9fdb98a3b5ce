package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fenfa/fenfa"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:7400", "gRPC address of the node")
	count := flag.Int("orders", 100, "how many orders")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := order(ctx, *addr, *count)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "order:", err)
		os.Exit(1)
	}
}

// order runs the example and prints what became of it.
func order(ctx context.Context, addr string, count int) error {
	client, err := fenfa.Dial(addr)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	began := time.Now()
	prefix := "order-" + began.Format("150405.000")
	rep, err := run(ctx, client, prefix, count)
	if err != nil {
		return err
	}
	fmt.Printf("%d orders in %v: %d done\n", count, time.Since(began).Round(time.Millisecond), rep.done)
	for _, step := range []string{"accept", "reserve", "pay", "ship"} {
		fmt.Printf("  %d failed at %s and were undone\n", rep.compensated[step], step)
	}
	fmt.Printf("stock and accounts are as they must be; look at one: fenfa saga show %s-8\n", prefix)
	return nil
}
