package sagas

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

// number reads how many there shall be of something.
func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	s := os.Getenv(variable)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("read %s: %v", variable, err)
	}
	return n
}

// TestSagasEndDoneOrCompensatedWhateverBreaks starts sagas whose steps fail at
// random while the node and its workers are killed, and checks the effects of each.
func TestSagasEndDoneOrCompensatedWhateverBreaks(t *testing.T) {
	sagas, kills := number(t, "FENFA_SAGAS", 300), number(t, "FENFA_KILLS", 10)
	n := harness.NewNode(t, t.TempDir())
	n.Start()
	client := n.Dial()
	if _, _, err := client.ConfigureQueue(t.Context(), fenfa.Queue{Name: queue}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := client.Sagas().Define(t.Context(), definition()); err != nil {
		t.Fatal(err)
	}
	workers := make([]*harness.Process, 2)
	for i := range workers {
		workers[i] = startWorker(t, n.GRPC, fmt.Sprint("worker-", i))
	}
	began := time.Now()
	started := startAll(t, client, sagas)
	seed := rand.Uint64()
	moments := rand.New(rand.NewPCG(seed, 0))
	for i := range kills {
		<-time.After(time.Duration(moments.Int64N(int64(600 * time.Millisecond))))
		if moments.IntN(2) == 0 {
			n.Kill()
			n.Launch()
			n.AwaitReady()
			continue
		}
		at := moments.IntN(len(workers))
		workers[at].Kill()
		workers[at] = startWorker(t, n.GRPC, fmt.Sprint("worker-", at, "-", i))
	}
	<-started
	startTook := time.Since(began)
	all := awaitEnds(t, client, sagas)
	t.Logf("%d sagas, %d kills with seed %d: started in %v, all ended after %v", sagas, kills, seed, startTook.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	judgeAll(t, client, all)
}

func startWorker(t *testing.T, addr, name string) *harness.Process {
	t.Helper()
	return harness.StartSelf(t, name, workerEnv+"="+addr, workerEnv+"_NAME="+name)
}

// startAll starts sagas, each until a node confirms it. A start whose answer was lost
// is repeated under the same id.
func startAll(t *testing.T, client *fenfa.Client, sagas int) (done <-chan struct{}) {
	t.Helper()
	ids := make(chan int)
	var starters sync.WaitGroup
	for range 16 {
		starters.Go(func() {
			for i := range ids {
				err := harness.Eventually(t.Context(), "the saga is started", func(ctx context.Context) bool {
					_, _, err := client.Sagas().Start(ctx, "order", fmt.Sprint(prefix, i), map[string]int{"n": i})
					if err != nil && !errors.Is(err, fenfa.ErrUnavailable) {
						t.Error(err)
						return true
					}
					return err == nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for i := range sagas {
			ids <- i
		}
		close(ids)
		starters.Wait()
	}()
	return finished
}

// awaitEnds waits until all sagas have ended, as long as there is progress, and
// returns them.
func awaitEnds(t *testing.T, client *fenfa.Client, sagas int) (all []fenfa.Saga) {
	t.Helper()
	open := -1
	for {
		before := open
		err := harness.Eventually(t.Context(), fmt.Sprintf("fewer than %d of %d sagas are open", before, sagas), func(ctx context.Context) bool {
			found, err := list(ctx, client)
			if err != nil {
				return false
			}
			all, open = found, 0
			for i := range found {
				if !found[i].Status.Final() {
					open++
				}
			}
			return open == 0 || before < 0 || open < before
		})
		if err != nil {
			for i := range all {
				if s := &all[i]; !s.Status.Final() {
					t.Logf("saga %s is %s: %+v", s.ID, s.Status, s.Steps)
				}
			}
			t.Fatal(err)
		}
		if open == 0 {
			if len(all) != sagas {
				t.Fatalf("there are %d sagas, %d were started", len(all), sagas)
			}
			return all
		}
	}
}

func list(ctx context.Context, client *fenfa.Client) (all []fenfa.Saga, err error) {
	for opts := (fenfa.ListSagasOptions{Page: fenfa.Page{Size: 1000}}); ; {
		page, next, err := client.Sagas().List(ctx, opts)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if next == "" {
			return all, nil
		}
		opts.Token = next
	}
}

// judgeAll reads what took effect, and checks it.
func judgeAll(t *testing.T, client *fenfa.Client, all []fenfa.Saga) {
	t.Helper()
	effects := map[string]effect{} // by key and name
	for opts := (fenfa.ScanOptions{Page: fenfa.Page{Size: 1000}}); ; {
		records, next, err := client.State().Scan(t.Context(), prefix, opts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			r := &records[i]
			count := 0
			if err := r.Decode(&count); err != nil {
				t.Fatal(err)
			}
			effects[r.Key+" "+r.Name] = effect{count: count, at: r.UpdatedAt}
		}
		if opts.Token = next; next == "" {
			break
		}
	}
	var stages [][]string
	for _, stage := range definition().Stages {
		var names []string
		for i := range stage {
			names = append(names, stage[i].Name)
		}
		stages = append(stages, names)
	}
	done, compensated, wrong := 0, 0, 0
	for i := range all {
		f := facts{id: all[i].ID, saga: all[i], stages: stages, did: map[string]effect{}, undid: map[string]effect{}}
		for _, step := range all[i].Steps {
			if e, ok := effects[f.id+"/"+step.Name+" "+did]; ok {
				f.did[step.Name] = e
			}
			if e, ok := effects[f.id+"/"+step.Name+" "+undid]; ok {
				f.undid[step.Name] = e
			}
		}
		if found := f.judge(); len(found) > 0 {
			if wrong++; wrong <= 10 {
				t.Errorf("%s", strings.Join(found, "\n"))
			}
		}
		if all[i].Status == fenfa.SagaDone {
			done++
		} else {
			compensated++
		}
	}
	t.Logf("%d sagas done, %d compensated, %d wrong; %d effects", done, compensated, wrong, len(effects))
	if done == 0 || compensated == 0 {
		t.Errorf("%d sagas were done and %d compensated: the failures are drawn badly", done, compensated)
	}
}
