package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa"
)

// fakeChannel remembers what the server was told.
type fakeChannel struct {
	mu       sync.Mutex
	acked    map[uint64]bool
	rejected []uint64
	received uint64
	depth    int
	broken   error
	cancel   func() // what the client does when the consumer is cancelled
}

// Ack implements channel.
func (c *fakeChannel) Ack(tag uint64, multiple bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked[tag] = true
	for lower := tag; multiple && lower > 0; lower-- {
		c.acked[lower] = !slices.Contains(c.rejected, lower)
	}
	return c.broken
}

// Reject implements channel.
func (c *fakeChannel) Reject(tag uint64, requeue bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if requeue {
		return errors.New("a refused message must not come again")
	}
	c.rejected = append(c.rejected, tag)
	return c.broken
}

// Cancel implements channel.
func (c *fakeChannel) Cancel(string, bool) error {
	c.cancel()
	return c.broken
}

// QueueDeclarePassive implements channel.
func (c *fakeChannel) QueueDeclarePassive(string, bool, bool, bool, bool, amqp.Table) (amqp.Queue, error) {
	return amqp.Queue{Messages: c.depth}, nil
}

func (c *fakeChannel) tags() (all []uint64) {
	for tag, ok := range c.acked {
		if ok {
			all = append(all, tag)
		}
	}
	slices.Sort(all)
	return all
}

// submitter answers each task by what its payload says, and remembers the order.
type submitter struct {
	mu       sync.Mutex
	accepted []string
	answer   func(payload string, attempt int) (duplicate bool, err error)
	attempts map[string]int
}

// SubmitBatch implements Submitter.
func (s *submitter) SubmitBatch(ctx context.Context, tasks []*fenfa.Task) ([]fenfa.SubmitResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]fenfa.SubmitResult, len(tasks))
	for i, t := range tasks {
		payload := string(t.Payload())
		s.attempts[payload]++
		if s.answer != nil {
			results[i].Duplicate, results[i].Err = s.answer(payload, s.attempts[payload])
		}
		if ctx.Err() != nil {
			results[i].Err = fenfa.ErrUnavailable
		}
		if results[i].Err == nil {
			s.accepted = append(s.accepted, payload)
		}
	}
	return results, nil
}

// rig is a pump without servers.
type rig struct {
	in         *In
	ch         *fakeChannel
	client     *submitter
	deliveries chan amqp.Delivery
}

func newRig(t *testing.T, cfg InConfig, answer func(string, int) (bool, error)) *rig {
	t.Helper()
	r := &rig{
		ch: &fakeChannel{acked: make(map[uint64]bool)}, deliveries: make(chan amqp.Delivery, 1000),
		client: &submitter{answer: answer, attempts: make(map[string]int)},
	}
	r.ch.cancel = func() { close(r.deliveries) }
	cfg.Queue, cfg.To, cfg.Client = "q", "orders", r.client
	if cfg.ID == "" {
		cfg.ID = IDContent
	}
	in, err := NewIn(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.in = in
	return r
}

// deliver delivers messages; the part of a body before a colon is its key.
func (r *rig) deliver(bodies ...string) {
	for _, body := range bodies {
		r.ch.received++
		key, _, _ := strings.Cut(body, ":")
		r.deliveries <- amqp.Delivery{DeliveryTag: r.ch.received, Body: []byte(body), Headers: amqp.Table{"key": key}}
	}
}

func (r *rig) run(ctx context.Context) error {
	return newPump(r.in, r.ch, r.deliveries).run(ctx)
}

func fails(code fenfa.Code) error { return &fenfa.Error{Code: code, Message: code.String()} }

func TestTheQueueIsNotEmptyWhileMessagesAreOnTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, InConfig{UntilEmpty: true}, nil)
		r.ch.cancel = func() {
			r.deliver("late:1")
			close(r.deliveries)
		}
		r.deliver("early:1")
		if err := r.run(t.Context()); !errors.Is(err, errMore) {
			t.Errorf("it ended with %v", err)
		}
		if got := r.ch.tags(); !slices.Equal(got, []uint64{1}) {
			t.Errorf("acked are %v, want the first alone", got)
		}
		if !slices.Equal(r.client.accepted, []string{"early:1"}) {
			t.Errorf("submitted are %v", r.client.accepted)
		}
	})
}

