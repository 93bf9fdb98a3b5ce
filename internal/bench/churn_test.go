package bench

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/chart"
)

func TestCurvesAreRatesOfSessions(t *testing.T) {
	first, second := time.Unix(100, 0), time.Unix(200, 0)
	c := &curves{began: 10 * time.Second, last: map[string]counted{}}
	worker := func(id string, since time.Time, done int64) fenfa.WorkerInfo {
		return fenfa.WorkerInfo{ID: id, ConnectedAt: since, DoneTotal: done}
	}
	c.add(10*time.Second, []fenfa.WorkerInfo{worker("a", first, 100)})
	c.add(11*time.Second, []fenfa.WorkerInfo{worker("a", first, 300), worker("b", first, 50)})
	c.add(12*time.Second, []fenfa.WorkerInfo{worker("a", first, 350), worker("b", first, 60)})
	c.add(13*time.Second, []fenfa.WorkerInfo{worker("a", first, 400)})
	c.add(14*time.Second, []fenfa.WorkerInfo{worker("a", first, 400), worker("b", second, 30)}) // b came back
	c.add(15*time.Second, []fenfa.WorkerInfo{worker("a", first, 500), worker("b", second, 40)})
	want := map[string][]Point{
		"a": {{1, 200}, {2, 50}, {3, 50}, {4, 0}, {5, 100}},
		"b": {{2, 10}, {3, 0}, {4, 30}, {5, 10}},
	}
	if len(c.list) != len(want) {
		t.Errorf("%d curves", len(c.list))
	}
	for _, got := range c.list {
		if !slices.Equal(got.Points, want[got.Worker]) {
			t.Errorf("%s: got %v, want %v", got.Worker, got.Points, want[got.Worker])
		}
	}
}

func TestChartsAreDrawnOfWhatWasMeasured(t *testing.T) {
	share, ms := 0.02, 12.5
	slow := &Result{Name: "slow", FinishP50: &ms, FinishP99: &ms, SlowShare: &share, Settings: Settings{Policy: "p2c", Workers: 4}}
	churn := &Result{Name: "churn", Curves: []Curve{{Worker: "bench-1", Points: []Point{{0, 10}, {1, 20}}}, {Worker: "late"}}}
	for _, r := range []*Result{slow, churn} {
		charts := Charts([]*Result{r})
		if len(charts) == 0 || !Drawable(r.Name) {
			t.Errorf("%s: no chart", r.Name)
			continue
		}
		var b bytes.Buffer
		if err := chart.WriteSVG(&b, charts...); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
	}
	for _, name := range Names() {
		if name != "slow" && name != "churn" && (Drawable(name) || Charts([]*Result{{Name: name}}) != nil) {
			t.Errorf("%s is drawn", name)
		}
	}
}

func TestChurnNeedsWorkersThatMayEnd(t *testing.T) {
	if _, err := (Config{Name: "churn", Binary: "fenfa", Workers: 2}).withDefaults(); err == nil {
		t.Error("two workers are enough, it says: one is killed and one frozen")
	}
}
