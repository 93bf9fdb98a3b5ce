package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/mysql"
	"github.com/fenfa/fenfa/internal/store/storetest"
	"github.com/fenfa/fenfa/internal/task"
)

// movedPart is on shard 1 of three, and goes to target.
const (
	movedPart = 4
	target    = 2
)

// moved is a partition with an owner that commits until it is fenced, and claims it
// again when a move has ended.
type moved struct {
	t      *testing.T
	where  []mysql.Address
	s      *mysql.Store
	thawed chan struct{}
}

// newMoved returns one with rows in all tables.
func newMoved(t *testing.T) *moved {
	t.Helper()
	where := databases(t, 3)
	m := &moved{t: t, where: where, s: open(t, mysql.Config{Shards: where}), thawed: make(chan struct{})}
	var rows []store.Row
	for i := range 1200 {
		rows = append(rows, &store.Record{Key: fmt.Sprint("key-", i), Name: "\x00n", Version: uint64(i) + 1, Value: []byte("{}")},
			&store.Dedup{ID: task.NewID(time.UnixMilli(int64(1_700_000_000_000 + i))), State: task.StateDone})
	}
	for i := range 3 {
		id := task.NewID(time.UnixMilli(int64(i)))
		rows = append(rows, &store.Outbox{Seq: uint64(i)}, &store.Schedule{Due: time.UnixMicro(int64(i)), Seq: 1, Body: []byte{0}}, &store.Parked{Queue: "q", Seq: uint64(i)},
			&store.Attempt{ID: id, Tries: []store.Try{{At: 1, Error: "no"}}}, &store.Dead{Queue: "q", Seq: uint64(i)}, &store.Branch{Tx: id, State: store.TxPrepared},
			&store.Intent{Tx: id, Key: "k", Op: store.IntentAdd, Delta: -1}, &store.Txn{Tx: id, State: store.TxAborted, Parts: []int{1}})
	}
	b := after(movedPart, claim(t, m.s, movedPart), rows...)
	b.Next.Seq = 0 // none of these is in the op log
	if err := m.s.Commit(t.Context(), []store.Batch{b}); err != nil {
		t.Fatal(err)
	}
	return m
}

// begin writes the move down.
func (m *moved) begin() {
	m.t.Helper()
	mv, err := m.s.BeginMove(m.t.Context(), movedPart, target)
	if err != nil || mv.From != 1 || mv.To != target || mv.Part != movedPart {
		m.t.Fatalf("%+v, %v", mv, err)
	}
}

// hooks hold nobody back: an owner finds out that it is fenced.
func (m *moved) hooks(step func(store.MoveStep)) store.MoveHooks {
	return store.MoveHooks{Freeze: func(context.Context) (func(), error) { return func() { close(m.thawed) }, nil }, Step: step}
}

// rows returns all rows that a shard has of the partition, as text.
func (m *moved) rows(shard int) (all []string) {
	m.t.Helper()
	db := plain(m.t, m.where[shard])
	for _, table := range storetest.Tables() {
		all = append(all, tableText(m.t, db, table.String())...)
	}
	return all
}

