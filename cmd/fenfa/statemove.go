package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// movePoll is the time between two looks at a move.
const movePoll = 100 * time.Millisecond

func newStateMove() *cobra.Command {
	cmd := &cobra.Command{
		Use: "move", Short: "Move a partition to another shard, while it goes on", Args: exactly(),
		Long: "Move a partition to another shard of the databases that hold the state. The partition\n" +
			"goes on meanwhile, but for a moment at the end. Both sides are compared before the new\n" +
			"one takes over. A node that ends meanwhile carries the move on when it starts again;\n" +
			"this command waits for that too. `fenfa state shards` shows how far it is.",
		Example: "fenfa state move --partition 3 --to 1\nfenfa state move --partition 3 --to 1 --no-wait",
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	f := cmd.Flags()
	part := f.Int("partition", -1, "the partition that is moved")
	shard := f.Int("to", -1, "the number of the shard to which it goes")
	noWait := f.Bool("no-wait", false, "return when the move has begun")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if *part < 0 || *shard < 0 {
			return usagef("--partition and --to are needed, and 0 or more")
		}
		client, err := to.dial()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
		var m fenfa.ShardMove
		err = to.ask(cmd.Context(), client, func(ctx context.Context, c *fenfa.Client) (err error) {
			m, err = c.MovePartition(ctx, *part, *shard)
			return err
		})
		if err == nil && !*noWait {
			m, err = awaitMove(cmd.Context(), to, client, m)
		}
		if err != nil {
			return err
		}
		if err := out.write(cmd, viewMove(&m), func(w io.Writer) { writeMove(w, &m) }); err != nil {
			return err
		}
		if m.Error != "" {
			return failuref(exitCheck, "partition %d stays on shard %d, the move was undone: %s", m.Partition, m.From, m.Error)
		}
		return nil
	}
	return cmd
}

// awaitMove waits until a move has ended, also while the node is away.
func awaitMove(ctx context.Context, to *target, client *fenfa.Client, m fenfa.ShardMove) (fenfa.ShardMove, error) {
	for {
		var s fenfa.Shards
		err := to.ask(ctx, client, func(ctx context.Context, c *fenfa.Client) (err error) {
			s, err = c.Shards(ctx)
			return err
		})
		switch {
		case ctx.Err() != nil:
			return m, context.Cause(ctx)
		case err != nil && !errors.Is(err, fenfa.ErrUnavailable):
			return m, err
		case err == nil:
			if now, ended := lookForMove(&s, m); ended {
				return now, nil
			}
		}
		select {
		case <-time.After(movePoll):
		case <-ctx.Done():
			return m, context.Cause(ctx)
		}
	}
}

// lookForMove finds a move among those that a node tells of, and reports whether it
// has ended. A node that started again after it had ended does not know it any more.
func lookForMove(s *fenfa.Shards, m fenfa.ShardMove) (fenfa.ShardMove, bool) {
	i := slices.IndexFunc(s.Moves, func(o fenfa.ShardMove) bool { return o.Partition == m.Partition })
	if i >= 0 {
		return s.Moves[i], !s.Moves[i].EndedAt.IsZero()
	}
	m.EndedAt = time.Now()
	if !slices.ContainsFunc(s.Placements, func(p fenfa.ShardPlacement) bool { return p.Partition == m.Partition && p.Shard == m.To }) {
		m.Error = "the node that did so has ended; its log says why"
	}
	return m, true
}

func writeMove(w io.Writer, m *fenfa.ShardMove) {
	switch {
	case m.Error != "":
	case m.EndedAt.IsZero():
		fmt.Fprintf(w, "partition %d goes from shard %d to shard %d; `fenfa state shards` shows how far it is\n", m.Partition, m.From, m.To)
	default:
		fmt.Fprintf(w, "partition %d is on shard %d: %s written in %v, paused for %v\n", m.Partition, m.To, plural(m.Written, "row"),
			m.EndedAt.Sub(m.BeganAt).Round(time.Millisecond), m.Paused.Round(time.Millisecond))
	}
}
