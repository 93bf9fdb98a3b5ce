package server

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/saga"
)

func someDefinition() *saga.Definition {
	return &saga.Definition{Name: "order", Stages: []saga.Stage{
		{{Name: "reserve", Queue: "orders", Compensation: &saga.Compensation{}}}, {{Name: "mail", Queue: "mail"}},
	}}
}

func someSaga(id string) *saga.Instance {
	in, _, err := saga.Begin(time.Unix(1_700_000_000, 0), saga.Start{ID: id, Definition: someDefinition(), Input: []byte(`{"n":1}`)})
	if err != nil {
		panic(err)
	}
	return in
}

func (e *fakeEngine) DefineSaga(_ context.Context, d *saga.Definition) (string, bool, error) {
	b, err := d.Encode()
	e.called("define " + string(b))
	if err == nil {
		err = e.err
	}
	return d.Version(), true, err
}

func (e *fakeEngine) SagaDefinition(_ context.Context, name, version string) (*saga.Definition, error) {
	e.called("definition " + name + " " + version)
	return someDefinition(), e.err
}

func (e *fakeEngine) SagaDefinitions(context.Context) ([]*saga.Definition, error) {
	return []*saga.Definition{someDefinition()}, e.err
}

func (e *fakeEngine) StartSaga(_ context.Context, name, version, id string, input []byte) (*saga.Instance, bool, error) {
	e.called("start " + name + " " + version + " " + id + " " + string(input))
	return someSaga(id), true, e.err
}

func (e *fakeEngine) Saga(_ context.Context, id string) (*saga.Instance, error) {
	return someSaga(id), e.err
}

func (e *fakeEngine) Sagas(_ context.Context, f partition.SagaFilter, _ int, pageToken string) ([]*saga.State, string, error) {
	e.called("sagas " + f.Prefix + " " + f.Name + " " + string(f.Status) + " " + pageToken)
	return []*saga.State{someSaga("s1").State}, "next", e.err
}

func (e *fakeEngine) OperateSaga(_ context.Context, id string, op saga.Operation) (*saga.Instance, error) {
	e.called(string(op.Do) + " " + op.ID + " " + op.Step + " " + op.Reason)
	return someSaga(id), e.err
}