// tableText returns the rows that a table has of the partition.
func tableText(t *testing.T, db *sql.DB, table string) (all []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table+" WHERE part = ?", movedPart)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		raw, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range raw {
			into[i] = &raw[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %+v", table, raw))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// status returns the status of the partition's fence on a shard.
func (m *moved) status(shard int) (status string) {
	m.t.Helper()
	err := plain(m.t, m.where[shard]).QueryRowContext(m.t.Context(), "SELECT status FROM fence WHERE part = ?", movedPart).Scan(&status)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		m.t.Fatal(err)
	}
	return status
}

// arrived holds that the partition is on the target and nowhere else.
func (m *moved) arrived(s *mysql.Store) {
	m.t.Helper()
	placed, err := s.Placements(m.t.Context())
	if err != nil || len(placed) != 1 || placed[0].Shard != target {
		m.t.Errorf("the partition is at %+v, %v", placed, err)
	}
	if moves, err := s.Moves(m.t.Context()); err != nil || len(moves) != 0 {
		m.t.Errorf("there are moves left: %+v, %v", moves, err)
	}
	if left := m.rows(1); len(left) != 0 || m.status(1) != "moved" || m.status(target) != "active" {
		m.t.Errorf("%d rows are left, the fences are %q and %q", len(left), m.status(1), m.status(target))
	}
}

// TestAPartitionMovesWhileItsOwnerCommits moves a partition there and back while
// records change, come and go, and compares what both sides have of it.
func TestAPartitionMovesWhileItsOwnerCommits(t *testing.T) {
	m := newMoved(t)
	c := &counter{s: m.s, part: movedPart}
	for round, to := range []int{target, 1, target} {
		m.thawed = make(chan struct{})
		if err := c.claim(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := m.s.BeginMove(t.Context(), movedPart, to); err != nil {
			t.Fatal(err)
		}
		var owner sync.WaitGroup
		owner.Go(func() {
			for {
				err := c.step(t.Context())
				if err == nil {
					err = c.churn(t.Context())
				}
				if errors.Is(err, store.ErrFenced) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		var steps []string
		var before []string
		from := []int{1, target, 1}[round]
		err := m.s.Move(t.Context(), movedPart, m.hooks(func(step store.MoveStep) {
			steps = append(steps, step.String())
			if step == store.MoveFrozen {
				before = m.rows(from)
			}
		}))
		owner.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(steps, " "); got != "begun prepared copied compared frozen settled activated flipped cleared" {
			t.Errorf("the steps were %s", got)
		}
		if got := m.rows(to); !reflect.DeepEqual(got, before) {
			t.Errorf("round %d: %d rows were frozen and %d are there", round, len(before), len(got))
		}
		if left := m.rows(from); len(left) > 0 {
			t.Errorf("round %d: %d rows are left", round, len(left))
		}
		if err := c.claim(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.check(t)
		t.Logf("round %d: %d commits", round, c.confirmed)
	}
	m.arrived(m.s)
}

// churn makes a row, and deletes one of those before.
func (c *counter) churn(ctx context.Context) error {
	b := after(c.part, c.fence, &store.Attempt{ID: task.NewID(time.UnixMilli(int64(c.confirmed)))}, &store.Record{Key: fmt.Sprint("key-", c.confirmed*7%1500), Name: "\x00n", Version: c.confirmed})
	b.Next.Seq--
	b.Deletes = []store.Row{&store.Outbox{Seq: c.confirmed % 3}, &store.Record{Key: fmt.Sprint("key-", c.confirmed*11%1500), Name: "\x00n"}}
	err := c.s.Commit(ctx, []store.Batch{b})
	if err == nil {
		c.fence = b.Next
	}
	return err
}

// steps are all at which a move can end.
var allSteps = []store.MoveStep{
	store.MoveBegun, store.MovePrepared, store.MoveCopied, store.MoveCompared, store.MoveFrozen, store.MoveSettled, store.MoveActivated, store.MoveFlipped,
}

// TestAMoveThatEndsAnywhereIsCarriedOn ends the process of a move after each step, as
// far as the databases can tell, and opens another.
func TestAMoveThatEndsAnywhereIsCarriedOn(t *testing.T) {
	for _, last := range allSteps {
		t.Run(last.String(), func(t *testing.T) {
			m := newMoved(t)
			m.begin()
			want := m.rows(1)
			ctx, end := context.WithCancel(t.Context())
			defer end()
			err := m.s.Move(ctx, movedPart, m.hooks(func(step store.MoveStep) {
				if step == last {
					end()
				}
			}))
			if err == nil {
				t.Fatal("the move went on")
			}
			s := open(t, mysql.Config{Shards: m.where})
			m.oneActive()
			c := &counter{s: s, part: movedPart}
			if err := errors.Join(c.claim(t.Context())); err != nil {
				t.Fatal(err)
			}
			m.thawed = make(chan struct{})
			if err := s.Move(t.Context(), movedPart, m.hooks(nil)); err != nil {
				t.Fatal(err)
			}
			m.arrived(s)
			if got := m.rows(target); !reflect.DeepEqual(got, want) {
				t.Errorf("%d rows arrived, of %d", len(got), len(want))
			}
			if err := errors.Join(c.claim(t.Context()), c.step(t.Context())); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// oneActive holds that the partition can be claimed on one shard.
func (m *moved) oneActive() {
	m.t.Helper()
	active := 0
	for shard := range m.where {
		if m.status(shard) == "active" {
			active++
		}
	}
	if active != 1 {
		m.t.Errorf("%d copies are active", active)
	}
}

// TestAMoveThatWasTakenOverDoesNothingMore opens another process while a move stands
// after each of its steps; then the first one goes on.
func TestAMoveThatWasTakenOverDoesNothingMore(t *testing.T) {
	for _, at := range allSteps {
		t.Run(at.String(), func(t *testing.T) {
			m := newMoved(t)
			m.begin()
			want := m.rows(1)
			var other *mysql.Store
			c := &counter{part: movedPart}
			err := m.s.Move(t.Context(), movedPart, m.hooks(func(step store.MoveStep) {
				if step != at {
					return
				}
				other = open(t, mysql.Config{Shards: m.where})
				c.s = other
				if err := c.claim(t.Context()); err != nil {
					t.Error(err)
				}
				m.oneActive()
			}))
			m.oneActive()
			if err == nil {
				t.Error("the move went on though another process has it")
			}
			m.thawed = make(chan struct{})
			if err := other.Move(t.Context(), movedPart, m.hooks(nil)); err != nil && !errors.Is(err, store.ErrNoMove) {
				t.Fatal(err)
			}
			m.arrived(other)
			if got := m.rows(target); !reflect.DeepEqual(got, want) {
				t.Errorf("%d rows arrived, of %d", len(got), len(want))
			}
			if err := errors.Join(c.claim(t.Context()), c.step(t.Context())); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestAMoveThatFindsACopyThatDiffersIsUndone damages the target behind the move's
// back.
func TestAMoveThatFindsACopyThatDiffersIsUndone(t *testing.T) {
	for at, statement := range map[store.MoveStep]string{
		store.MoveCopied: "UPDATE record SET version = version + 1 WHERE part = ? AND entity_key = 'key-7'",
		store.MoveFrozen: "DELETE FROM dead WHERE part = ? AND queue = 'q'",
	} {
		t.Run(at.String(), func(t *testing.T) {
			m := newMoved(t)
			m.begin()
			want := m.rows(1)
			err := m.s.Move(t.Context(), movedPart, m.hooks(func(step store.MoveStep) {
				if step != at {
					return
				}
				if _, err := plain(t, m.where[target]).ExecContext(t.Context(), statement, movedPart); err != nil {
					t.Error(err)
				}
			}))
			if err == nil || !strings.Contains(err.Error(), "differs") {
				t.Errorf("the move ended with %v", err)
			}
			m.oneActive()
			if got := m.rows(1); !reflect.DeepEqual(got, want) {
				t.Errorf("%d rows are left at the source, of %d", len(got), len(want))
			}
			if left := m.rows(target); len(left) != 0 {
				t.Errorf("%d rows are left at the target", len(left))
			}
			c := &counter{s: m.s, part: movedPart}
			if err := errors.Join(c.claim(t.Context()), c.step(t.Context())); err != nil {
				t.Error(err)
			}
			m.thawed = make(chan struct{})
			m.begin()
			if err := m.s.Move(t.Context(), movedPart, m.hooks(nil)); err != nil {
				t.Error(err)
			}
			m.arrived(m.s)
		})
	}
}

func TestMovesThatCannotBeAreRefused(t *testing.T) {
	m := newMoved(t)
	for name, c := range map[string]struct {
		part, to int
		want     error
	}{
		"to where it is":      {movedPart, 1, store.ErrPlaced},
		"to no shard":         {movedPart, 3, store.ErrNoShard},
		"to a negative shard": {movedPart, -1, store.ErrNoShard},
	} {
		if _, err := m.s.BeginMove(t.Context(), c.part, c.to); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := m.s.Move(t.Context(), movedPart, m.hooks(nil)); !errors.Is(err, store.ErrNoMove) {
		t.Errorf("a move that was not begun: %v", err)
	}
	m.begin()
	if _, err := m.s.BeginMove(t.Context(), movedPart, 0); !errors.Is(err, store.ErrMoving) {
		t.Errorf("two moves of one partition: %v", err)
	}
	if moves, err := m.s.Moves(t.Context()); err != nil || len(moves) != 1 || moves[0].To != target {
		t.Errorf("the moves are %+v, %v", moves, err)
	}
}

// TestStatementsOfMovesFollowTheRules looks at all that a move sends.
func TestStatementsOfMovesFollowTheRules(t *testing.T) {
	m := newMoved(t)
	shut(t, m.s)
	var sent recorder
	m.s = open(t, mysql.Config{Shards: m.where, Observe: sent.observe})
	m.begin()
	claim(t, m.s, movedPart)
	if err := m.s.Move(t.Context(), movedPart, m.hooks(nil)); err != nil {
		t.Fatal(err)
	}
	for _, text := range sent.take() {
		if why := breach(text); why != "" {
			t.Errorf("%s: %.200s", why, text)
		}
	}
}
