package fenfa

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Client talks to a fenfa node. It is safe for use by many goroutines, and meant
// to be made once and shared: submits of all its users travel together.
type Client struct {
	addr string
	cfg  dialConfig
	conn *grpc.ClientConn

	tasks    fenfav1.TaskServiceClient
	records  fenfav1.StateServiceClient
	locks    fenfav1.LockServiceClient
	held     heldLocks
	queues   fenfav1.QueueServiceClient
	cluster  fenfav1.ClusterServiceClient
	watches  fenfav1.WatchServiceClient
	sagas    fenfav1.SagaServiceClient
	crons    fenfav1.CronServiceClient
	auditor  fenfav1.AuditServiceClient
	shards   fenfav1.ShardServiceClient
	tokens   fenfav1.TokenServiceClient
	activity fenfav1.ActivityServiceClient
	letters  fenfav1.DeadServiceClient

	batcher   *batcher
	submitted SubmitFunc // with all middleware; nil: there is none
	closing   sync.Once
}

// Dial makes a client of the node at addr, "host:port". It does not wait for the
// connection, and does not fail when the node is not there: calls do.
func Dial(addr string, opts ...DialOption) (*Client, error) {
	cfg, err := newDialConfig(opts)
	if err != nil {
		return nil, err
	}
	if err := checkAddr(addr); err != nil {
		return nil, err
	}
	if cfg.tlsFiles != nil {
		if cfg.tls, err = cfg.tlsFiles.load(addr); err != nil {
			return nil, err
		}
	}
	conn, err := cfg.connect(addr)
	if err != nil {
		return nil, err
	}
	c := &Client{
		addr:     addr,
		cfg:      cfg,
		conn:     conn,
		tasks:    fenfav1.NewTaskServiceClient(conn),
		records:  fenfav1.NewStateServiceClient(conn),
		locks:    fenfav1.NewLockServiceClient(conn),
		queues:   fenfav1.NewQueueServiceClient(conn),
		cluster:  fenfav1.NewClusterServiceClient(conn),
		watches:  fenfav1.NewWatchServiceClient(conn),
		sagas:    fenfav1.NewSagaServiceClient(conn),
		crons:    fenfav1.NewCronServiceClient(conn),
		auditor:  fenfav1.NewAuditServiceClient(conn),
		shards:   fenfav1.NewShardServiceClient(conn),
		tokens:   fenfav1.NewTokenServiceClient(conn),
		activity: fenfav1.NewActivityServiceClient(conn),
		letters:  fenfav1.NewDeadServiceClient(conn),
	}
	c.batcher = newBatcher(c)
	c.submitted = cfg.wrapSubmits(c.submitBatch)
	return c, nil
}

// Close ends the connection. Submits that still wait for their confirm end with
// an error that says that their outcome is unknown. Workers end with the context
// of their Run; end them first, because handlers read records through the client.
func (c *Client) Close() error {
	var err error
	c.closing.Do(func() {
		c.batcher.close()
		if cause := c.conn.Close(); cause != nil {
			err = fmt.Errorf("close connection to %s: %w", c.addr, cause)
		}
	})
	return err
}

// await waits until there is a connection, the dial timeout is over or ctx ends.
// It reports whether there is one; the call that follows says why not.
func (c *Client) await(ctx context.Context, conn *grpc.ClientConn) bool {
	state := conn.GetState()
	if state == connectivity.Ready {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.dialTimeout)
	defer cancel()
	for state != connectivity.Ready && state != connectivity.Shutdown {
		conn.Connect()
		if !conn.WaitForStateChange(ctx, state) {
			return false
		}
		state = conn.GetState()
	}
	return state == connectivity.Ready
}

// call makes one unary call, and turns its error into an Error.
func call[Req, Resp any](
	ctx context.Context, c *Client, verb string,
	method func(context.Context, *Req, ...grpc.CallOption) (*Resp, error), req *Req,
) (*Resp, error) {
	c.await(ctx, c.conn)
	resp, err := method(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", verb, c.errorOf(ctx, err))
	}
	return resp, nil
}
