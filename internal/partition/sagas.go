package partition

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/spell"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Definitions of sagas are kept by their content, which never changes, and the
// latest of each name once more.
const (
	metaSagaLatest  = "saga/"
	metaSagaVersion = "saga-version/"
)

// sagaQueue are those of the queue of messages to sagas. A message that
// repeats is known by the saga itself, so marks need not be kept for long.
func sagaQueue() task.Queue {
	q := task.DefaultQueue(saga.Queue)
	q.DedupeWindow, q.ResultTTL = time.Hour, time.Second
	return q
}

// DefineSaga stores a definition, from now on the latest of its name. Those that
// run keep theirs. It returns the version, and whether it is new.
func (e *Engine) DefineSaga(ctx context.Context, d *saga.Definition) (version string, created bool, err error) {
	encoded, err := d.Encode()
	if err != nil {
		return "", false, err
	}
	for _, name := range d.Queues() {
		if _, ok := e.Queue(name); !ok {
			return "", false, e.unknownQueue(name)
		}
	}
	if err := e.openSagas(ctx); err != nil {
		return "", false, err
	}
	version = d.Version()
	if _, err = e.putMeta(ctx, metaSagaVersion+d.Name+"/"+version, encoded); err != nil {
		return "", false, err
	}
	created, err = e.putMeta(ctx, metaSagaLatest+d.Name, encoded)
	return version, created, err
}

// openSagas makes the queue of messages to sagas.
func (e *Engine) openSagas(ctx context.Context) error {
	if _, ok := e.Queue(saga.Queue); ok {
		return nil
	}
	_, _, err := e.ConfigureQueue(ctx, sagaQueue())
	return err
}

// putMeta writes a value, and reports whether it is another than before.
func (e *Engine) putMeta(ctx context.Context, name string, value []byte) (changed bool, err error) {
	meta := e.cfg.Store.Meta()
	for range 10 {
		have, version, err := meta.Get(ctx, name)
		if err != nil {
			return false, fmt.Errorf("read definition of saga: %w", err)
		}
		if version != 0 && string(have) == string(value) {
			return false, nil
		}
		if _, err = meta.Put(ctx, name, value, version); err == nil {
			return true, nil
		}
		if !errors.Is(err, store.ErrVersion) {
			return false, fmt.Errorf("store definition of saga: %w", err)
		}
	}
	return false, task.Errorf(task.CodeConflict, "the definition was changed by others all the time: try again")
}

// SagaDefinition returns a definition: the latest, or that of a version.
func (e *Engine) SagaDefinition(ctx context.Context, name, version string) (*saga.Definition, error) {
	key := metaSagaLatest + name
	if version != "" {
		key = metaSagaVersion + name + "/" + version
	}
	value, found, err := e.cfg.Store.Meta().Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read definition of saga: %w", err)
	}
	if found == 0 {
		return nil, e.unknownSaga(ctx, name, version)
	}
	return saga.DecodeDefinition(value)
}

func (e *Engine) unknownSaga(ctx context.Context, name, version string) error {
	defined, err := e.SagaDefinitions(ctx)
	if err != nil {
		return err
	}
	names := make([]string, len(defined))
	for i, d := range defined {
		if names[i] = d.Name; d.Name == name {
			return task.Errorf(task.CodeNotFound, "definition %q has no version %q: the latest is %s", name, version, d.Version()).WithField("version")
		}
	}
	if near, ok := spell.Nearest(name, names); ok {
		return task.Errorf(task.CodeNotFound, "there is no definition %q of a saga: did you mean %q?", name, near).WithField("name")
	}
	return task.Errorf(task.CodeNotFound, "there is no definition %q of a saga: define it with `fenfa saga define FILE`", name).WithField("name")
}

// SagaDefinitions returns the latest definitions, by name.
func (e *Engine) SagaDefinitions(ctx context.Context) ([]*saga.Definition, error) {
	entries, err := e.cfg.Store.Meta().List(ctx, metaSagaLatest)
	if err != nil {
		return nil, fmt.Errorf("list definitions of sagas: %w", err)
	}
	all := make([]*saga.Definition, 0, len(entries))
	for _, entry := range entries {
		d, err := saga.DecodeDefinition(entry.Value)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", entry.Name, err)
		}
		all = append(all, d)
	}
	return all, nil
}

// StartSaga begins a saga, durably, by the latest definition of the name or that of
// a version. Where there is one with this ID, name and input already it does
// nothing, and existed is true.
func (e *Engine) StartSaga(ctx context.Context, name, version, id string, input []byte) (in *saga.Instance, existed bool, err error) {
	if err := saga.ValidateID(id); err != nil {
		return nil, false, err
	}
	if e.draining.Load() {
		return nil, false, task.Errorf(task.CodeUnavailable, "the node is draining: start the saga at another one, or again later").WithRetryAfter(reclaimMax)
	}
	d, err := e.SagaDefinition(ctx, name, version)
	if err != nil {
		return nil, false, err
	}
	a, err := ask(ctx, e.of(saga.KeyOf(id)), func(c *core, now time.Time, answer func(sagaAnswer)) {
		c.startSaga(now, saga.Start{ID: id, Definition: d, Input: input}, answer)
	})
	if err != nil {
		return nil, false, err
	}
	return a.in, a.same, a.err
}

// Saga returns a saga as it is.
func (e *Engine) Saga(ctx context.Context, id string) (*saga.Instance, error) {
	if err := saga.ValidateID(id); err != nil {
		return nil, err
	}
	a, err := look(ctx, e.of(saga.KeyOf(id)), func(c *core, _ time.Time, answer func(sagaAnswer)) { c.getSaga(id, answer) })
	if err != nil {
		return nil, err
	}
	return a.in, a.err
}

// OperateSaga carries out what a person asks of a saga, once for each ID of an
// operation, and returns the saga as it is then.
func (e *Engine) OperateSaga(ctx context.Context, id string, op saga.Operation) (*saga.Instance, error) {
	if err := saga.ValidateID(id); err != nil {
		return nil, err
	}
	a, err := ask(ctx, e.of(saga.KeyOf(id)), func(c *core, now time.Time, answer func(sagaAnswer)) { c.operateSaga(now, id, &op, answer) })
	if err != nil {
		return nil, err
	}
	return a.in, a.err
}

// SagaFilter narrows a list of sagas; what is empty allows all.
type SagaFilter struct {
	Prefix string // of ids
	Name   string
	Status saga.Status
}

// Sagas lists sagas partition by partition, by id within each, and returns the
// token of the next page, empty after the last; a page may be short, or empty, and
// not be the last.
func (e *Engine) Sagas(ctx context.Context, filter SagaFilter, limit int, pageToken string) ([]*saga.State, string, error) {
	records, next, err := e.ScanRecords(ctx, saga.KeyPrefix(filter.Prefix), saga.RecordState, limit, pageToken)
	if err != nil {
		return nil, "", err
	}
	var found []*saga.State
	for i := range records {
		var head struct {
			Name   string      `json:"name"`
			Status saga.Status `json:"status"`
		}
		if err := json.Unmarshal(records[i].Value, &head); err != nil {
			e.counts.corrupt.Inc()
			e.cfg.Logger.Error("saga cannot be read", "saga", strings.TrimPrefix(records[i].Key, saga.KeyPrefix("")), "error", err)
			continue
		}
		if filter.Name != "" && head.Name != filter.Name || filter.Status != "" && head.Status != filter.Status {
			continue
		}
		s, err := saga.DecodeState(records[i].Value)
		if err != nil {
			return nil, "", err
		}
		found = append(found, s)
	}
	return found, next, nil
}
