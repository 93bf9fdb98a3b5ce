package rabbitmqserver

import "testing"

func TestTheLeaderIsFoundInAList(t *testing.T) {
	c := &Cluster{Nodes: []*Node{{name: "fenfa1@localhost"}, {name: "fenfa2@localhost"}}}
	const list = "fenfa.orders.0\tfenfa2@localhost\nfenfa.orders.1\t\nfenfa.orders.10\tfenfa1@localhost\nother\telsewhere@localhost\n"
	if n, err := c.leaderIn(list, "fenfa.orders.0"); err != nil || n != c.Nodes[1] {
		t.Errorf("got %v, %v", n, err)
	}
	for _, queue := range []string{"fenfa.orders.1", "fenfa.orders", "other", "nothing"} {
		if n, err := c.leaderIn(list, queue); err == nil {
			t.Errorf("%s is led by %s", queue, n.name)
		}
	}
	if _, err := c.Leader(t.Context(), "fenfa.orders.0"); err == nil {
		t.Error("no server runs, and one leads")
	}
}
