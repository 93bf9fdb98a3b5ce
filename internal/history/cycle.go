package history

import (
	"cmp"
	"slices"
)

// cycles looks for transactions that no order of one after another explains: the
// graph of who must come before whom (Adya, 1999) has a cycle. A version comes
// before its readers, they come before the next version, and versions of a record
// come one after another.
func (c *check) cycles() {
	g := newPrecedence(c.h.Transactions)
	for _, ring := range g.rings() {
		ops := make([]any, 0, len(ring))
		for _, i := range ring {
			ops = append(ops, c.h.Transactions[i])
		}
		c.report.violate(RuleCycle, ops, "%d transactions each come before the next, and the last before the first", len(ring))
	}
}

// precedence is the graph: after[i] are the transactions that come after i.
type precedence struct {
	after [][]int
}

// made is a version of a record and the transaction that made it.
type made struct {
	version uint64
	by      int
}

func newPrecedence(txns []Transaction) *precedence {
	g := &precedence{after: make([][]int, len(txns))}
	versions := map[Ref][]made{}
	for i := range txns {
		for _, w := range txns[i].Writes {
			at := Ref{w.Key, w.Name}
			versions[at] = append(versions[at], made{w.Version, i})
		}
	}
	for _, line := range versions {
		slices.SortFunc(line, func(a, b made) int { return cmp.Compare(a.version, b.version) })
		for i := 1; i < len(line); i++ {
			g.add(line[i-1].by, line[i].by)
		}
	}
	for i := range txns {
		for _, r := range txns[i].Reads {
			line := versions[Ref{r.Key, r.Name}]
			at, found := slices.BinarySearchFunc(line, r.Version, func(m made, v uint64) int { return cmp.Compare(m.version, v) })
			if found {
				g.add(line[at].by, i)
				at++
			}
			if at < len(line) {
				g.add(i, line[at].by)
			}
		}
	}
	return g
}

func (g *precedence) add(from, to int) {
	if from != to {
		g.after[from] = append(g.after[from], to)
	}
}

// rings returns cycles that share no transaction, as a walk in depth meets them.
func (g *precedence) rings() (rings [][]int) {
	const (
		fresh = iota
		open
		closed
	)
	state := make([]int, len(g.after))
	for root := range g.after {
		if state[root] != fresh {
			continue
		}
		path, next := []int{root}, []int{0}
		state[root] = open
		for len(path) > 0 {
			top := len(path) - 1
			at := path[top]
			if next[top] == len(g.after[at]) {
				state[at] = closed
				path, next = path[:top], next[:top]
				continue
			}
			to := g.after[at][next[top]]
			next[top]++
			switch state[to] {
			case fresh:
				state[to] = open
				path, next = append(path, to), append(next, 0)
			case open:
				ring := slices.Clone(path[slices.Index(path, to):])
				rings = append(rings, ring)
				for _, i := range ring {
					state[i] = closed
				}
				path, next = path[:len(path)-len(ring)], next[:len(next)-len(ring)]
			}
		}
	}
	return rings
}
