package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/fenfa/fenfa"
)

func main() {
	var p plan
	addr := flag.String("addr", "127.0.0.1:7400", "gRPC address of the node")
	flag.IntVar(&p.orders, "orders", 10_000, "how many orders")
	flag.IntVar(&p.skus, "skus", 10, "how many SKUs; half of the orders are for the first one")
	flag.IntVar(&p.stock, "stock", 100, "how many pieces of each SKU there are")
	flag.IntVar(&p.workers, "workers", 4, "how many workers sell")
	flag.Parse()
	p.prefix = "flash-" + time.Now().Format("150405.000")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := inventory(ctx, *addr, p, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "inventory:", err)
		os.Exit(1)
	}
}

// plan says how big a sale is.
type plan struct {
	prefix              string // of all keys, so that sales do not meet
	orders, skus, stock int
	workers             int
}

// inventory runs a sale and writes what became of it.
func inventory(ctx context.Context, addr string, p plan, out io.Writer) error {
	if p.orders < 1 || p.skus < 1 || p.stock < 1 || p.workers < 1 {
		return errors.New("a sale needs orders, SKUs, stock and workers: give 1 or more of each")
	}
	client, err := fenfa.Dial(addr)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	began := time.Now()
	s, err := open(ctx, client, p)
	if err != nil {
		return err
	}
	defer s.close()
	rows, err := s.run(ctx, out)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%d orders in %v; the page told %d customers that they were late\n\n",
		p.orders, time.Since(began).Round(time.Millisecond), s.late)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "SKU\torders\tsold out\tstock\tsold\tleft\t")
	for _, r := range rows {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t\n", r.sku, r.orders, r.refused, p.stock, r.sold, r.left)
	}
	_ = table.Flush()
	_, err = fmt.Fprintf(out, "\nnothing was lost, sold twice or oversold; look at one: fenfa state history %s stock\n", p.sku(0))
	return err
}