func TestOrderOfAKeyHoldsWhileFenfaIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Each key's first message is refused twice; the others would be taken at once.
		r := newRig(t, InConfig{Key: KeyRule{Header: "key"}, UntilEmpty: true}, func(payload string, attempt int) (bool, error) {
			if strings.HasSuffix(payload, ":0") && attempt <= 2 {
				return false, &fenfa.Error{Code: fenfa.CodeResourceExhausted, RetryAfter: time.Minute}
			}
			return false, nil
		})
		for i := range 50 {
			r.deliver(fmt.Sprintf("a:%d", i), fmt.Sprintf("b:%d", i))
		}
		began := time.Now()
		if err := r.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 2*time.Minute || waited > 3*time.Minute {
			t.Errorf("it took %v, want twice the minute that fenfa asked for", waited)
		}
		next := map[string]int{}
		for _, payload := range r.client.accepted {
			key, number, _ := strings.Cut(payload, ":")
			if number != fmt.Sprint(next[key]) {
				t.Fatalf("%s came where %d is next", payload, next[key])
			}
			next[key]++
		}
		if len(r.ch.tags()) != 100 || r.in.Counts().Confirmed != 100 {
			t.Errorf("%d are acked, counts are %+v", len(r.ch.tags()), r.in.Counts())
		}
	})
}

func TestNothingIsAckedThatIsNotConfirmed(t *testing.T) {
	for name, err := range map[string]error{
		"unavailable": fails(fenfa.CodeUnavailable), "internal": fails(fenfa.CodeInternal), "full": fails(fenfa.CodeResourceExhausted),
		"unknown": errors.New("anything else"), "stale": fails(fenfa.CodeStale),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, InConfig{}, func(payload string, _ int) (bool, error) {
					if payload == "bad" {
						return false, err
					}
					return payload == "known", nil
				})
				r.deliver("1", "known", "bad", "3")
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := r.run(ctx); err != nil {
					t.Fatal(err)
				}
				if tags := r.ch.tags(); !slices.Equal(tags, []uint64{1, 2, 4}) {
					t.Errorf("%v are acked, want 1 2 4", tags)
				}
				if c := r.in.Counts(); c.Confirmed != 2 || c.Duplicate != 1 || c.Equal != 1 || c.Refused != 0 {
					t.Errorf("counts are %+v", c)
				}
				if n := r.client.attempts["bad"]; n < 5 {
					t.Errorf("it was tried %d times in a minute", n)
				}
			})
		})
	}
}

func TestRefusedMessagesGoWhereThePolicySays(t *testing.T) {
	for _, code := range []fenfa.Code{fenfa.CodeTooLarge, fenfa.CodeInvalidArgument, fenfa.CodeAlreadyExists} {
		for _, policy := range []Refused{RefusedStop, RefusedReject, RefusedFile} {
			t.Run(code.String()+" "+string(policy), func(t *testing.T) {
				cfg := InConfig{Refused: policy, UntilEmpty: true}
				if policy == RefusedFile {
					cfg.RefusedFile = filepath.Join(t.TempDir(), "refused.ndjson")
				}
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, cfg, func(payload string, _ int) (bool, error) {
						if payload == "bad" {
							return false, fails(code)
						}
						return false, nil
					})
					r.deliver("1", "bad", "3")
					err := r.run(t.Context())
					checkRefused(t, r, policy, err)
				})
			})
		}
	}
}

