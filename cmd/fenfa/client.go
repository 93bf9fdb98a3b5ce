package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// defaultAddr is where a node listens unless told otherwise.
const defaultAddr = "127.0.0.1:7400"

// envAddr names the node for all commands.
const envAddr = "FENFA_ADDR"

// target says how a node is reached.
type target struct {
	addr    string
	timeout time.Duration
}

// targetFlags adds the flags that say which node a command talks to.
func targetFlags(cmd *cobra.Command) *target {
	t := &target{}
	addr := defaultAddr
	if env := os.Getenv(envAddr); env != "" {
		addr = env
	}
	cmd.Flags().StringVar(&t.addr, "addr", addr, "address of the node's gRPC port; environment "+envAddr)
	cmd.Flags().Lookup("addr").DefValue = defaultAddr
	cmd.Flags().DurationVar(&t.timeout, "timeout", 10*time.Second, "how long to wait for each answer of the node")
	return t
}

// dial makes a client of the node.
func (t *target) dial() (*fenfa.Client, error) {
	if t.timeout <= 0 {
		return nil, usagef("--timeout is %v: want more than 0", t.timeout)
	}
	client, err := fenfa.Dial(t.addr, fenfa.WithDialTimeout(min(t.timeout, 5*time.Second)), fenfa.WithSubmitTimeout(t.timeout))
	if err != nil {
		return nil, failuref(exitUsage, "%w", err)
	}
	return client, nil
}

// call dials the node, lets ask use it within the timeout, and closes it.
func (t *target) call(ctx context.Context, ask func(context.Context, *fenfa.Client) error) (err error) {
	client, err := t.dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return t.ask(ctx, client, ask)
}

// ask lets f use a client within the timeout.
func (t *target) ask(ctx context.Context, client *fenfa.Client, f func(context.Context, *fenfa.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return f(ctx, client)
}
