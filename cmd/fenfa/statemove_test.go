package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/mariadbserver"
	"github.com/fenfa/fenfa/internal/mariadbserver/mariadbtest"
)

func TestAPartitionIsMovedByTheCommandLine(t *testing.T) {
	private := mariadbtest.Private(t, mariadbserver.Config{})
	var addresses []string
	for _, name := range []string{"zero", "one"} {
		address, err := private.Database(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, address)
	}
	t.Setenv("FENFA_STORE_URL", strings.Join(addresses, ","))
	n := serveNode(t, t.TempDir())
	for i := range 40 {
		n.ok(t, &recordView{}, "state", "put", fmt.Sprint("SKU-", i), "stock", fmt.Sprint(i), "--new")
	}
	var moved moveView
	n.ok(t, &moved, "state", "move", "--partition", "3", "--to", "0")
	if moved.Partition != 3 || moved.From != 1 || moved.To != 0 || moved.Step != "cleared" || moved.EndedAt == nil || moved.PausedSeconds <= 0 {
		t.Errorf("moved %+v", moved)
	}
	var shards shardsView
	n.ok(t, &shards, "state", "shards")
	if len(shards.Shards) != 2 || len(shards.Partitions) != 16 || shards.Partitions[3].Shard != 0 || len(shards.Moves) != 1 {
		t.Errorf("shards are %+v", shards)
	}
	if code, stdout, _ := n.run(t, "state", "shards"); code != exitOK || !strings.Contains(stdout, "done") || strings.Contains(stdout, mariadbserver.Password) {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if code, stdout, _ := n.run(t, "state", "move", "--partition", "3", "--to", "1"); code != exitOK || !strings.Contains(stdout, "partition 3 is on shard 1") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if code, stdout, _ := n.run(t, "state", "move", "--partition", "5", "--to", "0", "--no-wait"); code != exitOK || !strings.Contains(stdout, "partition 5 goes from shard 1 to shard 0") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	for i := range 40 {
		var r recordView
		if n.ok(t, &r, "state", "get", fmt.Sprint("SKU-", i), "stock"); string(r.Value) != fmt.Sprint(i) {
			t.Errorf("SKU-%d is %s", i, r.Value)
		}
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--partition", "16", "--to", "0"}, exitRefused, "partitions 0 to 15"},
		{[]string{"--partition", "3", "--to", "2"}, exitRefused, "shards 0 to 1"},
		{[]string{"--partition", "3", "--to", "1"}, exitRefused, "on shard 1 already"},
		{[]string{"--partition", "3"}, exitUsage, "--to"},
	} {
		if code, _, stderr := n.run(t, append([]string{"state", "move"}, c.args...)...); code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: exit code %d: %s", c.args, code, stderr)
		}
	}
}

func TestTheEmbeddedStoreHasNoShards(t *testing.T) {
	n := serveNode(t, t.TempDir())
	for _, args := range [][]string{{"state", "shards"}, {"state", "move", "--partition", "1", "--to", "0"}} {
		if code, _, stderr := n.run(t, args...); code != exitRefused || !strings.Contains(stderr, "embedded store") {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
	}
}

func TestAMoveIsLookedForAlsoAfterARestart(t *testing.T) {
	m := fenfa.ShardMove{Partition: 3, From: 0, To: 1, BeganAt: time.Unix(1, 0)}
	running := m
	running.Step = "copied"
	for name, c := range map[string]struct {
		shards fenfa.Shards
		ended  bool
		failed bool
	}{
		"under way":                 {fenfa.Shards{Moves: []fenfa.ShardMove{{Partition: 2, EndedAt: time.Unix(2, 0)}, running}}, false, false},
		"done before the restart":   {fenfa.Shards{Placements: []fenfa.ShardPlacement{{Partition: 3, Shard: 1}}}, true, false},
		"undone before the restart": {fenfa.Shards{Placements: []fenfa.ShardPlacement{{Partition: 3, Shard: 0}}}, true, true},
	} {
		got, ended := lookForMove(&c.shards, m)
		if ended != c.ended || (got.Error != "") != c.failed || ended == got.EndedAt.IsZero() {
			t.Errorf("%s: %+v, %v", name, got, ended)
		}
	}
}