func checkRefused(t *testing.T, r *rig, policy Refused, err error) {
	t.Helper()
	if err := r.in.refused.close(); err != nil {
		t.Error(err)
	}
	tags := r.ch.tags()
	switch policy {
	case RefusedStop:
		if !errors.Is(err, ErrRefused) || !slices.Equal(tags, []uint64{1, 3}) {
			t.Errorf("it ended with %v, acked are %v", err, tags)
		}
	case RefusedReject:
		if err != nil || !slices.Equal(tags, []uint64{1, 3}) || !slices.Equal(r.ch.rejected, []uint64{2}) {
			t.Errorf("it ended with %v, acked are %v, rejected %v", err, tags, r.ch.rejected)
		}
	default:
		text, cause := os.ReadFile(r.in.cfg.RefusedFile)
		if err != nil || cause != nil || !slices.Equal(tags, []uint64{1, 2, 3}) || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), `"body_base64":"YmFk"`) {
			t.Errorf("it ended with %v, acked are %v, the file has %s (%v)", err, tags, text, cause)
		}
	}
	if c := r.in.Counts(); c.Refused != 1 || c.Confirmed != 2 {
		t.Errorf("counts are %+v", c)
	}
}

func TestAQueueThatFenfaDoesNotHaveEndsTheRun(t *testing.T) {
	r := newRig(t, InConfig{Refused: RefusedReject}, func(string, int) (bool, error) { return false, fails(fenfa.CodeNotFound) })
	r.deliver("1")
	if err := r.run(t.Context()); !errors.Is(err, ErrNoTarget) || len(r.ch.acked)+len(r.ch.rejected) != 0 {
		t.Errorf("it ended with %v, acked are %v", err, r.ch.acked)
	}
}

func TestAStreamEndsTheRun(t *testing.T) {
	r := newRig(t, InConfig{}, nil)
	r.deliveries <- amqp.Delivery{DeliveryTag: 1, Headers: amqp.Table{headerStreamOffset: int64(0)}}
	if err := r.run(t.Context()); !errors.Is(err, ErrStream) || len(r.ch.acked) != 0 {
		t.Errorf("it ended with %v, acked are %v", err, r.ch.acked)
	}
}

func TestARefusedFileThatCannotBeWrittenEndsTheRun(t *testing.T) {
	r := newRig(t, InConfig{Refused: RefusedFile, RefusedFile: filepath.Join(t.TempDir(), "no", "directory")}, func(string, int) (bool, error) {
		return false, fails(fenfa.CodeTooLarge)
	})
	r.deliver("1")
	if err := r.run(t.Context()); !errors.Is(err, errKeep) || !ends(err) || len(r.ch.acked) != 0 {
		t.Errorf("it ended with %v, acked are %v", err, r.ch.acked)
	}
}

func TestTheLimitCountsWhatIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, InConfig{Limit: 3, ID: IDMessage, Refused: RefusedReject}, nil)
		r.deliver("1") // Has no message-id.
		for tag := range uint64(5) {
			r.deliveries <- amqp.Delivery{DeliveryTag: tag + 2, MessageId: fmt.Sprint(tag)}
		}
		if err := r.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := r.in.Counts(); c.Refused != 1 || c.Confirmed != 2 || !slices.Equal(r.ch.tags(), []uint64{2, 3}) {
			t.Errorf("counts are %+v, acked are %v", c, r.ch.tags())
		}
	})
}

func TestALostConnectionIsNoGoodEnd(t *testing.T) {
	t.Run("deliveries end", func(t *testing.T) {
		r := newRig(t, InConfig{}, nil)
		r.deliver("1")
		close(r.deliveries)
		if err := r.run(t.Context()); !errors.Is(err, errLost) || ends(err) {
			t.Errorf("it ended with %v", err)
		}
	})
	t.Run("acks fail", func(t *testing.T) {
		r := newRig(t, InConfig{}, nil)
		r.ch.broken = amqp.ErrClosed
		r.deliver("1")
		if err := r.run(t.Context()); !errors.Is(err, errLost) {
			t.Errorf("it ended with %v", err)
		}
	})
}
