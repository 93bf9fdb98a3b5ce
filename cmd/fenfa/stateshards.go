package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newStateShards() *cobra.Command {
	cmd := &cobra.Command{
		Use: "shards", Short: "Show which shard has which partition, and moves under way", Args: exactly(),
		Long: "Show the shards of a node whose state is in databases, which of them has which\n" +
			"partition, and the moves of partitions: those under way, and the latest of each\n" +
			"partition that has ended since the node started.",
		Example: "fenfa state shards\nfenfa state shards --json",
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			s, err := c.Shards(ctx)
			if err != nil {
				return err
			}
			return out.write(cmd, viewShards(&s), func(w io.Writer) { writeShards(w, &s) })
		})
	}
	return cmd
}

type shardsView struct {
	Shards     []shardView     `json:"shards"`
	Partitions []placementView `json:"partitions"`
	Moves      []moveView      `json:"moves"`
}

type shardView struct {
	Number  int    `json:"number"`
	Address string `json:"address"`
}

type placementView struct {
	Partition int    `json:"partition"`
	Shard     int    `json:"shard"`
	Epoch     uint64 `json:"epoch"`
	Seq       uint64 `json:"seq"`
}

type moveView struct {
	Partition     int        `json:"partition"`
	From          int        `json:"from"`
	To            int        `json:"to"`
	Step          string     `json:"step"`
	BeganAt       time.Time  `json:"began_at"`
	EndedAt       *time.Time `json:"ended_at,omitempty"`
	Compared      int64      `json:"compared"`
	Written       int64      `json:"written"`
	PausedSeconds float64    `json:"paused_seconds,omitempty"`
	Error         string     `json:"error,omitempty"`
}

func viewShards(s *fenfa.Shards) shardsView {
	v := shardsView{Shards: make([]shardView, len(s.Addresses)), Partitions: make([]placementView, len(s.Placements)), Moves: make([]moveView, len(s.Moves))}
	for i, address := range s.Addresses {
		v.Shards[i] = shardView{Number: i, Address: address}
	}
	for i, p := range s.Placements {
		v.Partitions[i] = placementView(p)
	}
	for i := range s.Moves {
		v.Moves[i] = viewMove(&s.Moves[i])
	}
	return v
}

func viewMove(m *fenfa.ShardMove) moveView {
	v := moveView{
		Partition: m.Partition, From: m.From, To: m.To, Step: m.Step, BeganAt: m.BeganAt, Compared: m.Compared, Written: m.Written,
		PausedSeconds: m.Paused.Seconds(), Error: m.Error,
	}
	if !m.EndedAt.IsZero() {
		v.EndedAt = &m.EndedAt
	}
	return v
}

func writeShards(w io.Writer, s *fenfa.Shards) {
	rows := [][]string{{"PARTITION", "SHARD", "ADDRESS", "EPOCH", "CHANGES"}}
	for _, p := range s.Placements {
		address := ""
		if p.Shard < len(s.Addresses) {
			address = s.Addresses[p.Shard]
		}
		rows = append(rows, []string{strconv.Itoa(p.Partition), strconv.Itoa(p.Shard), address, strconv.FormatUint(p.Epoch, 10), strconv.FormatUint(p.Seq, 10)})
	}
	table(w, rows)
	if len(s.Moves) == 0 {
		return
	}
	rows = [][]string{{"MOVE OF", "FROM", "TO", "STEP", "BEGAN", "COMPARED", "WRITTEN", "PAUSED", "END"}}
	for i := range s.Moves {
		m := &s.Moves[i]
		rows = append(rows, []string{
			strconv.Itoa(m.Partition), strconv.Itoa(m.From), strconv.Itoa(m.To), m.Step, moment(m.BeganAt),
			strconv.FormatInt(m.Compared, 10), strconv.FormatInt(m.Written, 10), m.Paused.Round(time.Millisecond).String(), endOfMove(m),
		})
	}
	fmt.Fprintln(w)
	table(w, rows)
}

func endOfMove(m *fenfa.ShardMove) string {
	switch {
	case m.Error != "":
		return "undone: " + m.Error
	case m.EndedAt.IsZero():
		return "under way"
	default:
		return "done"
	}
}
