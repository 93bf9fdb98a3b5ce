package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/child"
	"github.com/fenfa/fenfa/internal/task"
)

// WorkerCommand is the hidden subcommand that runs RunWorker.
const WorkerCommand = "demo-worker"

// stopPatience is how long a process may take to drain at the end.
const stopPatience = 10 * time.Second

// member is one worker process.
type member struct {
	id      string
	process *child.Process
	notes   *recorder
	killed  bool
}

// crew is the worker processes of a demo, also those that were killed: their
// notes still count. It is safe for use by many goroutines.
type crew struct {
	cfg  Config
	addr string
	dir  string

	lock    sync.Mutex
	members []*member
}

// hire starts one more worker.
func (c *crew) hire() error {
	c.lock.Lock()
	defer c.lock.Unlock()
	id := fmt.Sprintf("worker-%d", len(c.members)+1)
	path := filepath.Join(c.dir, id)
	notes, err := createRecorder(path)
	if err != nil {
		return err
	}
	process, err := child.Start(child.Config{Path: c.cfg.Binary, Args: []string{
		WorkerCommand, "--addr", c.addr, "--id", id, "--concurrency", strconv.Itoa(c.cfg.Concurrency), "--recorder", path,
	}})
	if err != nil {
		return errors.Join(err, notes.close())
	}
	c.members = append(c.members, &member{id: id, process: process, notes: notes})
	return nil
}

// How long kill tries to catch a worker in the middle of an order before it takes
// the next best moment, and how long it waits for a busy moment in each try.
const (
	catchFor  = 400 * time.Millisecond
	catchBusy = 5 * time.Millisecond
)

// kill ends a worker by SIGKILL, in the middle of an order if it can be caught
// there: it is frozen for a look at its notes, and goes on if it has nothing in
// its hands. kill returns the worker's name, the moment of the kill, and the
// orders that the worker had started lately.
func (c *crew) kill(ctx context.Context) (id string, at time.Time, started []task.ID, err error) {
	victim := c.victim()
	if victim == nil {
		return "", time.Time{}, nil, errors.New("no worker runs")
	}
	for began := time.Now(); ; {
		// Handlers take microseconds: only a look that costs no system call sees one.
		for look := time.Now(); !victim.notes.busy() && time.Since(look) < catchBusy; {
			runtime.Gosched()
		}
		if err := victim.process.Freeze(); err != nil {
			return "", time.Time{}, nil, err
		}
		if victim.notes.busy() || time.Since(began) > catchFor {
			break
		}
		if err := errors.Join(victim.process.Thaw(), ctx.Err()); err != nil {
			return "", time.Time{}, nil, err
		}
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	victim.killed = true
	at = time.Now()
	if err := victim.process.Kill(); err != nil {
		return "", at, nil, err
	}
	return victim.id, at, victim.notes.recent(), nil
}

// victim is the first worker that runs.
func (c *crew) victim() *member {
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, m := range c.members {
		select {
		case <-m.process.Done():
		default:
			return m
		}
	}
	return nil
}

// worked returns how many handlers have returned so far, in all workers.
func (c *crew) worked() int64 {
	c.lock.Lock()
	defer c.lock.Unlock()
	var sum uint64
	for _, m := range c.members {
		sum += m.notes.ended.Load()
	}
	return int64(sum)
}

// alive returns how many workers run, of how many there were.
func (c *crew) alive() (running, all int) {
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, m := range c.members {
		select {
		case <-m.process.Done():
		default:
			running++
		}
	}
	return running, len(c.members)
}

// fallen returns an error when a worker ended that nobody killed.
func (c *crew) fallen() error {
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, m := range c.members {
		select {
		case <-m.process.Done():
			if !m.killed {
				return fmt.Errorf("%s ended by itself: %w", m.id, m.process.Err())
			}
		default:
		}
	}
	return nil
}

// dismiss lets all workers drain, and frees what the crew holds.
func (c *crew) dismiss() error {
	c.lock.Lock()
	defer c.lock.Unlock()
	var wg sync.WaitGroup
	failures := make([]error, len(c.members))
	for i, m := range c.members {
		wg.Go(func() {
			if !m.killed {
				failures[i] = m.process.Stop(stopPatience)
			}
			failures[i] = errors.Join(failures[i], m.notes.close())
		})
	}
	wg.Wait()
	c.members = nil
	return errors.Join(failures...)
}
