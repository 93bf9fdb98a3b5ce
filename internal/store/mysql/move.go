package mysql

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/store"
)

// moveNames begin the names under which moves are kept; the partition follows.
const moveNames = "move/"

func moveName(part int) string { return moveNames + strconv.Itoa(part) }

// moveValue is what is kept of a move, from its begin to its end. How far it is
// stands in the fences of both sides and in the map.
type moveValue struct {
	From  int       `json:"from"`
	To    int       `json:"to"`
	Began time.Time `json:"began"`
	// Token is drawn by whoever carries the move on. The fence of the target has it,
	// so that two processes cannot both do that.
	Token string `json:"token"`
}

// mover carries one move out.
type mover struct {
	s        *Store
	part     int
	from, to *shard
	token    string
	version  uint64 // of the kept value
	hooks    store.MoveHooks
	compared int // rows that were read at the source
}

func (m *mover) step(step store.MoveStep) {
	m.s.cfg.Logger.Info("move of a partition", "partition", m.part, "from", m.from.number, "to", m.to.number, "step", step.String())
	if m.hooks.Step != nil {
		m.hooks.Step(step)
	}
}

func (m *mover) told(compared, written int) {
	m.compared += compared
	if m.hooks.Rows != nil {
		m.hooks.Rows(compared, written)
	}
}

// Shards implements store.Mover.
func (s *Store) Shards() []string {
	list := make([]string, len(s.shards))
	for i, sh := range s.shards {
		list[i] = sh.address.String()
	}
	return list
}

// Moves implements store.Mover.
func (s *Store) Moves(ctx context.Context) ([]store.Move, error) {
	entries, err := meta{s}.List(ctx, moveNames)
	if err != nil {
		return nil, fmt.Errorf("list moves: %w", err)
	}
	var list []store.Move
	for _, e := range entries {
		part, v, err := decodeMove(e)
		if err != nil {
			return nil, fmt.Errorf("list moves: %w", err)
		}
		list = append(list, store.Move{Part: part, From: v.From, To: v.To, Began: v.Began})
	}
	slices.SortFunc(list, func(a, b store.Move) int { return cmp.Compare(a.Part, b.Part) })
	return list, nil
}

func decodeMove(e store.Entry) (part int, v moveValue, err error) {
	if part, err = strconv.Atoi(strings.TrimPrefix(e.Name, moveNames)); err != nil {
		return 0, v, fmt.Errorf("read named value %q: %w", e.Name, err)
	}
	if err := json.Unmarshal(e.Value, &v); err != nil {
		return 0, v, fmt.Errorf("read named value %q: %w", e.Name, err)
	}
	return part, v, nil
}

// BeginMove implements store.Mover.
func (s *Store) BeginMove(ctx context.Context, part, to int) (store.Move, error) {
	fail := func(err error) (store.Move, error) {
		return store.Move{}, fmt.Errorf("begin to move partition %d to shard %d: %w", part, to, err)
	}
	if to < 0 || to >= len(s.shards) {
		return fail(fmt.Errorf("%w: there are shards 0 to %d", store.ErrNoShard, len(s.shards)-1))
	}
	if err := checkPartition(part); err != nil {
		return fail(err)
	}
	// Before the map is read: a move that ends meanwhile changes both.
	_, version, err := meta{s}.Get(ctx, moveName(part))
	if err != nil {
		return fail(err)
	}
	if version != 0 {
		return fail(store.ErrMoving)
	}
	from, err := s.place(ctx, part)
	if err != nil {
		return fail(err)
	}
	if from.number == to {
		return fail(store.ErrPlaced)
	}
	v := moveValue{From: from.number, To: to, Began: s.cfg.Clock.Now().UTC(), Token: rand.Text()}
	if _, err := s.putMove(ctx, part, &v, 0); err != nil {
		if errors.Is(err, store.ErrVersion) {
			err = fmt.Errorf("%w: %w", store.ErrMoving, err)
		}
		return fail(err)
	}
	return store.Move{Part: part, From: v.From, To: v.To, Began: v.Began}, nil
}

func (s *Store) putMove(ctx context.Context, part int, v *moveValue, expected uint64) (uint64, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	return meta{s}.Put(ctx, moveName(part), b, expected)
}

// Move implements store.Mover.
func (s *Store) Move(ctx context.Context, part int, hooks store.MoveHooks) error {
	if err := s.gate.Enter(); err != nil {
		return fmt.Errorf("move partition %d: %w", part, err)
	}
	defer s.gate.Leave()
	if err := s.move(ctx, part, hooks); err != nil {
		return fmt.Errorf("move partition %d: %w", part, err)
	}
	return nil
}

func (s *Store) move(ctx context.Context, part int, hooks store.MoveHooks) error {
	m, err := s.resume(ctx, part)
	if err != nil {
		return err
	}
	m.hooks = hooks
	flipped, err := m.recover(ctx)
	if err != nil {
		return err
	}
	if !flipped {
		m.step(store.MoveBegun)
		if err := m.carry(ctx); err != nil {
			return err
		}
	}
	return m.finish(ctx)
}

