package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa/internal/demo"
	"github.com/fenfa/fenfa/internal/orders"
)

// demoFlags says what the demo does.
type demoFlags struct {
	orders                     string
	skus                       int
	hot                        float64
	workers, concurrency, rate int
	noKill, noResubmit         bool
	data                       string
	broker                     brokerFlag
	store                      storeFlag
}

func newDemo() *cobra.Command {
	var d demoFlags
	cmd := &cobra.Command{
		Use: "demo", Short: "Distribute orders while a worker and the node are killed, and prove that nothing was lost",
		Long: `Start a node and worker processes, load stock, and submit orders. At 30% a worker is killed
with SIGKILL, at 60% the node itself, which is started again on the same data. At the end
everything is submitted once more, and a judge checks what was promised: nothing is lost,
nothing takes effect twice, nothing is oversold, orders of a SKU run in order, the stock is
right. Every SKU begins with half of the pieces that its orders ask for, so that it sells out.

--broker rabbitmq runs the node on RabbitMQ: on the servers that --broker rabbitmq=amqp://...
or FENFA_BROKER_URL names, under a prefix of its own, or on a private one that is started for
the demo, where the program rabbitmq-server is installed. A private one is killed with SIGKILL
at 45%, and started again on the same data.

--store mysql keeps the node's state in databases: in the empty ones that
--store mysql=mysql://...,mysql://... or FENFA_STORE_URL names, one for each shard, or in two
on a private MariaDB, where the program mariadbd is installed. A private one is killed with
SIGKILL at 52%, and started again on the same data.

--orders is a number of orders to make up, always the same ones, or a CSV file with the
columns InvoiceNo, StockCode and Quantity; an invoice number that begins with C, or a
negative quantity, is a cancellation and puts stock back. The exit code is 1 when a promise
was broken.`,
		Example: "  fenfa demo\n  fenfa demo --orders 100000 --hot 0.5 --json\n  fenfa demo --orders orders.csv --data ./demo\n  fenfa demo --broker rabbitmq\n  fenfa demo --store mysql", Args: exactly(),
	}
	out := outputFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&d.orders, "orders", "100000", "how many orders, or a CSV file of them")
	f.IntVar(&d.skus, "skus", 1000, "different SKUs, where orders are made up")
	f.Float64Var(&d.hot, "hot", 0.2, "share of the orders that are for one SKU, where orders are made up")
	f.IntVar(&d.workers, "workers", 4, "worker processes")
	f.IntVar(&d.concurrency, "concurrency", 16, "handlers at a time in each worker")
	f.IntVar(&d.rate, "rate", 0, "orders submitted a second; 0: as fast as they go")
	f.BoolVar(&d.noKill, "no-kill", false, "kill nothing")
	f.BoolVar(&d.noResubmit, "no-resubmit", false, "do not submit everything once more at the end")
	f.Var(&d.broker, "broker", "where the node's queues are: embedded, rabbitmq, or rabbitmq=ADDRESS")
	f.Var(&d.store, "store", "where the node's state is: embedded, mysql, or mysql=ADDRESS,...")
	f.StringVar(&d.data, "data", "", "keep the data in this directory (default: a temporary one, removed afterwards)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return d.run(cmd, out) }
	return cmd
}

func (d *demoFlags) run(cmd *cobra.Command, out *output) error {
	if err := errors.Join(d.broker.check(), d.store.check()); err != nil {
		return err
	}
	list, input, err := d.list(cmd)
	if err != nil {
		return err
	}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own binary: %w", err)
	}
	cfg := demo.Config{
		Orders: list, Input: input, Binary: binary, DataDir: d.data, Workers: d.workers, Concurrency: d.concurrency, Rate: d.rate,
		Kill: !d.noKill, Resubmit: !d.noResubmit, RabbitMQ: d.broker.rabbitmq, BrokerURL: d.broker.address(os.Getenv),
		MySQL: d.store.mysql, StoreURLs: d.store.addresses(os.Getenv),
		// Standard output is for the report alone.
		Out: cmd.ErrOrStderr(), Terminal: isTerminal(cmd.ErrOrStderr()), Width: terminalWidth(cmd.ErrOrStderr()),
	}
	if out.json {
		cfg.Out, cfg.Terminal = io.Discard, false
	}
	report, err := demo.Run(cmd.Context(), cfg)
	if err != nil {
		if other, ok := errors.AsType[*demo.OtherInputError](err); ok {
			return failuref(exitRefused, "%w", other)
		}
		if invalid, ok := errors.AsType[*demo.ConfigError](err); ok {
			return usagef("%w", invalid)
		}
		return err
	}
	if err := out.write(cmd, report, func(w io.Writer) { report.WriteText(w) }); err != nil {
		return err
	}
	return verdictOf(report)
}

// verdictOf makes a broken promise an exit code.
func verdictOf(report *demo.Report) error {
	if report.OK {
		return nil
	}
	return failuref(exitCheck, "a promise was broken: lost %d, duplicated %d, oversold %d, order violations %d, stock mismatches %d",
		report.Lost, report.Duplicated, report.Oversold, report.OrderViolations, report.StockMismatches)
}

// list reads or makes up the orders.
func (d *demoFlags) list(cmd *cobra.Command) (list *orders.List, input string, err error) {
	n, err := strconv.Atoi(d.orders)
	if err == nil {
		list, err = orders.Synthetic{Orders: n, SKUs: d.skus, Hot: d.hot}.List()
		if err != nil {
			return nil, "", usagef("%w", err)
		}
		return list, fmt.Sprintf("generated orders (%d SKUs, hot share %v)", d.skus, d.hot), nil
	}
	for _, flag := range []string{"skus", "hot"} {
		if cmd.Flags().Changed(flag) {
			return nil, "", usagef("--%s is for orders that are made up, not for a file", flag)
		}
	}
	text, err := os.ReadFile(d.orders)
	if err != nil {
		return nil, "", usagef("read orders: %w", err).withHint("--orders is a number or a CSV file")
	}
	if list, err = orders.Read(text); err != nil {
		return nil, "", failuref(exitRefused, "read orders of %s: %w", d.orders, err)
	}
	if len(list.Orders) == 0 {
		return nil, "", failuref(exitRefused, "%s has no line that is an order; %d lines are invalid", d.orders, len(list.Invalid))
	}
	return list, d.orders, nil
}

// newDemoWorker is what the demo starts as its workers.
func newDemoWorker() *cobra.Command {
	var cfg demo.WorkerConfig
	cmd := &cobra.Command{Use: demo.WorkerCommand, Short: "Be a worker of the demo", Hidden: true, Args: exactly()}
	f := cmd.Flags()
	f.StringVar(&cfg.Addr, "addr", defaultAddr, "address of the node")
	f.StringVar(&cfg.ID, "id", "", "name of the worker")
	f.IntVar(&cfg.Concurrency, "concurrency", 16, "handlers at a time")
	f.StringVar(&cfg.Recorder, "recorder", "", "path of the flight recorder")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return demo.RunWorker(cmd.Context(), cfg) }
	return cmd
}
