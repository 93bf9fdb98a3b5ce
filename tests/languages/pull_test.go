package languages

import (
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type stock struct {
	Left int `json:"left"`
}

type order struct {
	SKU string `json:"sku"`
	Qty int    `json:"qty"`
}

func TestTheCurlSessionRuns(t *testing.T) {
	need(t, "bash", "bash")
	need(t, "curl", "curl")
	need(t, "jq", "jq")
	n := fenfatest.Start(t)
	out := command(t.Context(), t, "examples/curl/session.sh", "http://"+n.HTTPAddr()).run()
	if !strings.HasSuffix(out, "done\n") {
		t.Error(out)
	}
}

func TestThePythonWorkerSellsWhatThereIs(t *testing.T) {
	need(t, "python3", "python3-minimal")
	n := fenfatest.Start(t, fenfatest.WithQueues("orders", "mail"))
	ctx, c := t.Context(), n.Client()
	if _, err := c.State().Put(ctx, "SKU-1", "stock", stock{Left: 5}, 0); err != nil {
		t.Fatal(err)
	}
	const orders = 8
	ids := make([]fenfa.ID, orders)
	for i := range ids {
		task := fenfa.NewTask("orders", order{"SKU-1", 1}, fenfa.Key("SKU-1"))
		if i == 3 {
			task = fenfa.NewTask("orders", "nonsense", fenfa.Key("SKU-1"))
		}
		if _, err := c.Submit(ctx, task); err != nil {
			t.Fatal(err)
		}
		ids[i] = task.ID()
	}
	out := command(ctx, t, "python3", "examples/python/worker.py", "--node", "http://"+n.HTTPAddr(), "--tasks", "8").run()
	sold := 0
	for i, id := range ids {
		st := n.Await(ctx, id)
		if i == 3 {
			if st.State != fenfa.StateDead || !strings.Contains(st.Error, "no qty") {
				t.Errorf("the nonsense is %+v", st)
			}
			continue
		}
		var result struct{ Sold bool }
		if err := json.Unmarshal(st.Result, &result); err != nil || st.State != fenfa.StateDone {
			t.Fatalf("order %d: %+v %v\n%s", i, st, err, out)
		}
		if result.Sold {
			sold++
		}
	}
	var left stock
	record, err := c.State().Get(ctx, "SKU-1", "stock")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(record.Value, &left); err != nil || left.Left != 0 || sold != 5 {
		t.Errorf("%d are sold of 5, %d are left: %v\n%s", sold, left.Left, err, out)
	}
	if info, err := c.DescribeQueue(ctx, "mail"); err != nil || info.Stats.BacklogTasks != 5 {
		t.Errorf("receipts: %+v %v", info, err)
	}
}
