package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newCluster() *cobra.Command {
	return group("cluster", "Look at nodes and workers, and steer workers",
		"Show how a node is, and which workers are connected to it. Give workers another weight or\nnothing new, or send them away.",
		newClusterHealth(), newClusterWorkers(), newClusterWorker(), newClusterQuiet(), newClusterResume(), newClusterDrain())
}

func newClusterHealth() *cobra.Command {
	cmd := &cobra.Command{
		Use: "health", Short: "Show how the node is; exit code 1 if it is not ready", Args: exactly(),
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			h, err := c.Health(ctx)
			if err != nil {
				return err
			}
			err = out.write(cmd, viewHealth(&h), func(w io.Writer) {
				pairs(w, [][2]string{
					{"node", h.Node},
					{"version", h.Version},
					{"ready", fmt.Sprint(h.Ready)},
					{"problems", strings.Join(h.Problems, "; ")},
					{"started", moment(h.StartedAt)},
					{"partitions", fmt.Sprint(h.Partitions)},
					{"durability", h.Durability},
				})
			})
			if err == nil && !h.Ready {
				return failuref(exitCheck, "node %s is not ready: %s", h.Node, strings.Join(h.Problems, "; "))
			}
			return err
		})
	}
	return cmd
}