// carry brings the partition to its target and flips the map, or undoes what it did.
func (m *mover) carry(ctx context.Context) error {
	epoch := m.s.flights.watch(m.part)
	defer m.s.flights.unwatch(m.part)
	err := m.online(ctx, epoch)
	if err != nil {
		return m.undo(ctx, err)
	}
	thaw, err := m.hooks.Freeze(ctx)
	if err != nil {
		return m.undo(ctx, fmt.Errorf("freeze: %w", err))
	}
	defer thaw()
	frozen, err := m.still(ctx)
	if err != nil {
		return m.undo(ctx, err)
	}
	// From here on there is no way back: the target may be active.
	err = m.persist(ctx, "activate target", func() error { return m.activate(ctx, frozen) })
	if err != nil {
		return err
	}
	m.step(store.MoveActivated)
	if err := m.persist(ctx, "flip shard map", func() error { return m.flip(ctx) }); err != nil {
		return err
	}
	m.s.placement.remember(m.part, m.to.number)
	m.step(store.MoveFlipped)
	return nil
}

// online copies the partition while it goes on.
func (m *mover) online(ctx context.Context, epoch uint64) error {
	h, err := m.from.head(ctx, m.part)
	if err != nil {
		return err
	}
	if epoch == 0 || h.Epoch != epoch {
		return fmt.Errorf("%w: this node claimed it at epoch %d, and it is at %d", store.ErrFenced, epoch, h.Epoch)
	}
	if err := m.prepare(ctx); err != nil {
		return err
	}
	m.step(store.MovePrepared)
	if err := m.pass(ctx, false); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	m.step(store.MoveCopied)
	m.compared = 0
	if err := m.pass(ctx, true); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	for range moveRounds {
		if m.s.flights.changed(m.part) <= moveLast {
			break
		}
		if err := m.keepUp(ctx, moveLast); err != nil {
			return err
		}
	}
	m.step(store.MoveCompared)
	return nil
}

// still freezes the source and copies what changed last.
func (m *mover) still(ctx context.Context) (store.Fence, error) {
	if err := m.holds(ctx); err != nil {
		return store.Fence{}, err
	}
	epoch, err := m.s.flights.settle(ctx, m.part)
	if err != nil {
		return store.Fence{}, err
	}
	frozen, err := m.freeze(ctx, epoch)
	if err != nil {
		return store.Fence{}, err
	}
	m.step(store.MoveFrozen)
	// A batch that was handed in late does not happen, but may have begun.
	if _, err := m.s.flights.settle(ctx, m.part); err != nil {
		return store.Fence{}, err
	}
	if err := m.settle(ctx); err != nil {
		return store.Fence{}, err
	}
	m.step(store.MoveSettled)
	return frozen, nil
}

// holds reports an error if another process carries the move on.
func (m *mover) holds(ctx context.Context) error {
	_, version, err := meta{m.s}.Get(ctx, moveName(m.part))
	if err == nil && version != m.version {
		return errTaken
	}
	return err
}

// persist tries until it works, ctx ends, or another process carries the move on.
func (m *mover) persist(ctx context.Context, operation string, try func() error) error {
	for {
		err := try()
		if err == nil || ctx.Err() != nil || errors.Is(err, errTaken) || errors.Is(err, store.ErrClosed) {
			return err
		}
		m.s.cfg.Logger.Warn("a move of a partition cannot go on yet", "partition", m.part, "operation", operation, "error", err)
		if err := m.from.wait(ctx, time.Second); err != nil {
			return err
		}
	}
}

// undo lets the source be used again and forgets the move. When ctx has ended, the
// next process does so.
func (m *mover) undo(ctx context.Context, reason error) error {
	if ctx.Err() != nil || errors.Is(reason, errTaken) {
		return reason
	}
	if err := m.persist(ctx, "unfreeze source", func() error { return m.unfreeze(ctx) }); err != nil {
		return errors.Join(reason, err)
	}
	if err := m.clear(ctx, m.to, statusMoving); err != nil {
		// Nobody can claim it; the next move there begins by making it equal.
		m.s.cfg.Logger.Warn("a copy that is not needed stays", "partition", m.part, "shard", m.to.number, "error", err)
	}
	return errors.Join(reason, m.forget(ctx))
}

func (m *mover) forget(ctx context.Context) error {
	return m.persist(ctx, "forget move", func() error {
		_, err := meta{m.s}.Put(ctx, moveName(m.part), nil, m.version)
		if errors.Is(err, store.ErrVersion) {
			return errTaken
		}
		return err
	})
}

// finish deletes what is left at the source.
func (m *mover) finish(ctx context.Context) error {
	if err := m.persist(ctx, "clear source", func() error { return m.clear(ctx, m.from, statusMoved) }); err != nil {
		return err
	}
	if err := m.forget(ctx); err != nil {
		return err
	}
	m.step(store.MoveCleared)
	return nil
}
