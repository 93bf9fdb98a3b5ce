package bench

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"
)

func TestAReportSaysWhatHappenedBetweenTwoMoments(t *testing.T) {
	r := &stationReport{}
	for i := range 10 {
		r.Samples = append(r.Samples, sample{
			At: time.Duration(i) * time.Second, Busy: time.Duration(2*i) * time.Second, Served: time.Duration(i) * time.Second, Done: int64(100 * i),
		})
	}
	want := sample{At: 3 * time.Second, Busy: 6 * time.Second, Served: 3 * time.Second, Done: 300}
	if got := r.between(1500*time.Millisecond, 5200*time.Millisecond); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, c := range [][2]time.Duration{{20 * time.Second, 30 * time.Second}, {3 * time.Second, 3 * time.Second}, {5 * time.Second, time.Second}} {
		if got := r.between(c[0], c[1]); got != (sample{}) {
			t.Errorf("between %v and %v: %+v", c[0], c[1], got)
		}
	}
}

func TestBusySharesAreThoseOfTheSlots(t *testing.T) {
	reports := []*stationReport{
		{ID: "a", Samples: []sample{{At: time.Second}, {At: 3 * time.Second, Busy: 16 * time.Second, Done: 1000}}},
		{ID: "b", Samples: []sample{{At: time.Second}, {At: 3 * time.Second, Busy: 8 * time.Second, Done: 1000}}},
	}
	result := &Result{}
	if err := busyShares(Config{Concurrency: 10, Service: 4 * time.Millisecond}, reports, 0, 4*time.Second, result); err != nil {
		t.Fatal(err)
	}
	if *result.Nominal != 0.2 {
		t.Errorf("by nominal times %v, want 2000 tasks of 4 ms in 40 s", *result.Nominal)
	}
	if *result.BusyShare != 0.6 || *result.LeastBusy != 0.4 || *result.HandlerMs != 12 {
		t.Errorf("busy %v, least %v, handler %v ms", *result.BusyShare, *result.LeastBusy, *result.HandlerMs)
	}
	if err := busyShares(Config{Concurrency: 10}, []*stationReport{{ID: "c"}}, 0, time.Second, result); err == nil {
		t.Error("a worker without samples counted as one that was never busy")
	}
}

func TestFastCapacityIsByWhatTasksTook(t *testing.T) {
	fast := &stationReport{Samples: []sample{{}, {At: time.Second, Served: 8 * time.Second, Done: 1000}}}
	if got := fastCapacity(Config{Lines: 8}, []*stationReport{fast, fast}, 0, time.Second); got != 2000 {
		t.Errorf("got %v tasks/s, want 2000", got)
	}
}

func TestPhasesOfWorkersArePutTogether(t *testing.T) {
	var reports []*stationReport
	for worker := range 2 {
		s := &station{cfg: WorkerConfig{ID: "w", Report: filepath.Join(t.TempDir(), "w.json")}}
		for i := range s.phases {
			s.phases[i].start, s.phases[i].finish = newLatencies(), newLatencies()
		}
		p := &s.phases[2]
		p.tasks.Add(1)
		p.start.record(0, time.Duration(1+worker)*10*time.Millisecond, 1)
		p.finish.record(0, time.Second, 1)
		if err := s.report([]sample{{At: 1, Busy: 2, Served: 3, Done: 4}}); err != nil {
			t.Fatal(err)
		}
		r, err := readReport(s.cfg.Report)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Samples) != 1 || r.Samples[0] != (sample{At: 1, Busy: 2, Served: 3, Done: 4}) {
			t.Errorf("samples are %+v", r.Samples)
		}
		reports = append(reports, r)
	}
	tasks, start, finish := merged(reports, 2)
	if tasks != 2 || math.Abs(start.P50-10) > 0.1 || math.Abs(start.P99-20) > 0.1 || math.Abs(finish.P50-1000) > 1 {
		t.Errorf("%d tasks, start %+v, finish %+v", tasks, start, finish)
	}
	if tasks, _, _ := merged(reports, 1); tasks != 0 {
		t.Errorf("another phase has %d tasks", tasks)
	}
}

func TestAReportThatIsMissingIsAnError(t *testing.T) {
	if _, err := readReport(filepath.Join(t.TempDir(), "none.json")); err == nil {
		t.Error("no error")
	}
}

func TestTheNumberOfATaskCarriesItsPhase(t *testing.T) {
	for phase := range phases {
		n := numbered(phase, 1<<numberBits-1)
		if n>>numberBits%phases != uint64(phase) || n&(1<<numberBits-1) != 1<<numberBits-1 {
			t.Errorf("phase %d became %#x", phase, n)
		}
	}
}

func TestZipfDrawsInProportion(t *testing.T) {
	const n, draws = 1000, 400_000
	zipf := newZipf(rand.New(rand.NewPCG(1, 2)), 1.1, n)
	counts := make([]float64, n)
	for range draws {
		counts[zipf()]++
	}
	sum := 0.0
	for k := range n {
		sum += math.Pow(float64(k+1), -1.1)
	}
	for _, k := range []int{0, 1, 9, 99} {
		want := draws * math.Pow(float64(k+1), -1.1) / sum
		if math.Abs(counts[k]-want) > 5*math.Sqrt(want) {
			t.Errorf("%d was drawn %v times, want about %.0f", k, counts[k], want)
		}
	}
}

func TestTheResultOfAFleetNamesItsPolicy(t *testing.T) {
	c, err := Config{Name: "slow", Binary: "fenfa"}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(settingsOf(c))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Policy, Service string
		Lines           int
	}
	if err := json.Unmarshal(b, &got); err != nil || got.Policy != "least_inflight" || got.Service != "20ms" || got.Lines != 32 {
		t.Errorf("settings are %s, %v", b, err)
	}
}

func TestPeaksAreOfTheBusiestWorker(t *testing.T) {
	looks := make([]float64, 0, 200)
	for i := range 200 {
		looks = append(looks, float64(200-i)/200)
	}
	peak, bound := peaks(map[string]float64{"a": 10, "b": 20, "c": 30, "d": 20}, looks)
	if peak != 1.5 || bound != 0.995 {
		t.Errorf("peak %v, bound %v", peak, bound)
	}
	if peak, bound := peaks(nil, nil); peak != 0 || bound != 0 {
		t.Errorf("of nothing: %v, %v", peak, bound)
	}
}
